"""The clock a job reads: when it can be held, and what is said where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replay.engines import clock
from replay.engines.base import RunSpec
from replay.engines.interpreters import facts_of
from replay.engines.local import LocalEngine
from replay.environment.base import Interpreter

HERE = facts_of(sys.executable).interpreter


def on(platform: str, version: str = "3.12.1") -> Interpreter:
    return HERE.model_copy(update={"platforms": (platform,), "version": version})


def test_it_is_held_on_any_glibc_of_the_librarys_machine() -> None:
    assert clock.not_held(on("manylinux_2_31_x86_64")) is None
    assert clock.not_held(on("manylinux_2_41_x86_64")) is None


@pytest.mark.parametrize(
    ("platform", "reason"),
    [
        ("musllinux_1_2_x86_64", "needs glibc"),
        ("macosx_14_0_arm64", "needs glibc"),
        ("manylinux_2_36_aarch64", "is for x86_64"),
    ],
)
def test_where_it_cannot_be_held_the_reason_is_given(platform: str, reason: str) -> None:
    said = clock.not_held(on(platform))
    assert said is not None
    assert reason in said
    assert platform in said


def test_an_older_python_comes_with_a_caution() -> None:
    assert clock.caution(on("manylinux_2_31_x86_64", "3.11.0")) is None
    assert "Python 3.9" in str(clock.caution(on("manylinux_2_31_x86_64", "3.9.2")))


@pytest.mark.parametrize(
    "text", ["2026-10-21T08:00:00Z", "2026-10-21T08:00", "2026-10-21T13:00:00+05:00", "2026-10-21 08:00:00.000"]
)
def test_a_time_is_read_in_utc_unless_it_names_its_zone(text: str) -> None:
    assert clock.seconds(text) == 1792569600


def test_a_store_below_a_folder_with_a_space_still_holds_the_clock(tmp_path: Path) -> None:
    library = clock.library()
    assert library is not None
    folder, workspace = tmp_path / "my store: all", tmp_path / "work"
    folder.mkdir()
    workspace.mkdir()
    kept = folder / "blob"
    kept.write_bytes(library.read_bytes())
    engine = LocalEngine()
    job = ["python", "-c", "import time; print(time.gmtime().tm_year)"]
    held = clock.Clock(clock.seconds("1999-12-31"), kept)
    result = engine.run(RunSpec(base=engine.base("", None), command=job, workspace=workspace, clock=held))
    assert result.log == b"1999\n"


def test_a_job_that_is_killed_leaves_nothing_of_its_clock(tmp_path: Path) -> None:
    library = clock.library()
    assert library is not None
    job = ["python", "-c", "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"]
    engine = LocalEngine()
    held = clock.Clock(clock.seconds("1999-12-31"), library)
    result = engine.run(RunSpec(base=engine.base("", None), command=job, workspace=tmp_path, clock=held))
    assert result.ended == "killed"
    assert [path.name for path in Path("/dev/shm").glob(f"*faketime_*_{int(result.log)}")] == []
