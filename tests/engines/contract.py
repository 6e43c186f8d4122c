"""What every engine promises. A test module subclasses `EngineContract` and gives `engine` and `base`."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from replay.engines import clock
from replay.engines.base import Engine, Mount, RunResult, RunSpec
from replay.engines.docker import DockerEngine
from replay.environment.base import Base
from replay.errors import EngineError, Interrupted
from replay.record import Limits

Run = Callable[..., RunResult]


def python(code: str, *arguments: str) -> list[str]:
    """Return the command of a job that is one piece of Python."""
    return ["python", "-c", textwrap.dedent(code), *arguments]


def wait_for(what: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the first true value of `what`, asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing came within {seconds} s")


BEGAN = clock.seconds("2024-02-29T23:30:00Z")


def lent(start: float) -> clock.Clock:
    """Return a clock that shows `start`, with the library that is installed beside Replay."""
    library = clock.library()
    assert library is not None, "pip install libfaketime: Replay depends on it"
    return clock.Clock(start, library)


class EngineContract:
    """The promises of `replay.engines.base.Engine`."""

    making: str
    """Python that leaves this engine in `engine`, for tests that kill the process that uses it."""

    def of_the_base(self, base: Base) -> set[str]:
        """Return the names of the variables that the base itself sets."""
        return set()

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Path:
        folder = tmp_path / "workspace"
        folder.mkdir()
        return folder

    @pytest.fixture
    def run(self, engine: Engine, base: Base, workspace: Path) -> Run:
        def run(command: Sequence[str], **more: Any) -> RunResult:
            return engine.run(RunSpec(base=base, command=command, workspace=workspace, **more))

        return run

    def leftovers(self, marker: str) -> list[str]:
        """Return what still runs of a job whose command line holds `marker`."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in words and parent != "Z" and int(folder.name) != os.getpid():
                found.append(words.decode(errors="replace"))
        return found

    def test_runs_the_command_and_tells_how_it_ended(self, run: Run) -> None:
        job = """
            import sys, time
            print('out', flush=True)
            time.sleep(0.2)
            print('err', file=sys.stderr)
            sys.exit(3)
        """
        result = run(python(job))
        assert (result.exit_code, result.ended) == (3, "exit")
        assert result.log == b"out\nerr\n"
        assert 0 < result.seconds < 60
        assert result.started.endswith("Z")
        assert result.host.cores > 0
        assert result.host.memory > 0

    def test_a_base_tells_its_python(self, engine: Engine, base: Base, run: Run) -> None:
        interpreter = engine.interpreter(base)
        said = run(python("import platform, sys; print(platform.python_version(), sys.implementation.cache_tag)"))
        assert said.log.decode().split() == [interpreter.version, interpreter.cache_tag]
        assert base.python == interpreter.version
        assert interpreter.platforms[-1] == f"linux_{base.machine}"
        assert engine.require(base) is None

    def test_starts_in_the_workspace_and_leaves_outputs_there(self, run: Run, workspace: Path) -> None:
        (workspace / "out").mkdir()
        result = run(python("import os; open('out/scores.csv', 'w').write('1\\n'); print(os.listdir('.'))"))
        assert result.log == b"['out']\n"
        assert (workspace / "out/scores.csv").read_text() == "1\n"

    def test_an_output_that_its_job_locked_up_can_still_be_read(self, run: Run, workspace: Path) -> None:
        job = "import os; os.mkdir('out'); open('out/a', 'w').write('x'); os.chmod('out/a', 0); os.chmod('out', 0)"
        assert run(python(job)).exit_code == 0
        assert (workspace / "out/a").read_text() == "x"
        assert stat.S_IMODE((workspace / "out").stat().st_mode) & 0o700 == 0o700

    def test_variables_are_those_of_the_state(self, run: Run, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OF_THE_CALLER", "leaked")
        result = run(["env"], env={"TZ": "Asia/Almaty", "EMPTY": ""}, secrets={"TOKEN": "hush-hush"})
        found = dict(line.split("=", 1) for line in result.log.decode().splitlines())
        assert found.pop("TZ") == "Asia/Almaty"
        assert found.pop("EMPTY") == ""
        assert found.pop("TOKEN") == "[secret TOKEN]"
        assert set(found) <= {"PATH", "HOME", "TMPDIR", "HOSTNAME", *self.of_the_base(base)}

    def test_inputs_are_read_only(self, run: Run, tmp_path: Path, workspace: Path) -> None:
        file, folder = tmp_path / "blob", tmp_path / "features"
        file.write_text("a,b\n")
        file.chmod(0o644)
        (folder / "deep").mkdir(parents=True)
        (folder / "deep/one.py").write_text("ONE = 1\n")
        mounts = [Mount(file, "data/customers.csv"), Mount(folder, "features")]
        job = """
            import os
            print(open('data/customers.csv').read(), open('features/deep/one.py').read())
            for attempt in (lambda: open('data/customers.csv', 'w'), lambda: open('features/deep/one.py', 'a'),
                            lambda: open('features/new', 'w'), lambda: os.remove('features/deep/one.py')):
                try:
                    attempt()
                    print('written')
                except OSError as error:
                    print('refused')
        """
        result = run(python(job), mounts=mounts)
        assert result.log.decode().split() == ["a,b", "ONE", "=", "1", *["refused"] * 4]
        assert file.read_text() == "a,b\n"

    def test_a_job_cannot_reach_the_source_of_an_input(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "blob"
        file.write_text("kept")
        run(python("import os; os.chmod('in', 0o666); open('in', 'w').write('spoilt')"), mounts=[Mount(file, "in")])
        assert file.read_text() == "kept"

    def test_an_executable_input_can_be_started(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "blob"
        file.write_text("#!/bin/sh\necho started\n")
        file.chmod(0o555)
        assert run(["./go"], mounts=[Mount(file, "go")]).log == b"started\n"

    def test_a_denied_input_is_denied(self, run: Run, tmp_path: Path) -> None:
        """Also to root: a job never has the right to overrule a mode."""
        file, folder = tmp_path / "blob", tmp_path / "folder"
        file.write_text("not for you")
        file.chmod(0)
        folder.mkdir()
        (folder / "inside").write_text("nor this")
        folder.chmod(0)
        job = """
            import os
            for attempt in (lambda: open('usage.csv').read(), lambda: os.listdir('billing')):
                try:
                    print(attempt())
                except PermissionError:
                    print('denied')
        """
        result = run(python(job), mounts=[Mount(file, "usage.csv"), Mount(folder, "billing")])
        folder.chmod(0o755)
        assert result.log == b"denied\ndenied\n"

    @pytest.mark.parametrize("target", ["../outside", "/etc/outside", "a/../../outside", ""])
    def test_an_input_cannot_be_laid_outside(self, run: Run, tmp_path: Path, target: str) -> None:
        (tmp_path / "blob").write_text("x")
        with pytest.raises(EngineError, match="laid in"):
            run(["true"], mounts=[Mount(tmp_path / "blob", target)])
        assert not (tmp_path / "outside").exists()

    def test_a_command_that_is_not_there_is_a_failed_job(self, run: Run) -> None:
        result = run(["no-such-command"])
        assert (result.exit_code, result.ended) == (127, "exit")
        assert b"no-such-command" in result.log

    def test_a_crash_is_counted_as_a_shell_does(self, run: Run) -> None:
        result = run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
        assert (result.exit_code, result.ended) == (128 + signal.SIGSEGV, "exit")

    def test_a_job_killed_from_outside_is_told_from_one_that_ended(self, run: Run) -> None:
        result = run(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
        assert (result.exit_code, result.ended) == (None, "killed")

    def test_timeout_ends_everything(self, run: Run) -> None:
        marker = f"marker-{os.getpid()}-timeout"
        job = """
            import subprocess, sys, time
            command = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]
            subprocess.Popen(command, start_new_session=True)
            print('waiting', flush=True)
            time.sleep(600)
        """
        result = run(python(job, marker), limits=Limits(timeout=2))
        assert (result.exit_code, result.ended) == (None, "timeout")
        assert result.log == b"waiting\n"
        assert self.leftovers(marker) == []

    def test_children_do_not_outlive_the_job(self, run: Run) -> None:
        marker = f"marker-{os.getpid()}-children"
        job = """
            import subprocess, sys
            for _ in range(3):
                command = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]
                subprocess.Popen(command, start_new_session=True)
        """
        assert run(python(job, marker)).exit_code == 0
        assert self.leftovers(marker) == []

    def test_a_huge_log_is_cut_in_the_middle(self, run: Run) -> None:
        job = "import sys\nprint('first')\nfor _ in range(200): sys.stdout.write('x' * 99_999 + '\\n')\nprint('last')"
        log = run(python(job)).log
        assert log.startswith(b"first\n")
        assert log.endswith(b"last\n")
        assert b"bytes cut here by Replay" in log
        assert 8 << 20 <= len(log) < (8 << 20) + 100

    def test_a_log_may_be_any_bytes(self, run: Run) -> None:
        every = bytes(range(256))
        assert run(python("import sys; sys.stdout.buffer.write(bytes(range(256)))")).log == every

    def test_a_secret_is_redacted_also_where_it_comes_in_pieces(self, run: Run) -> None:
        job = """
            import os, sys, time
            secret = os.environ['DB_PASSWORD']
            print('whole', secret)
            for part in ('split ', secret[:3], secret[3:8], secret[8:], '\\n'):
                sys.stdout.write(part)
                sys.stdout.flush()
                time.sleep(0.05)
        """
        result = run(python(job), secrets={"DB_PASSWORD": "correct horse battery"})
        assert result.log == b"whole [secret DB_PASSWORD]\nsplit [secret DB_PASSWORD]\n"

    def test_ended_from_another_thread(self, engine: Engine, run: Run) -> None:
        marker = f"marker-{os.getpid()}-thread"
        timer = threading.Thread(target=lambda: (wait_for(lambda: self.leftovers(marker)), engine.interrupt()))
        timer.start()
        with pytest.raises(Interrupted):
            run(python("import time; time.sleep(600)", marker))
        timer.join()
        assert self.leftovers(marker) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_nothing_is_left_when_replay_is_stopped(
        self, engine: Engine, base: Base, workspace: Path, number: signal.Signals
    ) -> None:
        marker = f"marker-{os.getpid()}-{number.name}"
        process = self.start_in_a_process_of_its_own(base, workspace, marker)
        wait_for(lambda: (workspace / "started").exists() or process.poll() is not None)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        if number == signal.SIGINT:
            assert process.returncode == 130, errors
            assert self.leftovers(marker) == []
        else:
            assert process.returncode == -signal.SIGKILL
            self.reap()
            wait_for(lambda: self.leftovers(marker) == [])

    def reap(self) -> None:
        """What the next start of this engine does about the leftovers of a killed one."""

    def start_in_a_process_of_its_own(self, base: Base, workspace: Path, marker: str) -> subprocess.Popen[str]:
        """Start a Replay process whose job says `started` and then sleeps."""
        program = f"""
            import sys
            from pathlib import Path
            from replay.engines.base import RunSpec
            from replay.environment.base import Base
            from replay.errors import Interrupted
            {self.making}
            base = Base.model_validate_json(sys.argv[1])
            job = "open('started', 'w').close(); import time; time.sleep(600)"
            try:
                engine.run(RunSpec(base=base, command=["python", "-c", job, sys.argv[3]], workspace=Path(sys.argv[2])))
            except Interrupted as error:
                sys.exit(error.exit_code)
        """
        arguments = [base.model_dump_json(), str(workspace), marker]
        command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def test_a_tool_works_over_a_folder(self, engine: Engine, base: Base, workspace: Path) -> None:
        (workspace / "json.py").write_text("raise SystemExit('a stranger was imported')")
        (workspace / "in").write_text("21")
        script = (
            "import json\nvalue = int(open('in').read())\nopen('out', 'w').write('42')\nprint(json.dumps(value * 2))"
        )
        assert engine.python_tool(base, script, workspace) == "42\n"
        assert (workspace / "out").read_text() == "42"
        assert (workspace / "out").stat().st_uid == os.getuid()

    def test_a_tool_that_fails_is_an_error_that_says_why(self, engine: Engine, base: Base, workspace: Path) -> None:
        with pytest.raises(EngineError, match="ValueError: no good"):
            engine.python_tool(base, "raise ValueError('no good')", workspace)
        with pytest.raises(EngineError, match="too long"):
            engine.python_tool(base, "import time; time.sleep(60)", workspace, timeout=1)

    def test_says_what_it_does_not_hold(self, engine: Engine, base: Base) -> None:
        assert "host" in engine.not_held(base)
        assert "clock" not in engine.not_held(base)

    def test_every_process_reads_one_clock_that_goes_on(self, run: Run) -> None:
        """A second process, started a second later, reads a second later: nothing starts again."""
        job = """
            import subprocess, time
            first = time.time()
            time.sleep(1)
            second = float(subprocess.run(["date", "+%s.%N"], capture_output=True, check=True).stdout)
            print(first, second - first)
        """
        first, gone = map(float, run(python(job), clock=lent(BEGAN)).log.split())
        assert BEGAN <= first < BEGAN + 60
        assert 1 <= gone < 10

    def test_only_the_wall_clock_is_moved(self, run: Run) -> None:
        """Durations, sleeps, timeouts and the times of files stay what they are; the job's time is a real one."""
        job = """
            import os, threading, time
            begin = time.monotonic()
            threading.Event().wait(0.3)
            time.sleep(0.3)
            open("new", "w").close()
            print(time.monotonic() - begin, os.stat("new").st_mtime)
        """
        result = run(python(job), clock=lent(BEGAN))
        passed, written = map(float, result.log.split())
        assert 0.6 <= passed < 5
        assert abs(written - time.time()) < 600
        assert 0.4 <= result.seconds < 30
        assert result.started[:4] == time.strftime("%Y", time.gmtime())

    def test_a_job_under_another_clock_is_stopped_in_time(self, run: Run) -> None:
        result = run(python("import time; time.sleep(60)"), clock=lent(BEGAN), limits=Limits(timeout=1))
        assert result.ended == "timeout"
        assert result.seconds < 30

    def test_what_the_job_preloads_itself_stays(self, run: Run) -> None:
        job = "import os, time; print(os.environ['LD_PRELOAD'].split(':')[1:], time.time())"
        said = run(python(job), clock=lent(BEGAN), env={"LD_PRELOAD": "libm.so.6"}).log.decode()
        assert said.startswith("['libm.so.6'] ")
        assert abs(float(said.split()[1]) - BEGAN) < 60


class ContainerContract(EngineContract):
    """What the container engine promises besides, whichever daemon answers: the isolation of a job."""

    making = "from replay.engines.docker import DockerEngine; engine = DockerEngine()"

    def reap(self) -> None:
        """The next start takes the containers of a killed process away."""
        DockerEngine().info()

    def test_there_is_no_network(self, run: Run) -> None:
        job = "import socket; print([name for _, name in socket.if_nameindex()])"
        assert run(python(job)).log == b"['lo']\n"

    def test_the_job_holds_no_rights(self, run: Run) -> None:
        job = """
            import os
            status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines())
            print([status[name] for name in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp')], os.getuid() == 0)
        """
        none = "0" * 16
        assert run(python(job)).log.decode() == f"{[none, none, none, '1', '2']} False\n"
