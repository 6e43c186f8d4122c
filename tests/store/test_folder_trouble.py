"""The folder store when things go wrong: killed writers, several at once, a full disk, no right to write."""

from __future__ import annotations

import gc
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replay.errors import StoreError
from replay.store.base import Resolved
from replay.store.folder import FolderStore
from tests.store.contract import grown, small_files
from tests.store.samples import add_runs, add_state, record

PROJECT = Path(__file__).parents[2]
WORKER = [sys.executable, "-m", "tests.store.worker"]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [*WORKER, *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> list[list[str]]:
    output, _ = process.communicate()
    assert process.returncode == 0
    return [line.split() for line in output.splitlines()]


def holds_what_was_said(store: FolderStore, lines: list[list[str]]) -> None:
    """Everything a writer was told is in the store, is in the store."""
    logged = [entry.run for entry in store.runs()]
    assert [line[1] for line in lines if line[0] == "run"] == [run for run in logged if ["run", run] in lines]
    tags = store.tags()
    for _, name, run in (line for line in lines if line[0] == "tag"):
        assert tags[name].run == run
        assert store.run(run).id == run


# -- killed


NEVER = 10**9


def calls_of(root: Path, count: int) -> int:
    """Return how many calls that touch files a writer makes that is not killed."""
    (survived,) = [line[1] for line in said(start("die", root, count, NEVER)) if line[0] == "survived"]
    return int(survived)


def test_a_store_is_sound_wherever_its_writer_was_killed(tmp_path: Path) -> None:
    """Eighty writers die one after the other in one store; each first checks what the one before it left."""
    total = calls_of(tmp_path / "unharmed", 4)
    points = random.Random(2).sample(range(1, total), 80)
    lines = said(start("die", tmp_path / ".replay", 4, *points))
    assert {line[0] for line in lines} <= {"run", "tag", "survived"}
    assert len([line for line in lines if line[0] == "survived"]) < len(points) / 2
    store = FolderStore.open(tmp_path / ".replay")
    assert store.fsck() == []
    assert list((store.root / "tmp").iterdir()) == []
    holds_what_was_said(store, lines)


def test_a_store_can_be_opened_wherever_its_making_was_killed(tmp_path: Path) -> None:
    total = calls_of(tmp_path / "unharmed", 0)
    assert said(start("die", tmp_path / "{}", 0, *range(1, total))) == []
    for root in sorted(tmp_path.iterdir()):
        store = FolderStore.open(root)
        assert store.fsck() == []
        store.tag("works", Resolved(add_state(store), None))


def test_a_store_is_sound_wherever_a_snapshot_was_killed(tmp_path: Path) -> None:
    before, after = grown(tmp_path, 9_000_000)
    texts = small_files(tmp_path, 100)
    said(start("keep", tmp_path, tmp_path / "unharmed", NEVER))
    (survived,) = [line for line in said(start("keep", tmp_path, tmp_path / "again", NEVER)) if line[0] == "survived"]
    points = random.Random(3).sample(range(1, int(survived[1])), 25)
    lines = said(start("keep", tmp_path, tmp_path / "{}", *points))
    assert {line[0] for line in lines} == {"kept"}
    for point in points:
        store = FolderStore.open(tmp_path / str(point))
        assert store.fsck() == []
        kept = [store.put_file(before), store.put_file(after), *store.put_files(texts)]
        assert all(len(store.get(entry.blob)) == entry.size for entry in kept)
        assert store.fsck() == []


def test_scratch_goes_with_its_process(tmp_path: Path) -> None:
    process = start("scratch", tmp_path / ".replay")
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    FolderStore.open(tmp_path / ".replay")
    assert (folder / "locked/file").exists()
    process.kill()
    process.communicate()
    store = FolderStore.open(tmp_path / ".replay")
    assert not folder.exists()
    assert list((store.root / "tmp").iterdir()) == []


def test_fsck_tells_of_harmless_leftovers(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / ".replay")
    process = start("scratch", store.root)
    assert process.stdout is not None
    process.stdout.readline()
    assert store.fsck() == []
    process.kill()
    process.communicate()
    (finding,) = store.fsck()
    assert not finding.fatal
    assert "harmless" in finding.what


def test_scratch_outlives_the_object_that_made_it(tmp_path: Path) -> None:
    folder = FolderStore.open(tmp_path / ".replay").scratch("rerun")
    gc.collect()
    FolderStore.open(tmp_path / ".replay").put(b"x")
    assert folder.is_dir()


def test_a_store_that_is_done_leaves_nothing_in_tmp(tmp_path: Path) -> None:
    FolderStore.open(tmp_path / ".replay").put(b"x")
    gc.collect()
    assert list((tmp_path / ".replay/tmp").iterdir()) == []


# -- several at once


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    writers = [start("write", tmp_path / ".replay", job, 40) for job in ("churn", "fraud", "price")]
    lines = [said(writer) for writer in writers]
    store = FolderStore.open(tmp_path / ".replay")
    assert len(store.runs()) == len(store.tags()) == 120
    for own in lines:
        holds_what_was_said(store, own)
    assert store.fsck() == []


# -- no room


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "replay-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here (the test below needs none): {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_clear_error_and_costs_nothing_recorded(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(4_000_000))
    with small_disk(tmp_path / "disk"):
        store = FolderStore.open(tmp_path / "disk/.replay")
        state = add_state(store)
        runs = add_runs(store, state, 3)
        store.tag("prod", Resolved(state, runs[0]))
        with pytest.raises(StoreError, match="No space left"):
            store.put_file(tmp_path / "big")
        filler = tmp_path / "disk/filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", 0) as file:
            while file.write(b"x"):
                pass
        for write in (lambda: store.put(b"y" * 9000), lambda: store.tag("next", Resolved(state, runs[1]))):
            with pytest.raises(StoreError, match="No space left") as caught:
                write()
            assert "free some space" in caught.value.do
        with pytest.raises(StoreError, match="No space left"):
            add_runs(store, state, 1, first=5)
        assert store.fsck() == []
        assert [entry.run for entry in store.runs()] == runs
        assert store.tags() == {"prod": Resolved(state, runs[0])}
        filler.unlink()
        added = add_runs(store, state, 1, first=5)
        assert [entry.run for entry in store.runs()] == runs + added
        assert store.fsck() == []


def test_a_line_that_does_not_fit_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / ".replay")
    state = add_state(store)
    runs = add_runs(store, state, 20)
    log = store.root / "runs.jsonl"
    before = log.read_bytes()
    new = record(store, state, 30)
    with files_up_to(len(before) + 10), pytest.raises(StoreError, match="limit on the size") as caught:
        store.add_run(new)
    assert "run log" in caught.value.what
    assert log.read_bytes() == before
    assert store.fsck() == []
    assert store.add_run(new) == store.resolve("last").run
    assert [entry.run for entry in store.runs()] == [*runs, new.id]


def test_a_blob_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / ".replay")
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    with files_up_to(1_000_000):
        for write in (lambda: store.put(bytes(2_000_000)), lambda: store.put_file(tmp_path / "big")):
            with pytest.raises(StoreError, match="limit on the size"):
                write()
    assert list((store.root / "blobs/sha256").iterdir()) == []
    assert [path.name for path in (store.root / "tmp").rglob("*") if path.is_file()] == ["owner"]


# -- no right to write


@contextmanager
def nobody() -> Iterator[None]:
    """As a user who owns nothing, where we are root; others are held by the folder's mode already."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_store_that_may_only_be_read_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, ".replay")
        store = FolderStore.open(root)
        state = add_state(store)
        (run,) = add_runs(store, state, 1)
        store.tag("prod", Resolved(state, run))
        together = store.put_files(small_files(Path(folder), 100))
        inside = [path for path in root.rglob("*") if path.is_dir() and root / "tmp" not in path.parents]
        for path in (root, *inside):
            path.chmod(0o555)
        with nobody():
            reader = FolderStore.open(root)
            assert reader.resolve("prod").run == run
            assert reader.run(run).state == state
            assert reader.fsck() == []
            assert reader.path(together[5].blob).read_bytes() == reader.get(together[5].blob)
            writes = (
                lambda: reader.put(b"new"),
                lambda: reader.tag("next", Resolved(state, run)),
                lambda: reader.scratch("rerun"),
                lambda: reader.cache("trees"),
            )
            for write in writes:
                with pytest.raises(StoreError, match="Permission denied") as caught:
                    write()
                assert "--store" in caught.value.do
            with pytest.raises(StoreError, match="Permission denied"):
                FolderStore.open(Path(folder, "another"))
        for path in (root, *inside):
            path.chmod(0o755)
        assert store.fsck() == []
        assert store.tags() == {"prod": Resolved(state, run)}
