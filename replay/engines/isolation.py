"""What a container may do: next to nothing (design 4.3)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.engines.host import host
from replay.record import Limits

if TYPE_CHECKING:
    from docker import APIClient

_FILES = 16384
"""How many files a process may have open."""

_NOBODY = "65534:65534"


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine that a container sees at the absolute path `target`."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Identity:
    """Whom a container's processes run as: `user` is `uid:gid` inside, `namespace` the user namespace's mode."""

    user: str
    namespace: str | None = None


def caller(security: Sequence[str] = (), podman: bool = False) -> Identity:
    """Return the identity whose files are the caller's own, outside.

    `security` are the engine's security options. A rootless engine gives the caller's files to its root
    (Docker), or keeps the caller's id on request (Podman).
    """
    own = f"{os.getuid()}:{os.getgid()}"
    if "name=rootless" not in [option.split(",")[0] for option in security]:
        return Identity(own)
    return Identity(own, "keep-id") if podman else Identity("0:0")


def job_user(identity: Identity) -> Identity:
    """Return whom a job runs as: the caller, but nobody in place of root."""
    return Identity(_NOBODY) if os.getuid() == 0 else identity


def settings(
    api: APIClient,
    *,
    image: str,
    command: Sequence[str],
    env: Mapping[str, str | None],
    folder: str,
    binds: Sequence[Bind],
    identity: Identity,
    limits: Limits,
    volumes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the arguments of `APIClient.create_container` for an isolated container.

    No network, read-only root, no capability, no new privileges; /tmp is the only scratch. Where no memory
    limit is asked for, seven eighths of the machine's memory are one, so that a job cannot take it down. A variable
    that is None in `env` is not set, whatever the image says. At `volumes` it gets volumes of its own.
    """
    from docker.types import LogConfig, Mount, Ulimit

    memory = (limits.memory or host().memory * 7 // 8) << 20
    mounts = [Mount(bind.target, str(bind.source), type="bind", read_only=bind.read_only) for bind in binds]
    mounts += [Mount(path, None, type="volume") for path in volumes]
    isolated = api.create_host_config(
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        userns_mode=identity.namespace,
        init=True,
        tmpfs={"/tmp": "rw,exec,nosuid,nodev,mode=1777"},  # noqa: S108 - the container's own
        mem_limit=memory,
        memswap_limit=memory,
        nano_cpus=None if limits.cpus is None else limits.cpus * 10_000_000,
        pids_limit=limits.processes,
        ulimits=[Ulimit(name="nofile", soft=_FILES, hard=_FILES), Ulimit(name="core", soft=0, hard=0)],
        mounts=mounts,
        log_config=LogConfig(type="none"),
    )
    return {
        "image": image,
        "entrypoint": [command[0]],
        "command": list(command[1:]),
        "environment": dict(env),
        "working_dir": folder,
        "user": identity.user,
        "hostname": "replay",
        "healthcheck": {"test": ["NONE"]},
        "host_config": isolated,
    }
