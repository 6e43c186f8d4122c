"""Run all checks: ruff, mypy, and pytest with a private Docker Engine. `make test` and `make test-all` call this.

    python -m tests.support.run_tests [--all] [pytest's own arguments…]

The bases are built while the linters run. Ends with 0 only if everything that could run passed; what could not
run is named in the last lines.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.private_engine import EngineMissing, private_engine, run, say

ROOT = Path(__file__).resolve().parents[2]

CHECKS = {
    "ruff check": ["ruff", "check", "--quiet", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy", "--no-error-summary"],
}
# A test that hangs is stopped with its stack and named, rather than all of the run with it.
HANGS = ["-o", "faulthandler_timeout=300", "-o", "faulthandler_exit_on_timeout=true"]
WORKERS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


def main() -> int:
    """Run the checks and the tests; return the exit code."""
    everything = "--all" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    # A shell that starts us in the background has Ctrl-C ignored, and the tests of Ctrl-C would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        engine_environment() as environment,
        building(["bookworm", "trixie", "bullseye"] if everything else ["bookworm"]),
    ):
        failed = [name for name, command in CHECKS.items() if not passes(name, command)]
        say(f"pytest with {WORKERS} workers" + ("" if everything else ", without the slow tests (make test-all)"))
        selection = [] if everything else ["-m", "not slow"]
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS), "--dist", "worksteal", *HANGS]
        code = run([*pytest, *selection, *arguments], environment)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return code or int(bool(failed))


@contextlib.contextmanager
def engine_environment() -> Iterator[dict[str, str]]:
    """Yield the environment for pytest: with the engine to use, or with the reason why there is none."""
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        if "REPLAY_TEST_DOCKER_HOST" not in environment:
            try:
                environment["REPLAY_TEST_DOCKER_HOST"] = stack.enter_context(private_engine(install=True)).host
            except EngineMissing as error:
                environment["REPLAY_TEST_NO_ENGINE"] = str(error)
                say(f"no Docker Engine, so the container tests will not run: {error}")
        yield environment


@contextlib.contextmanager
def building(bases: list[str]) -> Iterator[None]:
    """Build bases beside the body; a test that needs one waits for it, and reports it if it fails."""
    command = [sys.executable, str(ROOT / "images" / "build.py")]
    builds = [subprocess.Popen([*command, base], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for base in bases]
    try:
        yield
    finally:
        for process in builds:
            process.terminate()
            process.wait()


def passes(name: str, command: list[str]) -> bool:
    """Run one check, print its output only where it fails."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    say(f"{name}: {'failed' if done.returncode else 'clean'} ({time.monotonic() - start:.1f} s)")
    if done.returncode:
        say(done.stdout + done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
