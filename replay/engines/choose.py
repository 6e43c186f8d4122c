"""Which engine runs a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from replay.engines.base import Engine
from replay.engines.docker import DockerEngine
from replay.engines.local import LocalEngine
from replay.errors import EngineUnavailable

Name = Literal["auto", "docker", "local"]

_PATIENCE = 2
"""Seconds within which a container engine must answer to be chosen by `auto`."""


def choose(
    name: Name,
    *,
    docker_host: str | None = None,
    cache: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Return the engine of that name; `auto` is docker where it answers quickly, else local.

    `note` is called with one line that says why it was chosen. `docker_host` and `cache` as in
    `DockerEngine`. Raises EngineUnavailable where docker was asked for and does not answer.
    """
    if name == "local":
        note("local: asked for")
        return LocalEngine()
    if name == "docker":
        docker = DockerEngine(docker_host, cache=cache)
        note(f"docker {docker.info().version}: asked for")
        return docker
    docker = DockerEngine(docker_host, cache=cache, patience=_PATIENCE)
    try:
        note(f"docker {docker.info().version}: it answers")
    except EngineUnavailable as error:
        note(f"local: {error.what}")
        return LocalEngine()
    return docker
