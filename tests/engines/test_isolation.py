from __future__ import annotations

import os
from pathlib import Path

from replay.engines.isolation import Identity, caller, job_user

OWN = f"{os.getuid()}:{os.getgid()}"


def test_the_caller_is_the_caller() -> None:
    assert caller(["name=seccomp,profile=default"]) == Identity(OWN)


def test_a_rootless_docker_gives_the_callers_files_to_its_root() -> None:
    assert caller(["name=seccomp", "name=rootless"]) == Identity("0:0")


def test_a_rootless_podman_keeps_the_callers_id() -> None:
    found = caller(["name=rootless"], podman=True)
    assert (found.user, found.namespace) == (OWN, "keep-id")
    assert found.processes is not None
    assert found.processes <= int(Path("/proc/sys/kernel/pid_max").read_text())


def test_no_job_is_root() -> None:
    user = job_user(Identity(OWN)).user
    assert user == ("65534:65534" if os.getuid() == 0 else OWN)
