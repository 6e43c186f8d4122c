"""Collecting beside others, killed in between, and in a store that is not sound."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replay.errors import StoreError
from replay.store.base import Resolved
from replay.store.folder import FolderStore
from tests.store.samples import add_runs, add_state

PROJECT = Path(__file__).parents[2]

HOLD = "import sys; from replay.store.folder import FolderStore; from pathlib import Path\n"
HOLD += "store = FolderStore.open(Path(sys.argv[1])); print('in', flush=True); sys.stdin.read()"

DIE = """
import os, signal, sys
from pathlib import Path
from replay.store import collect
from replay.store.folder import FolderStore
left = int(sys.argv[2])
def dying(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "open", "os.truncate"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
store = FolderStore.open(Path(sys.argv[1]))
runs = [entry.run for entry in store.runs()]
sys.addaudithook(dying)
store.collect(runs, caches=True)
"""


def used(root: Path) -> tuple[FolderStore, str]:
    """A store with a tagged run, others that are not, a cache, and what nothing needs."""
    store = FolderStore.open(root)
    tagged = add_runs(store, add_state(store, "kept"), 1)[0]
    store.tag("prod", Resolved(store.run(tagged).state, tagged))
    for number, job in enumerate(("churn", "fraud")):
        add_runs(store, add_state(store, job), 2, 10 * number)
    store.put(b"nothing refers to this")
    (store.cache("trees") / "x").write_text("1")
    return store, tagged


def test_nothing_is_removed_beside_another_process(tmp_path: Path) -> None:
    store, _ = used(tmp_path / ".replay")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with pytest.raises(StoreError, match="another process"):
        store.collect()
    assert store.collect(dry_run=True).blobs == 1
    other.communicate("")
    assert store.collect().blobs == 1


def test_a_collection_killed_anywhere_leaves_a_sound_store(tmp_path: Path) -> None:
    for point in itertools.count(0, 4):
        root = tmp_path / str(point)
        store, tagged = used(root)
        del store
        ended = subprocess.run([sys.executable, "-c", DIE, str(root), str(point)], cwd=PROJECT, check=False)
        store = FolderStore.open(root)
        assert [finding for finding in store.fsck() if finding.fatal] == []
        assert store.run(store.tags()["prod"].run or "").id == tagged
        store.collect([entry.run for entry in store.runs()], caches=True)
        assert [entry.run for entry in store.runs()] == [tagged]
        assert store.collect(()).blobs == 0
        assert store.fsck() == []
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert point > 20


def test_what_cannot_be_followed_stops_it(tmp_path: Path) -> None:
    store, tagged = used(tmp_path / ".replay")
    before = sorted((store.root / "blobs/sha256").iterdir())
    blob = store.root / "blobs/sha256" / tagged.removeprefix("sha256:")
    blob.chmod(0o644)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b" ")
    with pytest.raises(StoreError, match="nothing was removed"):
        store.collect(())
    assert sorted((store.root / "blobs/sha256").iterdir()) == before


def test_a_store_with_parts_of_a_newer_kind_is_left_alone(tmp_path: Path) -> None:
    store, _ = used(tmp_path / ".replay")
    (store.root / "hoard").mkdir()
    with pytest.raises(StoreError, match="hoard"):
        store.collect()
    assert store.fsck() == []


def test_a_link_in_a_cache_does_not_hold_what_was_collected(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / ".replay")
    digest = store.put(b"a wheel").blob
    link = store.cache("wheels") / digest.removeprefix("sha256:")
    os.link(store.path(digest), link)
    assert store.collect().blobs == 1
    assert not link.exists()
