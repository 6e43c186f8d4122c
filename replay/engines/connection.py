"""Finding a container engine and agreeing with it on a version of its API."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replay.engines.container import engine_errors, reap
from replay.engines.isolation import Identity, caller
from replay.errors import EngineUnavailable

if TYPE_CHECKING:
    from docker import APIClient

OLDEST = (1, 40)
"""The oldest version of the engine's API that will do."""

PATIENCE = 60
"""Seconds that an answer may take."""


@dataclass(frozen=True)
class Connection:
    """An engine that answers: its client, what it says of its `version`, and who the caller is there."""

    api: APIClient
    version: Mapping[str, Any]
    identity: Identity

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman's socket."""
        return _is_podman(self.version)


def client(docker_host: str | None, patience: int, version: str) -> APIClient:
    """Return a client that speaks this version of the API; `docker_host` takes the place of DOCKER_HOST."""
    from docker import APIClient
    from docker.utils import kwargs_from_env

    variables = {**os.environ, **({"DOCKER_HOST": docker_host} if docker_host else {})}
    return APIClient(version=version, timeout=patience, **kwargs_from_env(environment=variables))


def connect(docker_host: str | None, patience: int) -> Connection:
    """Ask an engine what it is, within `patience` seconds, and clear up what killed processes left there.

    Raises EngineUnavailable.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    where = docker_host or os.environ.get("DOCKER_HOST") or "its usual socket"
    try:
        # Asked once: Docker starts three programs to say its version, and the SDK would ask for its own sake as well.
        with contextlib.closing(client(docker_host, patience, ".".join(map(str, OLDEST)))) as first:
            version = first.version(api_version=False)
        new_enough(version)
        api = client(docker_host, PATIENCE, version["ApiVersion"])
        security = [] if os.getuid() == 0 else api.info().get("SecurityOptions") or []
    except (DockerException, RequestException, OSError) as error:
        raise EngineUnavailable(
            f"no container engine answers at {where}",
            cause=f"it does not run, or you may not use its socket ({error})",
            do="start Docker or Podman (or set DOCKER_HOST), or use --engine local",
        ) from error
    with engine_errors("(none)"):
        reap(api)
    return Connection(api, version, caller(security, _is_podman(version)))


def new_enough(version: Mapping[str, Any]) -> None:
    """Raise EngineUnavailable where an engine is older than what Replay asks of one; `version` as `docker version`."""
    spoken = str(version.get("ApiVersion", "0"))
    if tuple(int(part) for part in spoken.split(".") if part.isdigit()) < OLDEST:
        raise EngineUnavailable(
            f"the container engine is too old: {version.get('Version', '?')} speaks version {spoken} of the API",
            cause=f"Replay asks for {'.'.join(map(str, OLDEST))} (Docker 19.03, Podman 3) or newer",
            do="update it, or use --engine local",
        )


def _is_podman(version: Mapping[str, Any]) -> bool:
    return any("Podman" in part["Name"] for part in version.get("Components") or [])
