"""Weights of models as documents: each tensor's type, shape and the digest of its values. Nothing is unpickled.

Sources: the safetensors format (eight bytes of length, a JSON header, the values; huggingface/safetensors README), and
numpy's NEP 1 (`.npy`: magic, version, the length of a header that is a Python literal) inside a ZIP archive (`.npz`).
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

from replay.compare.text import clean
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = 100 << 20
"""Bytes that the header of a safetensors file may have, as its own readers hold it."""

NPY_HEADER = 1 << 20
"""Bytes that the header of an array may have."""

BLOCK = 1 << 20


def read_tensors(source: pa.Buffer, name: str) -> dict[str, Any]:
    """Return what a safetensors, `.npz` or `.npy` file holds, by the tensors' names. Raises CompareError: damaged."""
    start = source[:6].to_pybytes()
    try:
        if start == b"\x93NUMPY":
            return _array(io.BytesIO(source))
        if start[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(source)) as archive:
                return {inner.removesuffix(".npy"): _array(archive.open(inner)) for inner in archive.namelist()}
        return _safetensors(source)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError, OSError, EOFError) as error:
        raise _damaged(name, error) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # encrypted, or packed in a strange way
        raise _damaged(name, error) from error


def _safetensors(source: pa.Buffer) -> dict[str, Any]:
    length = int.from_bytes(source[:8].to_pybytes(), "little")
    if not 0 < length <= min(HEADER, source.size - 8):
        raise ValueError("its header is longer than the file")
    header = json.loads(source[8 : 8 + length].to_pybytes())
    found = {}
    for tensor, told in header.items():
        if tensor == "__metadata__":
            found[tensor] = told
            continue
        first, last = (8 + length + int(offset) for offset in told["data_offsets"])
        if not 8 + length <= first <= last <= source.size:
            raise ValueError(f"the values of {tensor} lie outside the file")
        digest = hashlib.sha256(source[first:last]).hexdigest()
        found[tensor] = {"dtype": told["dtype"], "shape": told["shape"], "values": digest[:16]}
    return found


def _array(file: BinaryIO | Any) -> dict[str, Any]:
    """Return what an array's header says, and the digest of its values; an array of objects stays pickled."""
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise ValueError("it holds something that is no array")
    length = int.from_bytes(file.read(2 if magic[6] == 1 else 4), "little")
    if length > NPY_HEADER:
        raise ValueError("the header of an array is too long")
    told = ast.literal_eval(file.read(length).decode("utf-8").strip())
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    order = "Fortran" if told["fortran_order"] else "C"
    values = digest.hexdigest()[:16]
    return {"dtype": str(told["descr"]), "shape": list(told["shape"]), "order": order, "values": values}


def _damaged(name: str, error: Exception) -> CompareError:
    return CompareError(
        f"{clean(name, 200)} holds no tensors that can be read: {clean(str(error), 200)}",
        cause="it was truncated (the job was killed, or the disk was full)",
        do="look at the run's log (replay show), and run the job again",
    )
