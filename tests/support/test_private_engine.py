"""The private engine is gone when it is done, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).resolve().parents[2]

HOLD = [sys.executable, "-m", "tests.support.private_engine", "--", "sh", "-c", "echo $DOCKER_HOST; exec sleep 600"]


def processes_in(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if f"{folder}/".encode() in line:
            found.append(line.decode(errors="replace"))
    return found


@pytest.mark.docker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_process_and_no_folder(number: signal.Signals) -> None:
    if os.geteuid() != 0:
        pytest.skip("starting an engine needs root")
    with subprocess.Popen(HOLD, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        host = holder.stdout.readline().strip()
        folder = Path(host.removeprefix("unix://")).parent
        assert docker.DockerClient(base_url=host).ping()
        assert processes_in(folder)
        holder.send_signal(number)
        assert holder.wait(60) == 128 + number
    assert not folder.exists()
    assert processes_in(folder) == []


@pytest.mark.docker
def test_the_command_gets_the_engine_and_its_exit_code_is_passed_on(docker_host: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("starting an engine needs root")
    script = "import docker, os, sys; sys.exit(3 if docker.from_env().ping() else 4)"
    command = [*HOLD[:4], sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr


def test_tests_without_the_mark_reach_no_engine() -> None:
    with pytest.raises(docker.errors.DockerException):
        docker.from_env().ping()


@pytest.mark.docker
def test_tests_with_the_mark_reach_the_tests_engine(docker_host: str, base_image: Callable[[str], str]) -> None:
    client = docker.from_env()
    assert os.environ["DOCKER_HOST"] == docker_host
    assert (
        client.containers.run(
            base_image("bookworm"), ["python", "-c", "print(6 * 7)"], network_mode="none", remove=True
        )
        == b"42\n"
    )


SKIPPED = """
import pytest

@pytest.mark.docker
def test_in_a_container(docker_host): ...

@pytest.mark.skip(reason="on holiday")
def test_on_holiday(): ...

def test_here(): ...
"""


def test_the_last_lines_name_what_did_not_run_and_why(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED)
    (tmp_path / "conftest.py").write_text(
        (ROOT / "tests" / "conftest.py").read_text().replace("parents[1]", f"parents[0] / {str(ROOT)!r}")
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = docker: x")
    environment = {**os.environ, "REPLAY_TEST_NO_ENGINE": "no engine today"}
    environment.pop("REPLAY_TEST_DOCKER_HOST", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-3:] == [
        "did not run (2):",
        "  test_some.py::test_in_a_container: no engine today",
        "  test_some.py::test_on_holiday: on holiday",
    ]
