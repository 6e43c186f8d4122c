"""A container registry of our own for tests: Debian's `docker-registry`, own folder and port, gone afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "carrier", "correct horse"
_ACCOUNT = f"{USER}:$2b$04$IpprE25ZxZiRb9ve0/ZYg.jLDw6yhHSKv3zF6GNLv.By8LIiPm/he\n"
"""What `htpasswd -B` writes for them: bcrypt is all that the registry reads."""


class RegistryMissing(Exception):
    """No registry can be had here; the text is one line that says why."""


@dataclass(frozen=True)
class PrivateRegistry:
    """A running registry. `host` is its name with the port, `folder` holds what it keeps."""

    folder: Path
    host: str

    @property
    def blobs(self) -> Path:
        """Where it keeps blobs, by digest."""
        return self.folder / "docker/registry/v2/blobs/sha256"

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        name = digest.removeprefix("sha256:")
        return self.blobs / name[:2] / name / "data"


@contextlib.contextmanager
def private_registry(*, guarded: bool = False) -> Iterator[PrivateRegistry]:
    """Start a registry, with a password where it is `guarded`, and stop it in the end. Raises RegistryMissing."""
    program = _program()
    home = Path(tempfile.mkdtemp(prefix="replay-registry-", dir="/tmp"))
    host = f"127.0.0.1:{_free_port()}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(home / "kept")}},
        "http": {"addr": host},
    }
    if guarded:
        (home / "htpasswd").write_text(_ACCOUNT)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(home / "htpasswd")}}
    (home / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    try:
        with (home / "log").open("wb") as log:
            process = subprocess.Popen([program, "serve", str(home / "config.yml")], stdout=log, stderr=log)
        try:
            _await(host, process, home / "log")
            yield PrivateRegistry(home / "kept", host)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def logged_in(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """Write what `docker login` leaves into a folder; return the variable that names it."""
    folder.mkdir(exist_ok=True)
    entry = {"auth": b64encode(f"{user}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    return {"DOCKER_CONFIG": str(folder)}


def _await(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it wants a password: it is there
        except OSError:
            time.sleep(0.05)
    raise RegistryMissing(f"docker-registry does not start: {log.read_text('utf-8', 'replace').strip()[-300:]}")


def _program() -> str:
    with (Path(tempfile.gettempdir()) / "replay-registry-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (found := shutil.which("docker-registry")) is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install()
            found = shutil.which("docker-registry")
    if found is None:
        raise RegistryMissing("docker-registry is missing (on Debian or Ubuntu: apt-get install docker-registry)")
    return found


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "docker-registry"]):
        subprocess.run(
            ["apt-get", *command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
