"""Large files on a file system that can clone them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.store.clone import clone
from replay.store.folder import FolderStore
from tests.store.contract import grown

SIZE = 20_000_000


@pytest.fixture
def cloning(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that can clone: XFS in a file of its own, which takes root."""
    image, folder = tmp_path / "xfs.img", tmp_path / "xfs"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    for command in (
        ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system that clones can be mounted here: {command[0]} did not run ({error})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def test_a_clone_is_kept_as_a_copy_is(tmp_path: Path, cloning: Path) -> None:
    kept = []
    for place in (tmp_path / "copied", cloning / "cloned"):
        place.mkdir()
        files = grown(place, SIZE)
        little = place / "little"
        little.write_bytes(files[0].read_bytes()[: SIZE // 10] + random.Random(1).randbytes(SIZE))
        store = FolderStore.open(place / "store")
        entries = [store.put_file(file) for file in (*files, little)]
        assert all(
            store.get(entry.blob) == file.read_bytes() for file, entry in zip((*files, little), entries, strict=True)
        )
        assert store.fsck() == []
        inside = {file.relative_to(store.root): file.stat().st_size for file in store.root.rglob("*") if file.is_file()}
        kept.append({path: size for path, size in inside.items() if path.parts[0] in ("blobs", "pieces", "chunks")})
    assert kept[0] == kept[1]


def test_a_large_file_costs_no_room_where_it_can_be_cloned(cloning: Path) -> None:
    file = cloning / "table"
    file.write_bytes(random.Random(1).randbytes(SIZE))
    store = FolderStore.open(cloning / "store")
    os.sync()
    before = shutil.disk_usage(cloning).used
    store.put_file(file)
    os.sync()
    assert shutil.disk_usage(cloning).used - before < SIZE // 4


def test_where_nothing_can_be_cloned_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"source")
    with (tmp_path / "source").open("rb") as source, Path("/dev/null").open("wb") as target:
        assert not clone(source.fileno(), target.fileno())
