"""Weights compared tensor by tensor, without numpy and without unpickling anything."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from replay.errors import CompareError
from tests.comparing import compare


def safetensors(**tensors: bytes) -> bytes:
    header, values = {}, b""
    for name, data in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [len(values), len(values) + len(data)]}
        values += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def npy(data: bytes, descr: str = "|u1") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len(data)},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz(**arrays: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("m.safetensors", safetensors(bias=b"1", weight=b"abc"), safetensors(bias=b"1", weight=b"abd")),
        ("m.npz", npz(bias=npy(b"1"), weight=npy(b"abc")), npz(bias=npy(b"1"), weight=npy(b"abd"))),
        ("m.npz", npz(bias=npy(b"1"), weight=npy(b"abc", "|O")), npz(bias=npy(b"1"), weight=npy(b"abd", "|O"))),
    ],
)
def test_the_tensor_that_changed_is_named(tmp_path: Path, name: str, good: bytes, bad: bytes) -> None:
    found = compare(tmp_path, good, bad, name)
    assert found is not None
    told = "\n".join(found.lines())
    assert "weight" in told
    assert "bias" not in told


@pytest.mark.parametrize("end", range(0, 90, 7))
def test_a_truncated_file_is_an_error(tmp_path: Path, end: int) -> None:
    whole = safetensors(weight=b"abc" * 20)
    with pytest.raises(CompareError, match=r"m\.safetensors (holds no tensors|is empty)"):
        compare(tmp_path, whole, whole[:end], "m.safetensors")


@pytest.mark.parametrize("wrong", [npz(weight=b"abc"), npz(weight=npy(b"abc"))[:60], b"PK\x03\x04", npy(b"")[:9]])
def test_what_is_no_array_is_an_error(tmp_path: Path, wrong: bytes) -> None:
    with pytest.raises(CompareError, match="holds no tensors"):
        compare(tmp_path, npz(weight=npy(b"abc")), wrong, "m.npz")
