"""One container, from its creation to its removal, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.engines.cargo import Cargo
from replay.engines.process import interrupted
from replay.errors import BaseMissing, EngineError
from replay.store.files import FULL, storing

if TYPE_CHECKING:
    from docker import APIClient

PID, START, BOOT, NAMESPACE = (f"dev.replay.{name}" for name in ("pid", "start", "boot", "namespace"))
"""Labels that tell which process a container belongs to: its id and start time, in which boot and namespace."""

_PATIENCE = 120
"""Seconds beyond a job's own timeout after which an engine that says nothing is given up."""

Take = Callable[[bytes | None, bytes | None], None]
"""Takes the next piece of standard output or of standard error."""


@dataclass(frozen=True)
class Exit:
    """How a container ended. `status` as a shell counts it; `started` in seconds since 1970."""

    status: int
    out_of_memory: bool
    timed_out: bool
    started: float
    seconds: float


class Container:
    """A container to be run once: `settings` are those of `APIClient.create_container`."""

    def __init__(self, api: APIClient, settings: Mapping[str, Any], cargo: Sequence[Cargo] = ()) -> None:
        self.name = f"replay-{os.getpid()}-{secrets.token_hex(4)}"
        self._api = api
        self._settings = settings
        self._cargo = cargo
        self._wake = threading.Event()
        self._asked_to_end = False
        self._timed_out = False

    def run(self, timeout: int, take: Take) -> Exit:
        """Run to the end and remove it. Raises EngineError, BaseMissing, and Interrupted after `stop`.

        It lives in a thread of its own, because Ctrl-C strikes the main thread anywhere, also between the
        creation of a container and the answer that it was created.
        """
        with ThreadPoolExecutor(1, thread_name_prefix=self.name) as pool:
            life = pool.submit(self._live, timeout, take)
            try:
                return life.result()
            except KeyboardInterrupt:
                self.stop()
                return life.result()

    def stop(self) -> None:
        """End it, from any thread; `run` raises Interrupted."""
        self._asked_to_end = True
        self._wake.set()

    def _live(self, timeout: int, take: Take) -> Exit:
        with engine_errors(self._settings["image"]), self._created():
            if self._asked_to_end:
                raise interrupted()
            for cargo in self._cargo:
                cargo.put(self._api, self.name)
            stream = self._api.attach(self.name, stream=True, demux=True)
            try:
                self._api.start(self.name)
                watch = threading.Thread(target=self._end_when_due, args=(timeout,), daemon=True)
                watch.start()
                for out, err in stream:
                    take(out, err)
                self._api.wait(self.name, timeout=timeout + _PATIENCE)
                state = self._api.inspect_container(self.name)["State"]
                self._wake.set()
                watch.join()
            finally:
                self._wake.set()
                with contextlib.suppress(OSError):
                    stream.close()
            for cargo in () if self._asked_to_end else self._cargo:
                cargo.take(self._api, self.name)
        if self._asked_to_end:
            raise interrupted()
        return self._exit(state)

    @contextlib.contextmanager
    def _created(self) -> Iterator[None]:
        labels = {name: value for name, value in owner().items() if value}
        try:
            self._api.create_container(**self._settings, name=self.name, labels=labels, use_config_proxy=False)
            yield
        finally:
            remove(self._api, self.name)

    def _end_when_due(self, timeout: int) -> None:
        """Kill the job after its timeout or when asked to; do nothing where it ended before."""
        self._timed_out = not self._wake.wait(timeout)
        if self._timed_out or self._asked_to_end:
            with contextlib.suppress(
                Exception
            ):  # it ended this very moment, or the stream tells that the engine is gone
                self._api.kill(self.name)

    def _exit(self, state: Mapping[str, Any]) -> Exit:
        started, finished = (datetime.fromisoformat(state[name]).timestamp() for name in ("StartedAt", "FinishedAt"))
        return Exit(
            status=state["ExitCode"],
            out_of_memory=bool(state.get("OOMKilled")),
            timed_out=self._timed_out,
            started=started,
            seconds=max(0.0, finished - started),
        )


def remove(api: APIClient, name: str) -> None:
    """Remove a container, running or not, with its volumes. Raises EngineError where it may be left."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        api.remove_container(name, v=True, force=True)
    except (DockerException, RequestException, OSError) as error:
        if isinstance(error, APIError) and error.status_code in (404, 409):
            return  # it is gone, or another process is removing it
        raise EngineError(
            f"the container {name} may be left behind: the engine does not answer",
            cause=f"the Docker Engine stopped while a job ran ({_last_line(error)})",
            do=f"start it again; the next replay command removes the container (or: docker rm -f {name})",
        ) from error


def reap(api: APIClient) -> None:
    """Remove the containers whose Replay process is gone."""
    here = owner()
    for found in api.containers(all=True, filters={"label": PID}):
        labels = found["Labels"]
        same_place = all(labels.get(name, "") == here[name] for name in (BOOT, NAMESPACE))
        if same_place and _start_of(labels[PID]) != labels.get(START, ""):
            remove(api, found["Id"])


@contextlib.contextmanager
def engine_errors(image: str) -> Iterator[None]:
    """Turn what the docker SDK raises into Replay's errors, a full disk of this machine into the store's."""
    from docker.errors import DockerException, ImageNotFound
    from requests.exceptions import RequestException

    try:
        yield
    except ImageNotFound as error:
        raise BaseMissing(
            f"the image {image} is not in this engine",
            cause="it was removed, or the state was recorded on another machine",
            do="pull or build it again, then repeat the command",
        ) from error
    except (DockerException, RequestException, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            with storing("write what the engine gave"):
                raise error
        said = _last_line(error)
        if "bind source path does not exist" in said:
            raise EngineError(
                "the Docker Engine does not see the files of this machine",
                cause=f"it runs elsewhere, or in a container of its own ({said})",
                do="point DOCKER_HOST at an engine that shares this file system, or use --engine local",
            ) from error
        raise EngineError(
            "the Docker Engine failed",
            cause=said,
            do="`docker info` and the daemon's log tell more; then repeat the command",
        ) from error


def owner() -> dict[str, str]:
    """Return the labels of what this process owns; empty values where the system does not say."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    pid = str(os.getpid())
    return {
        PID: pid,
        START: _start_of(pid),
        BOOT: boot.read_text().strip() if boot.exists() else "",
        NAMESPACE: str(namespace.stat().st_ino) if namespace.exists() else "",
    }


def _start_of(pid: str) -> str:
    """Return when a process started (field 22 of proc(5)'s stat), or an empty text where it is gone."""
    try:
        fields = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _last_line(error: Exception) -> str:
    said = str(getattr(error, "explanation", None) or error).strip().splitlines()
    return said[-1][-300:] if said else type(error).__name__
