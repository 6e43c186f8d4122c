"""Runs jobs in containers, through the docker SDK: Docker's socket or Podman's."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.engines import clock, tool
from replay.engines.base import HOST_NOT_HELD, SYSTEM_PATH, Mount, RunResult, RunSpec, led
from replay.engines.cargo import Cargo, Delivery, delivery, is_remote, no_services
from replay.engines.connection import PATIENCE, Connection, client, connect
from replay.engines.container import Container, Exit, Take, engine_errors
from replay.engines.existing import build, export, other_machine, unwanted
from replay.engines.host import host
from replay.engines.images import Image, Images
from replay.engines.isolation import Bind, Identity, job_user, settings
from replay.engines.log import Log
from replay.engines.names import Names
from replay.engines.process import ctrl_c, outcome, utc
from replay.engines.warehouse import PATIENCE as CARRYING
from replay.engines.warehouse import Warehouse
from replay.engines.workspace import make_mountpoints, open_up
from replay.environment.base import Base, Interpreter
from replay.errors import BaseMissing, EngineError
from replay.record import EngineInfo, Host, Limits

if TYPE_CHECKING:
    from docker import APIClient

WORK = "/work"
ENVIRONMENT = "/opt/replay/env"
SERVICES = "/opt/replay/services"
INTERPOSER = "/opt/replay/clock/libfaketime.so.1"


class DockerEngine:
    """Runs jobs on images, isolated as the design (4.3) says. Thread-safe; connects at its first use.

    `docker_host` takes the place of DOCKER_HOST; `cache` is a folder in which facts about images are kept;
    `patience` is how many seconds the first answer may take.
    """

    name = "docker"

    def __init__(self, docker_host: str | None = None, *, cache: Path | None = None, patience: int = PATIENCE) -> None:
        self._docker_host = docker_host
        self._patience = patience
        self._lock = threading.RLock()
        self._under_way: set[Container] = set()
        names = Names(self._carrier, cache)
        self._images = Images(self._ask, names, cache)
        self.warehouse = Warehouse(self._carrier, names)
        self._connection: Connection | None = None
        self._carrying: APIClient | None = None

    def info(self) -> EngineInfo:
        """Return name and version. Raises EngineUnavailable where it does not answer."""
        found = self._connected()
        return EngineInfo(name=self.name, version=("Podman " if found.is_podman else "") + found.version["Version"])

    def base(self, reference: str, python: str | None) -> Base:
        """Return the image that `reference` names here now; nothing is pulled.

        Raises BaseMissing where there is none, or where its Python is not of version `python` (X.Y).
        """
        image = self._images.find(self._api, reference, reference)
        try:
            found = self._images.facts_of(self._api, image.id, reference, python)
        except EngineError as error:
            if (other := other_machine(image, self._connected().version, reference)) is not None:
                raise other from error
            raise
        return Base(
            kind="image",
            reference=reference,
            image=image.id,
            python=found.interpreter.version,
            os=found.os,
            machine=found.machine,
            os_packages=found.os_packages,
        )

    def variables(self, base: Base) -> Mapping[str, str]:
        """Return the variables that an image sets. Raises BaseMissing."""
        return {"PATH": SYSTEM_PATH, **self._image(base).variables}

    def export(self, base: Base, target: Path) -> None:
        """Write every file of an image into the tar archive `target`; nothing in it is run.

        Raises BaseMissing, EngineError.
        """
        with engine_errors(base.title):
            export(self._api, self._image(base).here, target)

    def build(self, folder: Path, dockerfile: str) -> str:
        """Build the image of a Dockerfile in the project's folder; return the engine's id of it. Raises EngineError."""
        with engine_errors(dockerfile):
            return build(self._api, folder, dockerfile)

    def require(self, base: Base) -> None:
        """Raise BaseMissing unless the very image, by its id, is in this engine."""
        self._image(base)

    def interpreter(self, base: Base) -> Interpreter:
        """Return the facts about an image's Python. Raises BaseMissing, or EngineError where it has none."""
        return self._images.facts_of(self._api, _id(base), base.title, base.python).interpreter

    def run(self, spec: RunSpec) -> RunResult:
        """Execute once; see `Engine.run`. A variable PATH of the state's own stands behind the environment's."""
        log = Log(spec.secrets)

        def take(out: bytes | None, err: bytes | None) -> None:
            log.add(out or err or b"")

        if spec.services is not None and self._copies:
            raise no_services(self._where()[0])
        make_mountpoints(spec.mounts, spec.workspace)
        identity = job_user(self._connected().identity)
        if os.getuid() == 0:
            _give(spec.workspace, identity.user)
        try:
            cargo = self._cargo(spec, identity) if self._copies else ()
            ended = self._run(self._settings(spec, identity), spec.limits.timeout, take, cargo)
        finally:
            open_up(spec.workspace)
        started, seconds = utc(ended.started), ended.seconds
        exit_code, how = outcome(ended.status)
        if ended.timed_out:
            return RunResult(None, "timeout", started, seconds, log.end(), self._host)
        if ended.out_of_memory and ended.status != 0:
            return RunResult(None, "out-of-memory", started, seconds, log.end(), self._host)
        return RunResult(exit_code, how, started, seconds, log.end(), self._host)

    def interrupt(self) -> None:
        """End every run under way, from any thread; each raises Interrupted."""
        with self._lock:
            for container in self._under_way:
                container.stop()

    def python_tool(self, base: Base, script: str, folder: Path, timeout: int = 600) -> str:
        """Run a script of Replay's own with the base's interpreter; see `Engine.python_tool`."""
        executable = self.interpreter(base).executable
        code, out, err = self._ask(self._image(base).here, [executable, *tool.FLAGS, script], folder, timeout)
        return tool.output(f"{executable} of {base.title}", code, out, err)

    def not_held(self, base: Base) -> dict[str, str]:
        """Return what a container on this engine leaves open, and why."""
        reason = clock.not_held(self.interpreter(base))
        return {"host": HOST_NOT_HELD} | ({"clock": reason} if reason else {})

    @property
    def delivery(self) -> Delivery:
        """How environments reach this engine. Raises EngineError where REPLAY_DELIVERY is another word."""
        return delivery(os.environ.get("REPLAY_DELIVERY", ""), *self._where())

    @property
    def _copies(self) -> bool:
        """Whether files go in and out by copying."""
        return self.delivery == "image" and is_remote(*self._where())

    def _where(self) -> tuple[str, str]:
        """Return the engine's address and product."""
        product = self._connected().version.get("Platform") or {}
        return self._docker_host or os.environ.get("DOCKER_HOST") or "", product.get("Name", "")

    def _cargo(self, spec: RunSpec, identity: Identity) -> list[Cargo]:
        """Return what is copied into a job's container where nothing can be mounted."""
        cargo = [Cargo(spec.workspace, WORK, identity.user, spec.mounts)]
        if spec.clock is not None:
            folder, name = posixpath.split(INTERPOSER)
            cargo.append(Cargo(None, folder, identity.user, [Mount(spec.clock.library, name)]))
        return cargo

    def _settings(self, spec: RunSpec, identity: Identity) -> dict[str, Any]:
        image = self._images.find(self._api, spec.image or _id(spec.base), spec.base.title)
        binds = [] if self._copies else [Bind(spec.workspace.absolute(), WORK, read_only=False)]
        if not self._copies:
            binds += [Bind(mount.source.absolute(), f"{WORK}/{mount.target}") for mount in spec.mounts]
        path = spec.env.get("PATH", image.path)
        held: dict[str, str] = {}
        if spec.clock is not None:
            binds += [] if self._copies else [Bind(spec.clock.library.absolute(), INTERPOSER)]
            held = clock.variables(
                spec.clock, INTERPOSER, spec.env if spec.base.contents else {**image.variables, **spec.env}
            )
        command = list(spec.command)
        # Of an image that was adopted the state holds all variables; what it has not is not set.
        unset = unwanted(image.variables, spec.env) if spec.base.contents else {}
        if spec.environment is not None:
            binds.append(Bind(spec.environment.absolute(), ENVIRONMENT))
        packed = spec.environment is not None or spec.image is not None
        if packed:
            path = f"{ENVIRONMENT}/bin:{path}"
        if command[0] == "python":
            inside = f"{ENVIRONMENT}/bin/python" if packed else self.interpreter(spec.base).executable
            command[0] = inside
        if spec.services is not None:
            binds.append(Bind(spec.services.absolute(), SERVICES))
            command = led(SERVICES, self.interpreter(spec.base).executable, command)
        return settings(
            self._api,
            image=image.here,
            command=command,
            env={"HOME": "/tmp", **unset, **spec.env, **spec.secrets, "PATH": path, **held},  # noqa: S108 - its own
            folder=WORK,
            binds=binds,
            identity=identity,
            limits=spec.limits,
            volumes=(WORK, posixpath.dirname(INTERPOSER)) if self._copies else (),
        )

    def _image(self, base: Base) -> Image:
        """Return a base's very image. Raises BaseMissing."""
        return self._images.find(self._api, _id(base), base.reference)

    def _ask(
        self, image: str, command: Sequence[str], work: Path | None = None, timeout: int = PATIENCE
    ) -> tuple[int | None, bytes, bytes]:
        """Run a script of Replay's own as the caller, in the folder `work`.

        Return exit code (None: too long), output and errors.
        """
        output, errors = bytearray(), bytearray()

        def take(out: bytes | None, err: bytes | None) -> None:
            output.extend(out or b"")
            errors.extend(err or b"")

        identity = self._connected().identity
        copied = work is not None and self._copies
        asked = settings(
            self._api,
            image=image,
            command=command,
            env=tool.VARIABLES,
            folder=WORK if work else "/",
            binds=[Bind(work.absolute(), WORK, read_only=False)] if work and not copied else [],
            identity=identity,
            limits=Limits(),
            volumes=(WORK,) if copied else (),
        )
        ended = self._run(asked, timeout, take, [Cargo(work, WORK, identity.user)] if work and copied else ())
        return None if ended.timed_out else ended.status, bytes(output), bytes(errors)

    def _run(self, asked: dict[str, Any], timeout: int, take: Take, cargo: Sequence[Cargo] = ()) -> Exit:
        container = Container(self._api, asked, cargo)
        with self._lock:
            self._under_way.add(container)
        try:
            with ctrl_c():
                return container.run(timeout, take)
        finally:
            with self._lock:
                self._under_way.discard(container)

    @property
    def _api(self) -> APIClient:
        return self._connected().api

    def _carrier(self) -> APIClient:
        """Return a client of its own for what takes long."""
        with self._lock:
            if self._carrying is None:
                self._carrying = client(self._docker_host, CARRYING, self._api.api_version)
            return self._carrying

    @property
    def _host(self) -> Host:
        """The machine that runs the containers: this one, unless its kernel says that it is another."""
        version = self._connected().version
        kernel = f"Linux {version.get('KernelVersion', '')}"
        if kernel == host().kernel:
            return host()
        return Host(machine=version.get("Arch", ""), kernel=kernel)

    def _connected(self) -> Connection:
        """Connect at the first call."""
        with self._lock:
            if self._connection is None:
                self._connection = connect(self._docker_host, self._patience)
            return self._connection


def _id(base: Base) -> str:
    if base.image is None:
        raise BaseMissing(
            "the state was recorded on a host, not on an image",
            cause=f"it ran on Python {base.python} of {base.os or 'a host'}",
            do="use --engine local, or bind the job again on an image",
        )
    return base.image


def _give(workspace: Path, user: str) -> None:
    """Give the workspace to a job's user, as root."""
    uid, gid = (int(part) for part in user.split(":"))
    for folder, folders, files in os.walk(workspace):
        for name in (".", *folders, *files):
            os.chown(Path(folder) / name, uid, gid, follow_symlinks=False)
