"""`replay.lock`: what it pins, what it no longer fits, and uv as the other resolver."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from replay.environment.lock import lock, relock
from replay.environment.packages import PackageSet
from replay.environment.pinned import changes
from replay.environment.selection import Selection
from replay.errors import LockError, WheelError
from replay.store.folder import FolderStore
from tests.environment.making import HERE, requirements, target, versions, wheel

OURS = target("3.11.2")


def sentences(before: PackageSet | None, after: PackageSet) -> list[str]:
    return [f"{change.name}: {change.before} -> {change.after}" for change in changes(before, after)]


def test_what_is_pinned_is_taken_on_another_machine(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha", "1.0")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    before, after = relock(asked, pins, OURS, store)
    assert before is None
    assert sentences(before, after) == [
        f"runtime/packages/alpha: None -> 1.0 ({after.wheels['alpha'].blob[7:19]})",
    ]
    wheel(folder, "alpha", "2.0")
    elsewhere = FolderStore.open(tmp_path / "elsewhere")
    assert lock(asked, OURS, elsewhere, pins=pins) == after
    assert versions(lock(asked, OURS, elsewhere)) == {"alpha": "2.0"}


def test_versions_stay_until_they_are_upgraded(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha", "1.0")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    relock(asked, pins, OURS, store)
    wheel(folder, "alpha", "2.0")
    wheel(folder, "beta", "1.0")
    asked = requirements(tmp_path, *HERE, "alpha", "beta")
    assert versions(relock(asked, pins, OURS, store)[1]) == {"alpha": "1.0", "beta": "1.0"}
    written = pins.read_bytes()
    assert versions(relock(asked, pins, OURS, store)[1]) == {"alpha": "1.0", "beta": "1.0"}
    assert pins.read_bytes() == written
    before, after = relock(asked, pins, OURS, store, upgrade=True)
    assert [line.split(" (")[0] for line in sentences(before, after)] == ["runtime/packages/alpha: 1.0"]
    asked = requirements(tmp_path, *HERE, "alpha<2")
    assert versions(relock(asked, pins, OURS, store)[1]) == {"alpha": "1.0"}


def test_a_lock_that_no_longer_fits_is_refused(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha", tag="cp311-cp311-manylinux_2_17_x86_64")
    wheel(folder, "beta")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    relock(asked, pins, OURS, store)
    with pytest.raises(LockError, match=r"replay\.lock") as caught:
        lock(asked, target("3.12.1"), store, pins=pins)
    assert "for Python 3.11" in caught.value.cause
    assert "alpha-1.0-cp311" in caught.value.cause
    with pytest.raises(LockError, match=r"replay\.lock") as caught:
        lock(asked, target("3.11.2", glibc=(2, 5)), store, pins=pins)
    assert "manylinux_2_36" in caught.value.cause
    assert "replay lock" in caught.value.do
    with pytest.raises(LockError, match=r"replay\.lock") as caught:
        lock(requirements(tmp_path, *HERE, "beta"), OURS, store, pins=pins)
    assert "changed since" in caught.value.cause


def test_the_wheel_that_was_pinned_and_no_other(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    relock(asked, pins, OURS, store)
    wheel(folder, "alpha", files={"alpha.py": "other = 1\n"})
    with pytest.raises(WheelError, match=r"alpha-1\.0"):
        lock(asked, OURS, FolderStore.open(tmp_path / "elsewhere"), pins=pins)


@pytest.mark.parametrize("text", ["", "{", '{"format": "replay.lock/9"}', "[1]", '{"requirements": 3}'])
def test_a_spoilt_lock_is_refused_and_written_anew(tmp_path: Path, folder: Path, store: FolderStore, text: str) -> None:
    wheel(folder, "alpha")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    pins.write_text(text)
    with pytest.raises(LockError, match=r"replay\.lock"):
        lock(asked, OURS, store, pins=pins)
    assert relock(asked, pins, OURS, store)[0] is None
    assert set(lock(asked, OURS, store, pins=pins).wheels) == {"alpha"}


def test_a_conflict_leaves_the_lock_as_it_was(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    asked, pins = requirements(tmp_path, *HERE, "alpha"), tmp_path / "replay.lock"
    relock(asked, pins, OURS, store)
    written = pins.read_bytes()
    with pytest.raises(LockError):
        relock(requirements(tmp_path, *HERE, "alpha", "alpha>7"), pins, OURS, store)
    assert pins.read_bytes() == written


def test_a_lock_of_another_tool_is_not_locked_again(tmp_path: Path, store: FolderStore) -> None:
    with pytest.raises(LockError, match="a lock already"):
        relock(requirements(tmp_path, name="uv.lock"), tmp_path / "replay.lock", OURS, store)


UV = Selection(locker="uv")


def test_uv_finds_what_pip_tools_finds(
    tmp_path: Path, folder: Path, store: FolderStore, uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{uv}{os.pathsep}{os.environ['PATH']}")
    wheel(folder, "alpha", requires=("beta>=1", "tiny; python_version < '3.10'"))
    for version in ("1.0", "2.0"):
        wheel(folder, "beta", version)
    wheel(folder, "tiny")
    for python in ("3.9.2", "3.11.2"):
        for line in ("alpha", "beta<2"):
            asked = requirements(tmp_path, *HERE, line)
            theirs = lock(asked, target(python), store, selection=UV)
            assert theirs == lock(asked, target(python), store)
    asked, pins = requirements(tmp_path, *HERE, "beta<2"), tmp_path / "replay.lock"
    relock(asked, pins, OURS, store, selection=UV)
    asked = requirements(tmp_path, *HERE, "beta")
    assert versions(relock(asked, pins, OURS, store, selection=UV)[1]) == {"beta": "1.0"}
    assert versions(relock(asked, pins, OURS, store, selection=UV, upgrade=True)[1]) == {"beta": "2.0"}


def test_a_conflict_that_uv_finds_is_explained(
    tmp_path: Path, folder: Path, store: FolderStore, uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{uv}{os.pathsep}{os.environ['PATH']}")
    wheel(folder, "alpha", requires=("gamma<2",))
    wheel(folder, "gamma", "1.0")
    wheel(folder, "gamma", "2.0")
    with pytest.raises(LockError, match="cannot be locked") as caught:
        lock(requirements(tmp_path, *HERE, "alpha", "gamma>=2"), OURS, store, selection=UV)
    assert "gamma" in caught.value.cause


def test_uv_that_is_not_there_is_named(
    tmp_path: Path, folder: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(folder, "alpha")
    bare = tmp_path / "bin"
    bare.mkdir()
    monkeypatch.setenv("PATH", str(bare))
    monkeypatch.setattr(sys, "executable", str(bare / "python"))
    with pytest.raises(LockError, match="uv cannot be started") as caught:
        lock(requirements(tmp_path, *HERE, "alpha"), OURS, store, selection=UV)
    assert "pip install uv" in caught.value.do


def test_the_file_reads_as_json_and_names_no_place(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    pins = tmp_path / "replay.lock"
    relock(requirements(tmp_path, *HERE, "alpha"), pins, OURS, store)
    document = json.loads(pins.read_text("utf-8"))
    assert document["format"] == "replay.lock/1"
    assert str(tmp_path) not in pins.read_text("utf-8")
