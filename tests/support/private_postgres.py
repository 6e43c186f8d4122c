"""A PostgreSQL of our own for tests: own folder, own socket and port, an unprivileged user, gone afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class PostgresMissing(Exception):
    """No server can be had here; the text is one line that says why."""


@dataclass(frozen=True)
class PrivatePostgres:
    """A running server. `folder` holds its socket; every role may log in at `host`:`port` without a password."""

    folder: Path
    port: int
    host: str = "127.0.0.1"

    def uri(self, user: str, database: str = "postgres") -> str:
        """Return the URI by which `user` reaches a database over TCP."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def run(self, script: str, database: str = "postgres") -> None:
        """Run SQL as the superuser."""
        import psycopg

        with psycopg.connect(self.uri("postgres", database), autocommit=True) as connection:
            connection.execute(script)  # type: ignore[call-overload]


@contextlib.contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """Start a server and stop it in the end. Raises PostgresMissing."""
    binaries = _binaries()
    outer = Path(tempfile.mkdtemp(prefix="replay-pg-", dir="/tmp"))
    folder, port = outer / "home", _free_port()
    folder.mkdir()
    user = _unprivileged()
    if user is not None:
        outer.chmod(0o755)
        os.chown(folder, user.pw_uid, user.pw_gid)

    def call(*command: str) -> None:
        more = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        done = subprocess.run(
            command,
            cwd=folder,
            env={"HOME": str(folder), "LC_ALL": "C", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **more,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise PostgresMissing(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")

    control = str(binaries / "pg_ctl")
    options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        call(str(binaries / "initdb"), "-D", "db", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
        call(control, "-D", "db", "-l", "log", "-o", options, "-w", "start")
        try:
            yield PrivatePostgres(folder, port)
        finally:
            call(control, "-D", "db", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _binaries() -> Path:
    with (Path(tempfile.gettempdir()) / "replay-pg-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (found := _installed()) is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install()
            found = _installed()
    if found is None:
        raise PostgresMissing("PostgreSQL's server is missing (on Debian or Ubuntu: apt-get install postgresql)")
    return found


def _installed() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
    places += [Path(found).parent for found in (shutil.which("initdb"),) if found]
    return next((place for place in reversed(places) if (place / "initdb").is_file()), None)


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "postgresql"]):
        subprocess.run(
            ["apt-get", *command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom the server runs as where we are root, which it refuses."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _free_port() -> int:
    import socket

    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
