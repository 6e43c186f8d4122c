"""Podman's service of our own for tests: own storage, own socket, gone afterwards. Needs root on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.private_engine import EngineMissing, _mounts_below, _processes_of, _which

START_SECONDS = 30
INITS = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/docker-init", "/usr/bin/tini")

# No systemd and no cgroup delegation: what a container in CI has.
SETTINGS = """[containers]
init_path = "{init}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
init_path = "{init}"
"""


@contextlib.contextmanager
def private_podman() -> Iterator[str]:
    """Yield the DOCKER_HOST of a Podman service. Raises EngineMissing where none can be had."""
    podman, init = _which("podman"), next((path for path in INITS if Path(path).exists()), None)
    if os.geteuid() != 0 or podman is None or init is None:
        raise EngineMissing("needs root, podman and catatonit (on Debian or Ubuntu: apt-get install podman catatonit)")
    folder = Path(tempfile.mkdtemp(prefix="replay-podman-", dir="/var/tmp"))
    (folder / "containers.conf").write_text(SETTINGS.format(init=init))
    environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
    places = [f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp", "--cgroup-manager=cgroupfs"]
    try:
        command = [podman, *places, f"--storage-driver={_driver(podman, places, environment)}"]
        with (folder / "log").open("wb") as log:
            service = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "TERM",
                    *command,
                    "system",
                    "service",
                    "--time=0",
                    f"unix://{folder}/socket",
                ],
                env=environment,
                cwd=folder,  # where conmon leaves its notes
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(service, folder)
            yield f"unix://{folder}/socket"
        finally:
            service.terminate()
            service.wait()
    finally:
        _clear(folder)


def _driver(podman: str, places: list[str], environment: dict[str, str]) -> str:
    """Return the storage driver that works here: overlay, else vfs, which copies the image for every container."""
    command = [podman, *places, "--storage-driver=overlay", "info"]
    return "vfs" if subprocess.run(command, env=environment, capture_output=True, check=False).returncode else "overlay"


def _wait(service: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "socket").exists():
        if service.poll() is not None or time.monotonic() > deadline:
            lines = (folder / "log").read_text("utf-8", "replace").strip().splitlines()
            raise EngineMissing(f"podman does not start: {lines[-1] if lines else 'no message'}")
        time.sleep(0.05)


def _clear(folder: Path) -> None:
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    for _ in range(50):
        for mount in _mounts_below(folder):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
