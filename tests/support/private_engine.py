"""A Docker Engine of our own for tests and benchmarks: own folder, own socket, gone afterwards.

    python -m tests.support.private_engine [--base NAME]… -- COMMAND…    # runs COMMAND with DOCKER_HOST set

or `with private_engine() as engine: … engine.host`. It never touches an engine that the machine already has: the
daemon gets its own containerd, data, sockets and process ids, and no bridge and no firewall rules (containers run
with `--network none` or `host`). Needs root on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"dockerd": "docker.io", "mmdebstrap": "mmdebstrap", "podman": "podman"}
START_SECONDS = 60
STOP_SECONDS = 30

CONTAINERD = """version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/containerd.sock"
"""


class EngineMissing(Exception):
    """No engine can be had here; the text is one line that says why."""


class PrivateEngine:
    """A running engine. `host` is its DOCKER_HOST, `folder` all that it writes to."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder))
        # In place of the machine's own; image ids stay the digests of configs, also from Docker 29 on.
        (folder / "daemon.json").write_text('{"features": {"containerd-snapshotter": false}}')
        self._processes = [self._spawn("containerd", "--config", f"{folder}/containerd.toml")]
        self._processes.append(
            self._spawn(
                "dockerd",
                f"--containerd={folder}/containerd.sock",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host={self.host}",
                f"--storage-driver={driver}",
                f"--config-file={folder}/daemon.json",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--shutdown-timeout=5",
            )
        )

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # Out of the terminal's process group, so that Ctrl-C does not stop it before us; and should we be killed
        # outright, the kernel asks it to end.
        with (self.folder / f"{program}.log").open("wb") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", _which(program) or program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PATH": _search_path()},
            )

    def wait(self) -> None:
        """Return once it answers. Raises EngineMissing where it ends instead or takes too long."""
        import docker

        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._processes[1].poll() is None:
            with contextlib.suppress(Exception), contextlib.closing(docker.DockerClient(base_url=self.host)) as client:
                client.ping()
                return
            time.sleep(0.1)
        lines = (self.folder / "dockerd.log").read_text("utf-8", "replace").strip().splitlines()
        raise EngineMissing(f"dockerd does not start: {lines[-1] if lines else 'no message'}")

    def kill(self) -> None:
        """Kill the daemon as a crash would; what belongs to it is still removed at the end."""
        self._processes[1].kill()
        self._processes[1].wait()

    def stop(self) -> None:
        """End the daemons and what they left running, and remove the folder."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in _processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _ in range(50):
            for mount in _mounts_below(self.folder):
                subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)


@contextlib.contextmanager
def private_engine(*, install: bool = False) -> Iterator[PrivateEngine]:
    """Start an engine, hand it out, and remove it whatever happens. Use it from the main thread.

    With `install`, what is missing is installed where that can be done. Raises EngineMissing.
    """
    _require(install)
    previous: dict[signal.Signals, Any] = {
        number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    engine = _engine("overlay2")
    try:
        try:
            engine.wait()
        except EngineMissing:
            engine.stop()
            engine = _engine("vfs")
            engine.wait()
        yield engine
    finally:
        previous[signal.SIGINT] = signal.getsignal(signal.SIGINT)
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        engine.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def install_tools() -> None:
    """Install what is missing of dockerd, mmdebstrap and podman, saying so: as root on Debian or Ubuntu."""
    missing = [package for program, package in PACKAGES.items() if not _which(program)]
    release = Path("/etc/os-release").read_text("utf-8") if Path("/etc/os-release").exists() else ""
    if not missing or os.geteuid() != 0 or "debian" not in release or not _which("apt-get"):
        return
    if "mmdebstrap" in missing:
        missing.append("debian-archive-keyring")
    say(f"installing {' '.join(missing)} with apt-get (once; containers need them)")
    environment = {**os.environ, "PATH": _search_path(), "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
    # One by one: a package that cannot be had does not keep the others away.
    for command in (["apt-get", "update", "-qq"], *([*install, package] for package in missing)):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode and "install" in command:
            lines = (done.stderr or done.stdout).strip().splitlines()
            say(f"apt-get could not install {command[-1]}: {lines[-1] if lines else 'no message'}")


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command, passing our own end on to it, and return its exit code."""
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def _engine(driver: str) -> PrivateEngine:
    # /var/tmp is a disk where /tmp may be memory, and its name is short enough for a socket's path.
    return PrivateEngine(Path(tempfile.mkdtemp(prefix="replay-engine-", dir="/var/tmp")), driver)


def _require(install: bool) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise EngineMissing("a private Docker Engine needs root on Linux (set REPLAY_TEST_DOCKER_HOST to use another)")
    if install:
        install_tools()
    for program in ("dockerd", "containerd", "setpriv"):
        if not _which(program):
            raise EngineMissing(f"{program} is missing (on Debian or Ubuntu: apt-get install docker.io)")


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def _which(program: str) -> str | None:
    return shutil.which(program, path=_search_path())


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _processes_of(folder: Path) -> list[int]:
    """Return the processes whose command line names the folder: the shims of containers that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


def _mounts_below(folder: Path) -> list[str]:
    """Return what is mounted under the folder, the deepest first (proc(5): field 5 of mountinfo)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def main() -> int:
    """Run a command with an engine of its own."""
    parser = argparse.ArgumentParser(description="Run a command with a private Docker Engine.")
    parser.add_argument("--base", action="append", default=[], help="load this base first (see images/)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND…")
    options = parser.parse_args()
    command = [part for part in options.command if part != "--"]
    try:
        with private_engine(install=True) as engine:
            environment = {**os.environ, "DOCKER_HOST": engine.host, "REPLAY_TEST_DOCKER_HOST": engine.host}
            for base in options.base:
                if run([sys.executable, "images/build.py", base, "--load"], environment):
                    return 2
            return run(command, environment)
    except EngineMissing as error:
        print(f"no Docker Engine: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
