"""Runs one job on the host and sees to it that nothing of the job outlives it.

A script of its own, started with Replay's interpreter by `replay.engines.process`; it imports nothing of
Replay. Its standard input is the lifeline: one line of JSON says what to run, and when the other end closes
(a timeout, Ctrl-C, or Replay itself was killed) everything the job started is killed. Standard output and
error of the job both go to standard output; how it ended goes as JSON to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

# linux/prctl.h and linux/capability.h
_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_LINUX = sys.platform == "linux"


def main() -> None:
    """Run the job that the first line of standard input describes; report how it ended."""
    order = _order()
    if _LINUX:
        _prctl(_SET_CHILD_SUBREAPER, 1)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    started, clock = time.time(), time.monotonic()
    job = os.fork()
    if job == 0:
        _become(order)
    status = _watch(job, wake)
    seconds = time.monotonic() - clock
    last = _sweep(job)
    if status is None:
        status = last
        _remove(order["scratch"])
    code = None if status is None else os.waitstatus_to_exitcode(status)
    print(json.dumps({"code": code, "started": started, "seconds": seconds}), file=sys.stderr)


def _order() -> Any:
    text = b""
    while not text.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            sys.exit(0)
        text += piece
    return json.loads(text)


def _watch(job: int, wake: int) -> int | None:
    """Wait for the job's end; return its status, or None once the lifeline is cut."""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready:
            return None
        os.read(wake, 512)
        status = _reap(job)
        if status is not None:
            return status


def _reap(job: int) -> int | None:
    """Collect every child that has ended; return the job's status where it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        _forget(pid, status)
        found = status if pid == job else found


def _sweep(job: int) -> int | None:
    """Kill whatever is left: the job's group, then every orphan as it is handed to this process."""
    found = None
    while True:
        for target in (-job, *_children()):
            try:
                os.kill(target, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return found
        _forget(pid, status)
        found = status if pid == job else found


def _forget(pid: int, status: int) -> None:
    """Remove what libfaketime shares with the children of a process, which a process that was killed leaves."""
    if os.WIFSIGNALED(status):
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            try:
                Path("/dev/shm", name).unlink(missing_ok=True)  # noqa: S108
            except OSError:
                pass


def _remove(scratch: str | None) -> None:
    """Remove the job's scratch folder: Replay may be gone and clear up nothing any more."""
    if scratch is not None:
        import shutil  # costs more than the rest of the start, and is rarely needed

        shutil.rmtree(scratch, ignore_errors=True)


def _children() -> list[int]:
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:
        return []


def _become(order: Any) -> None:
    """Turn this forked child into the job. Never returns."""
    command: list[str] = order["command"]
    try:
        os.setsid()
        os.umask(0o022)
        os.dup2(1, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(order["folder"])
        _limit(order["memory"], order["processes"])
        if order["confine"] and _LINUX:
            _confine()
        os.execvpe(command[0], command, order["env"])  # noqa: S606
    except (OSError, ValueError) as error:
        os.write(2, f"replay: cannot start {command[0]!r}: {getattr(error, 'strerror', error)}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _limit(memory: int | None, processes: int | None) -> None:
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))
    if processes is not None and os.getuid() != 0:
        # The limit counts every thread of the user, the job's or not.
        most = _threads() + processes
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _threads() -> int:
    """Return how many threads this user has."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                count += sum(1 for _ in (folder / "task").iterdir())
        except OSError:
            continue
    return count


def _confine() -> None:
    """Give up every capability for good, so that uid 0 too is held to the modes of files.

    With no_new_privs an exec cannot win back what the process does not hold (capabilities(7)).
    """

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    none = (ctypes.c_uint32 * 6)()
    _prctl(_SET_NO_NEW_PRIVS, 1)
    if _libc().capset(ctypes.byref(Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref(none)) != 0:
        raise OSError(ctypes.get_errno(), "cannot give up capabilities")


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main()
