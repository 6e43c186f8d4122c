"""What a folder store keeps of input data: only what is new of a table, and small files together."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.digest import of_bytes
from replay.errors import CorruptBlob, NotFound, StoreError
from replay.store.folder import FolderStore
from tests.store.contract import grown, small_files

SIZE = 20_000_000


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / ".replay")


def on_disk(store: FolderStore) -> int:
    return sum(file.lstat().st_size for file in store.root.rglob("*") if file.is_file())


def cost(store: FolderStore, file: Path) -> int:
    """Keep a file, see that it comes back, and return by how many bytes the store grew."""
    before = on_disk(store)
    entry = store.put_file(file)
    after = on_disk(store)
    assert store.get(entry.blob) == file.read_bytes()
    return after - before


def table(rows: range, seed: int = 1) -> list[bytes]:
    """Return lines of a table of customers."""
    chance = random.Random(seed)
    return [f"{row},{chance.random():.12f},{chance.choice('abc')},{chance.randrange(10**9)}\n".encode() for row in rows]


def inserted(lines: list[bytes]) -> list[bytes]:
    return lines[:200_000] + table(range(4000), seed=2) + lines[200_000:]


EDITS: list[tuple[Callable[[list[bytes]], list[bytes]], float]] = [
    (lambda lines: lines + table(range(4000), seed=2), 0.0101),
    (inserted, 0.03),
    (lambda lines: lines[:100_000] + lines[104_000:], 0.03),
    (lambda lines: [*lines[:300_000], b"7,0.5,a,1\n", *lines[300_001:]], 0.02),
    (lambda lines: lines[200_000:] + lines[:200_000], 0.04),
]


@pytest.mark.parametrize(("edit", "most"), EDITS, ids=["appended", "inserted", "removed", "one row", "halves swapped"])
def test_a_table_that_changed_costs_what_changed(
    store: FolderStore, tmp_path: Path, edit: Callable[[list[bytes]], list[bytes]], most: float
) -> None:
    lines = table(range(400_000))
    (tmp_path / "before.csv").write_bytes(b"".join(lines))
    (tmp_path / "after.csv").write_bytes(b"".join(edit(lines)))
    size = (tmp_path / "before.csv").stat().st_size
    assert size <= cost(store, tmp_path / "before.csv") < 1.001 * size
    assert cost(store, tmp_path / "after.csv") < most * size
    assert store.fsck() == []


def test_appends_go_on_costing_what_was_added(store: FolderStore, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(SIZE * 2)
    file = tmp_path / "table.bin"
    costs = []
    for days in range(6):
        file.write_bytes(content[: SIZE + days * SIZE // 100])
        costs.append(cost(store, file))
    assert max(costs[1:]) < 0.0105 * SIZE
    assert store.fsck() == []


def test_a_file_that_shares_little_has_a_file_of_its_own(store: FolderStore, tmp_path: Path) -> None:
    chance = random.Random(4)
    shared = chance.randbytes(SIZE // 10)
    (tmp_path / "one").write_bytes(chance.randbytes(SIZE) + shared)
    (tmp_path / "other").write_bytes(chance.randbytes(SIZE // 2) + shared + chance.randbytes(SIZE // 2))
    (tmp_path / "third").write_bytes((tmp_path / "other").read_bytes() + b"more")
    for name in ("one", "other"):
        digest = store.put_file(tmp_path / name).blob
        assert blob_file(store, digest).is_file()
    assert cost(store, tmp_path / "third") < 2000
    assert store.fsck() == []


def test_hints_that_are_lost_or_lie_cost_room_and_never_content(store: FolderStore, tmp_path: Path) -> None:
    before, after = grown(tmp_path, SIZE)
    digest = store.put_file(before).blob
    hints = store.root / "chunks" / digest.removeprefix("sha256:")
    told = hints.read_bytes()
    hints.write_bytes(b"".join(told[at : at + 16] + bytes(8) for at in range(0, len(told), 24))[:-5])
    assert store.get(store.put_file(after).blob) == after.read_bytes()
    assert store.fsck() == []


def test_small_files_that_come_together_share_a_file(store: FolderStore, tmp_path: Path) -> None:
    store.put_files(small_files(tmp_path, 2000))
    assert len(list((store.root / "blobs/sha256").iterdir())) == 1
    (tmp_path / "7.txt").write_text("changed")
    store.put_files(sorted(tmp_path.glob("*.txt")))
    assert len(list((store.root / "blobs/sha256").iterdir())) == 2


def test_what_was_put_together_goes_with_the_store_object(store: FolderStore, tmp_path: Path) -> None:
    for file in grown(tmp_path, SIZE):
        digest = store.put_file(file).blob
    own = FolderStore.open(store.root)
    path = own.path(digest)
    assert own.path(digest) == path
    linked = tmp_path / "linked"
    linked.hardlink_to(path)
    del own
    assert not path.exists()
    assert of_bytes(linked.read_bytes()) == digest


def test_a_file_put_together_and_then_damaged_is_put_together_again(store: FolderStore, tmp_path: Path) -> None:
    for file in grown(tmp_path, SIZE):
        digest = store.put_file(file).blob
    path = store.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert of_bytes(store.path(digest).read_bytes()) == digest


def test_damage_to_a_shared_file_is_found_and_mended_by_keeping_again(store: FolderStore, tmp_path: Path) -> None:
    before, after = grown(tmp_path, SIZE)
    base, digest = store.put_file(before).blob, store.put_file(after).blob
    file = blob_file(store, base)
    sound = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(sound[:100] + b"?" + sound[101:])
    for read in (store.get, store.path):
        with pytest.raises(CorruptBlob, match=digest) as caught:
            read(digest)
        assert file.name in caught.value.do
    assert [finding.fatal for finding in store.fsck()] == [True, True]
    file.unlink()
    assert not store.has(digest)
    with pytest.raises(NotFound):
        store.get(digest)
    assert not any(finding.fatal for finding in store.fsck())
    assert store.put_file(after).blob == digest
    assert store.get(digest) == after.read_bytes()
    assert store.has(store.put_file(before).blob)
    assert store.fsck() == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format":"replay.pieces/1","sources":["../../etc"],"blobs":{}}'])
def test_a_damaged_list_of_parts_is_named(store: FolderStore, tmp_path: Path, damage: bytes) -> None:
    store.put_files(small_files(tmp_path, 100))
    (listing,) = (store.root / "pieces").iterdir()
    listing.write_bytes(damage)
    again = FolderStore.open(store.root)
    with pytest.raises(StoreError, match=listing.name):
        again.get(of_bytes(b"1\n1\n"))
    assert any(listing.name in finding.what and finding.fatal for finding in again.fsck())


def blob_file(store: FolderStore, digest: str) -> Path:
    return store.root / "blobs/sha256" / digest.removeprefix("sha256:")
