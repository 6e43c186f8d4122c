"""What a stranger may have pushed: nothing of it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replay.digest import canonical, of_bytes
from replay.registry.client import Repository
from replay.registry.http import Http
from replay.registry.reference import parse
from replay.state import ReleaseState
from replay.store.folder import FolderStore
from tests.cli.conftest import Shop
from tests.support.private_registry import PrivateRegistry

Tamper = Callable[[dict[str, Any], Callable[[bytes], dict[str, Any]]], None]


def foreign_type(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def image(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"


def stowaway(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["layers"].append({"mediaType": "application/octet-stream", **put(b"nobody asked for this")})


def lacking(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["layers"] = [
        part for part in manifest["layers"] if part["annotations"]["org.opencontainers.image.title"] != "score.py"
    ]


def outside(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["config"].update(put(ReleaseState(job="x", outputs={"o": "../../etc/cron.d/x"}, layers={}).encode()))


def nested(manifest: dict[str, Any], put: Callable[[bytes], dict[str, Any]]) -> None:
    manifest["config"].update(put(b"[" * 100_000))


@pytest.mark.parametrize("tamper", [foreign_type, image, stowaway, lacking, outside, nested])
def test_what_is_not_sound_is_not_kept(shop: Shop, registry: PrivateRegistry, tmp_path: Path, tamper: Tamper) -> None:
    name = f"{registry.host}/hostile/{tamper.__name__.replace('_', '-')}"
    shop.bind("mine", "--engine", "local")
    assert shop.replay("push", "mine", f"{name}:sound").code == 0
    where = parse(f"{name}:sound")
    repository = Repository(where, Http(where))

    def put(data: bytes) -> dict[str, Any]:
        file = tmp_path / "blob"
        file.write_bytes(data)
        repository.upload(of_bytes(data), file, None)
        return {"digest": of_bytes(data), "size": len(data)}

    manifest = json.loads(repository.manifest())
    tamper(manifest, put)
    repository.put_manifest(canonical(manifest), "odd")
    ended = shop.replay("pull", f"{name}:odd", "--store", str(tmp_path / "b"))
    assert ended.code == 2
    ended.explains()
    store = FolderStore.open(tmp_path / "b")
    assert (store.runs(), store.tags(), list((store.root / "states").iterdir())) == ([], {}, [])
    assert list((store.root / "blobs/sha256").iterdir()) == []


def test_a_blob_with_other_bytes_is_refused(shop: Shop, registry: PrivateRegistry, tmp_path: Path) -> None:
    shop.customers(61)
    shop.bind("mine", "--engine", "local")
    name = f"{registry.host}/hostile/swapped:mine"
    shop.replay("push", "mine", name)
    content = (shop.root / "data/customers.csv").read_bytes()
    registry.blob(of_bytes(content)).write_bytes(content.replace(b"00001", b"00002"))
    ended = shop.replay("pull", name, "--store", str(tmp_path / "b"))
    assert ended.code == 2
    assert "gave other bytes" in ended.explains()[0]
    assert FolderStore.open(tmp_path / "b").runs() == []


@pytest.mark.parametrize("text", ["me:hunter2@host.example/x:y", "https://host.example/x", "host.example/../x", "x"])
def test_a_reference_that_is_none_repeats_no_password(shop: Shop, text: str) -> None:
    ended = shop.replay("pull", text)
    assert ended.code == 2
    ended.explains()
    assert "hunter2" not in ended.err
