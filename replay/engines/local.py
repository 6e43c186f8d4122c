"""The embedded default: jobs run as processes of this host, with the state's variables and nothing else."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from replay.engines import clock, facts, tool
from replay.engines.base import HOST_NOT_HELD, SYSTEM_PATH, RunResult, RunSpec, led
from replay.engines.host import host
from replay.engines.interpreters import find, minor
from replay.engines.process import Job, Runner, ctrl_c
from replay.engines.workspace import discard, lay_in, open_up
from replay.environment.base import Base, Interpreter
from replay.record import EngineInfo


class LocalEngine:
    """Runs jobs on this host with an interpreter of the wanted X.Y. Holds neither base nor network.

    Thread-safe. The job gives up every privilege; `limits.cpus` is not held, `limits.memory` bounds the
    address space of each process, `limits.processes` is held unless Replay runs as root.
    """

    name = "local"
    confine = True

    def __init__(self) -> None:
        self._runner = Runner()
        self._found: dict[str | None, facts.Facts] = {}

    def info(self) -> EngineInfo:
        """Return name and the kernel that runs the jobs."""
        return EngineInfo(name=self.name, version=f"{platform.system()} {platform.release()}")

    def base(self, reference: str, python: str | None) -> Base:
        """Return this host with an interpreter of version `python` (X.Y), by default Replay's own.

        `reference` is kept as what was asked for; no image is looked for. Raises BaseMissing.
        """
        found = self._facts(python)
        return Base(
            kind="host",
            reference=reference,
            python=found.interpreter.version,
            os=found.os,
            machine=found.machine,
            os_packages=found.os_packages,
        )

    def require(self, base: Base) -> None:
        """Raise BaseMissing unless this host has an interpreter of the base's X.Y."""
        self._facts(minor(base.python))

    def interpreter(self, base: Base) -> Interpreter:
        """Return the host's interpreter of the base's X.Y. Raises BaseMissing."""
        return self._facts(minor(base.python)).interpreter

    def run(self, spec: RunSpec) -> RunResult:
        """Execute once; see `Engine.run`."""
        self.require(spec.base)
        with ctrl_c():
            return self._run(spec)

    def interrupt(self) -> None:
        """End every run under way, from any thread; each raises Interrupted."""
        self._runner.interrupt()

    def python_tool(self, base: Base, script: str, folder: Path, timeout: int = 600) -> str:
        """Run a script of Replay's own with the base's interpreter; see `Engine.python_tool`."""
        executable = self.interpreter(base).executable
        command = [executable, *tool.FLAGS, script]
        options: dict[str, Any] = {"cwd": folder, "env": tool.VARIABLES, "stdin": subprocess.DEVNULL}
        try:
            with ctrl_c():
                done = subprocess.run(command, capture_output=True, timeout=timeout, check=False, **options)
        except subprocess.TimeoutExpired:
            return tool.output(executable, None, b"", b"")
        return tool.output(executable, done.returncode, done.stdout, done.stderr)

    def not_held(self, base: Base) -> dict[str, str]:
        """Return what a run on this host leaves open, and why."""
        here = self._facts(minor(base.python))
        ran = f"ran on this host's Python {here.interpreter.version} ({here.os})"
        if base.kind == "image":
            told = f"recorded in image {base.title}, {ran}"
        else:
            told = f"recorded on Python {base.python} ({base.os}), {ran}; the local engine holds no image"
        left = {"base": told, "network": "the local engine cannot cut the network off", "host": HOST_NOT_HELD}
        reason = clock.not_held(here.interpreter)
        return left | ({"clock": reason} if reason else {})

    def _run(self, spec: RunSpec) -> RunResult:
        lay_in(spec.mounts, spec.workspace)
        scratch = Path(tempfile.mkdtemp(prefix="replay-home-"))
        try:
            ended = self._runner.run(
                Job(
                    command=self._led(spec),
                    folder=spec.workspace,
                    env=_timed(self._variables(spec, scratch), spec, scratch),
                    secrets=spec.secrets,
                    limits=spec.limits,
                    confine=self.confine,
                    scratch=scratch,
                )
            )
        finally:
            discard(scratch)
            open_up(spec.workspace)
        return RunResult(ended.exit_code, ended.ended, ended.started, ended.seconds, ended.log, host())

    def _facts(self, python: str | None) -> facts.Facts:
        if python not in self._found:
            self._found[python] = self._find(python)
        return self._found[python]

    def _find(self, python: str | None) -> facts.Facts:
        return find(python)

    def _led(self, spec: RunSpec) -> list[str]:
        """Return the command, led to its services where it has any."""
        command = self._command(spec)
        if spec.services is None:
            return command
        return led(str(spec.services.absolute()), self.interpreter(spec.base).executable, command)

    def _command(self, spec: RunSpec) -> list[str]:
        """Return the command, with `python` as the state's interpreter."""
        if spec.command[0] != "python":
            return list(spec.command)
        if spec.environment is not None:
            return [str(spec.environment.absolute() / "bin" / "python"), *spec.command[1:]]
        return [self.interpreter(spec.base).executable, *spec.command[1:]]

    def _variables(self, spec: RunSpec, home: Path) -> dict[str, str]:
        """Return the whole environment of the job: a path, a home of its own, the state's variables."""
        path = spec.env.get("PATH", SYSTEM_PATH)
        return {"HOME": str(home), "TMPDIR": str(home), **spec.env, **spec.secrets, "PATH": _with_bin(spec, path)}


def _timed(env: dict[str, str], spec: RunSpec, scratch: Path) -> dict[str, str]:
    """Return the job's variables with those that hold its clock."""
    if spec.clock is None:
        return env
    return env | clock.variables(spec.clock, clock.local_place(spec.clock.library.absolute(), scratch), env)


def _with_bin(spec: RunSpec, path: str) -> str:
    return path if spec.environment is None else f"{spec.environment.absolute() / 'bin'}:{path}"
