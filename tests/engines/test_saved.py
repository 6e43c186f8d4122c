from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from replay.engines.saved import saved_image
from replay.errors import EngineError

LAYER = b"the archive of a layer" * 100


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def saved(folder: Path, layer: bytes) -> dict[str, Path]:
    """The files of a saved image with one layer, whose bytes in the archive are these."""
    config = json.dumps({"rootfs": {"diff_ids": [sha(LAYER)]}}).encode()
    listed = json.dumps([{"Config": "config", "Layers": ["layer"]}]).encode()
    files = {}
    for name, content in {"manifest.json": listed, "config": config, "layer": layer}.items():
        files[name] = folder / name
        files[name].write_bytes(content)
    return files


@pytest.mark.parametrize("layer", [LAYER, gzip.compress(LAYER)])
def test_a_layer_is_what_its_digest_names_also_where_it_is_compressed(tmp_path: Path, layer: bytes) -> None:
    files = saved(tmp_path, layer)
    config, layers = saved_image(files, sha(files["config"].read_bytes()))
    assert config == files["config"]
    assert {digest: path.read_bytes() for digest, path in layers.items()} == {sha(LAYER): LAYER}


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (gzip.compress(b"another"), "has other bytes"),
        (gzip.compress(LAYER)[:-9], "cannot be read"),
        (b"\x28\xb5\x2f\xfd zstd", "has other bytes"),
    ],
)
def test_a_layer_that_is_another_or_cut_off_is_refused(tmp_path: Path, layer: bytes, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        saved_image(saved(tmp_path, layer), None)
