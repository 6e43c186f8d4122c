from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replay.engines.base import RunResult, RunSpec
from replay.engines.here import HereEngine
from replay.record import Limits
from tests.engines.contract import python


def run(workspace: Path, command: list[str], **more: object) -> RunResult:
    engine = HereEngine()
    return engine.run(RunSpec(engine.base("", None), command, workspace, **more))  # type: ignore[arg-type]


def test_the_job_sees_the_callers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_CALLER", "seen")
    result = run(tmp_path, python("import os; print(os.environ['OF_THE_CALLER'], os.environ['TZ'])"), env={"TZ": "UTC"})
    assert result.log == b"seen UTC\n"


def test_python_is_the_first_on_the_callers_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "bin" / "python"
    own.parent.mkdir()
    own.write_text(f'#!/bin/sh\nWHOSE=mine exec "{sys.executable}" "$@"\n')
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    assert run(tmp_path, python("import os; print(os.environ['WHOSE'])")).log == b"mine\n"


def test_secrets_and_timeout_hold_here_too(tmp_path: Path) -> None:
    job = python("import os, time; print(os.environ['TOKEN'], flush=True); time.sleep(600)")
    result = run(tmp_path, job, secrets={"TOKEN": "hush-hush"}, limits=Limits(timeout=2))
    assert (result.ended, result.log) == ("timeout", b"[secret TOKEN]\n")


def test_says_that_nothing_was_held() -> None:
    engine = HereEngine()
    assert set(engine.not_held(engine.base("", None))) == {"base", "network", "host", "env"}
