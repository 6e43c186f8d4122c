from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.engines.base import Mount, RunSpec
from replay.engines.local import LocalEngine
from replay.environment.base import Base
from replay.errors import BaseMissing, EngineError
from replay.record import Limits
from tests.engines.contract import EngineContract, python, wait_for


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine()


@pytest.fixture(scope="module")
def base(engine: LocalEngine) -> Base:
    return engine.base("the host", None)


class TestLocal(EngineContract):
    making = "from replay.engines.local import LocalEngine; engine = LocalEngine()"

    @pytest.fixture(autouse=True)
    def _no_home_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        homes = tmp_path / "homes"
        homes.mkdir()
        monkeypatch.setenv("TMPDIR", str(homes))
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield
        wait_for(lambda: not list(homes.iterdir()))


def test_home_is_private_and_gone_afterwards(engine: LocalEngine, base: Base, tmp_path: Path) -> None:
    job = "import os; open(os.path.expanduser('~/cache'), 'w').close(); print(os.environ['HOME'])"
    result = engine.run(RunSpec(base=base, command=python(job), workspace=tmp_path))
    home = Path(result.log.decode().strip())
    assert result.exit_code == 0
    assert home != Path.home()
    assert not home.exists()


def test_memory_is_limited_where_asked(engine: LocalEngine, base: Base, tmp_path: Path) -> None:
    job = python("bytearray(2 << 30)")
    limits = Limits(memory=512)
    result = engine.run(RunSpec(base=base, command=job, workspace=tmp_path, limits=limits))
    assert result.exit_code == 1
    assert b"MemoryError" in result.log


def test_an_environment_comes_first(engine: LocalEngine, base: Base, tmp_path: Path) -> None:
    environment, workspace = tmp_path / "tree", tmp_path / "work"
    workspace.mkdir()
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(sys.executable)
    (environment / "bin/churn-tool").write_text("#!/bin/sh\necho from the environment\n")
    (environment / "bin/churn-tool").chmod(0o755)
    job = python("import subprocess, sys; print(sys.executable, flush=True); subprocess.run(['churn-tool'])")
    result = engine.run(RunSpec(base=base, command=job, workspace=workspace, environment=environment))
    assert result.log.decode().splitlines() == [str(environment / "bin/python"), "from the environment"]


def test_a_state_of_an_image_runs_and_is_told_apart(engine: LocalEngine, base: Base) -> None:
    recorded = base.model_copy(update={"kind": "image", "reference": "python:3.11-slim", "image": f"sha256:{0:064}"})
    engine.require(recorded)
    said = engine.not_held(recorded)
    assert said["base"].startswith(f"recorded in image python:3.11-slim, ran on this host's Python {base.python}")
    assert set(said) == {"base", "network", "host"}


def test_a_python_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(BaseMissing, match=r"no Python 3\.99 on this host") as caught:
        LocalEngine().base("host", "3.99")
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in caught.value.cause


def test_a_link_in_an_input_leads_no_other_input_out(engine: LocalEngine, base: Base, tmp_path: Path) -> None:
    folder, outside, workspace = tmp_path / "folder", tmp_path / "outside", tmp_path / "work"
    for path in (folder, outside, workspace):
        path.mkdir()
    (folder / "way-out").symlink_to(outside)
    (tmp_path / "blob").write_text("x")
    mounts = [Mount(folder, "in"), Mount(tmp_path / "blob", "in/way-out/planted")]
    with pytest.raises(EngineError, match="outside the job's folder"):
        engine.run(RunSpec(base=base, command=["true"], workspace=workspace, mounts=mounts))
    assert list(outside.iterdir()) == []
