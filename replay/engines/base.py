"""The interface of an engine. Its contract suite is `tests/engines/contract.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from replay.engines.clock import Clock
from replay.environment.base import Base, Interpreter
from replay.record import EngineInfo, Host, Limits

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked for when nothing else says."""

HOST_NOT_HELD = "processor, kernel and memory are those of the machine that runs it"


@dataclass(frozen=True)
class Mount:
    """A host file or folder that the job sees at `target` (relative to the project's root), read-only."""

    source: Path
    target: str


@dataclass(frozen=True)
class RunSpec:
    """All that an engine needs to execute a job once.

    `services` is a folder with the stand-ins of the services it asks (see `replay.sources.desk`), or None.
    `workspace` is an empty private folder: the job's working folder, writable, thrown away afterwards by
    the caller. `mounts` are laid into it read-only. The parents of declared outputs exist in it.
    `environment` is the assembled tree of the locked packages (see `replay.environment.tree`), or None for
    a job that uses none, and where `image` (an id) is the base with those packages in it. `env` are the
    state's variables; `secrets` are passed through and are redacted from the log. `command[0] == "python"` is
    the state's interpreter. `clock` is the time the job shall read, None for the real one.
    """

    base: Base
    command: Sequence[str]
    workspace: Path
    mounts: Sequence[Mount] = ()
    environment: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    clock: Clock | None = None
    services: Path | None = None
    image: str | None = None


def led(services: str, python: str, command: Sequence[str]) -> list[str]:
    """Return the command that leads to the stand-ins in the folder `services` and then becomes `command`."""
    return [python, "-I", "-S", f"{services}/forward.py", *command]


@dataclass(frozen=True)
class RunResult:
    """How an execution ended. `seconds` is the job's own wall time; `log` its merged output, redacted,
    cut in the middle above 8 MiB. `exit_code` is None unless `ended` is `exit`."""

    exit_code: int | None
    ended: Literal["exit", "timeout", "killed", "out-of-memory"]
    started: str
    seconds: float
    log: bytes
    host: Host


class Engine(Protocol):
    """A place where a job runs on a base."""

    name: str

    def info(self) -> EngineInfo:
        """Return name and version. Raises EngineUnavailable where it does not answer."""
        ...

    def base(self, reference: str, python: str | None) -> Base:
        """Return the base that `reference` names now. Raises BaseMissing."""
        ...

    def require(self, base: Base) -> None:
        """Raise BaseMissing unless this very base can be run here."""
        ...

    def interpreter(self, base: Base) -> Interpreter:
        """Return the facts about a base's Python. Raises EngineError where it has none."""
        ...

    def run(self, spec: RunSpec) -> RunResult:
        """Execute once and leave nothing behind but what the job wrote into the workspace.

        A job's failure is a result, not an error. Raises EngineError where the engine itself failed and
        Interrupted on Ctrl-C; in both cases no container or process is left.
        """
        ...

    def interrupt(self) -> None:
        """End every run under way (from any thread, e.g. on Ctrl-C); each `run` raises Interrupted."""
        ...

    def python_tool(self, base: Base, script: str, folder: Path, timeout: int = 600) -> str:
        """Run a Python script (text) with the base's interpreter over a writable `folder` (its working
        folder), with no network; return its standard output. Used for bytecode. Raises EngineError."""
        ...

    def not_held(self, base: Base) -> dict[str, str]:
        """Return what this engine cannot hold fixed for a state with this base, and why."""
        ...


@runtime_checkable
class ImageEngine(Engine, Protocol):
    """An engine whose images can be read and built, so that a job can run on one that exists already."""

    def variables(self, base: Base) -> Mapping[str, str]:
        """Return the variables that an image sets, its PATH among them. Raises BaseMissing."""
        ...

    def export(self, base: Base, target: Path) -> None:
        """Write every file of an image into the tar archive `target`, running nothing. Raises EngineError."""
        ...

    def build(self, folder: Path, dockerfile: str) -> str:
        """Build the image of a Dockerfile in `folder`; return its id. Raises EngineError with the build's words."""
        ...
