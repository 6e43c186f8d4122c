"""Runs a job as processes of the host: one log, and one end for all of them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from replay.engines.log import Log
from replay.errors import EngineError, Interrupted
from replay.record import Limits

_SUPERVISE = Path(__file__).with_name("supervise.py")
_GRACE = 10.0
"""Seconds that the supervisor has to clear up before it is killed itself."""

_KILLED = 128 + 9


@dataclass(frozen=True)
class Job:
    """What to start: `env` is the whole of its environment; `confine` gives up every privilege.

    `scratch` is a folder that is removed where the job is killed, even if this process is gone by then.
    """

    command: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    limits: Limits
    confine: bool = True
    scratch: Path | None = None


@dataclass(frozen=True)
class Ended:
    """How a job ended, with the meaning of `RunResult`'s fields."""

    exit_code: int | None
    ended: Literal["exit", "timeout", "killed"]
    started: str
    seconds: float
    log: bytes


class Runner:
    """Runs jobs, from any number of threads, and can end all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[_Supervised] = set()

    def run(self, job: Job) -> Ended:
        """Run to the end. Raises Interrupted after `interrupt`, EngineError where nothing can start."""
        supervised = _Supervised(job)
        with self._lock:
            self._under_way.add(supervised)
        try:
            return supervised.run()
        finally:
            with self._lock:
                self._under_way.discard(supervised)

    def interrupt(self) -> None:
        """End every job under way; each `run` raises Interrupted."""
        with self._lock:
            for supervised in self._under_way:
                supervised.interrupt()


def interrupted() -> Interrupted:
    """Return the error of a run that was stopped from outside."""
    return Interrupted(
        "the run was interrupted",
        cause="Ctrl-C, or the process was asked to end",
        do="run it again; nothing of this run is left",
    )


@contextlib.contextmanager
def ctrl_c() -> Iterator[None]:
    """Turn KeyboardInterrupt into Interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted() from None


def outcome(status: int) -> tuple[int | None, Literal["exit", "killed"]]:
    """Return exit code and end for a status as a shell counts it (128 + signal).

    SIGKILL comes from outside the job (a person, a system short of memory): that is `killed`.
    """
    return (None, "killed") if status == _KILLED else (status, "exit")


def utc(seconds: float) -> str:
    """Return a time in seconds since 1970 as UTC in ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Supervised:
    """One job under its supervisor (see `supervise.py`), which kills everything once the lifeline is cut."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._lifeline: IO[bytes] | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
        self._cut()

    def run(self) -> Ended:
        log = Log(self._job.secrets)
        with self._supervisor() as supervisor:
            timed_out = self._follow(supervisor, log)
            said = _read_report(supervisor)
        if self._interrupted:
            raise interrupted()
        code = said["code"]
        exit_code, ended = outcome(code if code >= 0 else 128 - code)
        if timed_out:
            return Ended(None, "timeout", utc(said["started"]), said["seconds"], log.end())
        return Ended(exit_code, ended, utc(said["started"]), said["seconds"], log.end())

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the supervisor and give it its order; nothing of it is left afterwards."""
        pipe = subprocess.PIPE
        supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISE)],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={},
            start_new_session=True,
        )
        self._lifeline = supervisor.stdin
        try:
            self._give_order()
            yield supervisor
        finally:
            self._cut()
            _finish(supervisor)

    def _give_order(self) -> None:
        job = self._job
        order = {
            "command": list(job.command),
            "folder": str(job.folder),
            "env": dict(job.env),
            "memory": job.limits.memory,
            "processes": job.limits.processes,
            "confine": job.confine,
            "scratch": None if job.scratch is None else str(job.scratch),
        }
        with self._lock:
            if self._lifeline is not None and not self._interrupted:
                self._lifeline.write(json.dumps(order).encode() + b"\n")
                self._lifeline.flush()

    def _follow(self, supervisor: subprocess.Popen[bytes], log: Log) -> bool:
        """Collect the log until everything has ended; return whether that took the timeout."""
        assert supervisor.stdout is not None
        deadline = time.monotonic() + self._job.limits.timeout
        timed_out = False
        with selectors.DefaultSelector() as selector:
            selector.register(supervisor.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    if timed_out:
                        return True
                    timed_out = True
                    self._cut()
                    deadline = time.monotonic() + _GRACE
                    continue
                piece = os.read(supervisor.stdout.fileno(), 1 << 16)
                if not piece:
                    return timed_out
                log.add(piece)

    def _cut(self) -> None:
        with self._lock:
            if self._lifeline is not None:
                with contextlib.suppress(OSError):
                    self._lifeline.close()


def _read_report(supervisor: subprocess.Popen[bytes]) -> Any:
    assert supervisor.stderr is not None
    text = supervisor.stderr.read()
    try:
        return json.loads(text)
    except ValueError:
        raise EngineError(
            "the job could not be started on this host",
            cause=text.decode(errors="replace").strip()[-500:] or "its supervisor was killed",
            do="see whether this host may start processes (`ulimit -a`), then run it again",
        ) from None


def _finish(supervisor: subprocess.Popen[bytes]) -> None:
    try:
        supervisor.wait(_GRACE)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    for pipe in (supervisor.stdout, supervisor.stderr):
        if pipe is not None:
            pipe.close()
