"""What a container may do: next to nothing (design 4.3)."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.engines.host import host
from replay.record import Limits

if TYPE_CHECKING:
    from docker import APIClient

_FILES = 16384
"""How many files a process may have open."""

_MOST_PROCESSES = 32768
"""The kernel's own bound where it does not say."""

_NOBODY = "65534:65534"


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine that a container sees at the absolute path `target`."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Identity:
    """Whom a container's processes run as: `user` is `uid:gid` inside, `namespace` the user namespace's mode.

    `processes` is how many that user may have on the whole machine, None: as the engine has it.
    """

    user: str
    namespace: str | None = None
    processes: int | None = None


def caller(security: Sequence[str] = (), podman: bool = False) -> Identity:
    """Return the identity whose files are the caller's own, outside.

    `security` are the engine's security options. A rootless engine gives the caller's files to its root
    (Docker), or keeps the caller's id on request (Podman). Podman asks for as many processes as the kernel knows, which
    it may not have: it is told a bound that holds anyway.
    """
    own = f"{os.getuid()}:{os.getgid()}"
    rootless = "name=rootless" in [option.split(",")[0] for option in security]
    if podman:
        return Identity(own, "keep-id" if rootless else None, _processes())
    return Identity("0:0" if rootless else own)


def _processes() -> int:
    """Return how many processes a user may surely have here: Podman's service runs under both of these bounds."""
    known = Path("/proc/sys/kernel/pid_max")
    kernel = int(known.read_text()) if known.exists() else _MOST_PROCESSES
    own = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return kernel if own == resource.RLIM_INFINITY else min(kernel, own)


def job_user(identity: Identity) -> Identity:
    """Return whom a job runs as: the caller, but nobody in place of root."""
    return replace(identity, user=_NOBODY, namespace=None) if os.getuid() == 0 else identity


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
    bounds = {"nofile": _FILES, "core": 0, "nproc": identity.processes}
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
        ulimits=[Ulimit(name=name, soft=most, hard=most) for name, most in bounds.items() if most is not None],
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
