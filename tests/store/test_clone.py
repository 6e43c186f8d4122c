"""Large files on a file system that can clone them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from replay.store import blobs
from replay.store.clone import clone
from replay.store.folder import FolderStore
from tests.store.contract import grown

SIZE = 20_000_000


def as_a_clone(source: int, target: int) -> bool:
    """Do what the ioctl does, by copying: the file systems that tests run on cannot clone."""
    while os.sendfile(target, source, os.fstat(target).st_size, 1 << 30):
        pass
    os.lseek(target, 0, os.SEEK_SET)
    return True


def test_a_clone_is_kept_as_a_copy_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = grown(tmp_path, SIZE)
    little = tmp_path / "little"
    little.write_bytes(files[0].read_bytes()[: SIZE // 10] + os.urandom(SIZE))
    kept = []
    for name in ("copied", "cloned"):
        if name == "cloned":
            monkeypatch.setattr(blobs, "clone", as_a_clone)
        store = FolderStore.open(tmp_path / name)
        entries = [store.put_file(file) for file in (*files, little)]
        assert all(
            store.get(entry.blob) == file.read_bytes() for file, entry in zip((*files, little), entries, strict=True)
        )
        assert store.fsck() == []
        inside = {file.relative_to(store.root): file.stat().st_size for file in store.root.rglob("*") if file.is_file()}
        kept.append({path: size for path, size in inside.items() if path.parts[0] in ("blobs", "pieces", "chunks")})
    assert kept[0] == kept[1]


def test_where_nothing_can_be_cloned_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"source")
    with (tmp_path / "source").open("rb") as source, Path("/dev/null").open("wb") as target:
        assert not clone(source.fileno(), target.fileno())
