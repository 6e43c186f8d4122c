"""The clock that a job reads in place of this machine's, through libfaketime (see docs/decisions/0012-clock.md).

All processes of a job share one moving clock: they get an offset from the real time, not a time to start at, so
that a process which starts a minute later reads a time a minute later. Only the wall clock is moved; what
measures durations (CLOCK_MONOTONIC, timeouts, sleeps) goes on as ever.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from replay.environment.base import Interpreter

LET_GO = "it was let go on request: the job read the time at which it ran"

_LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"
"""Where the distribution `libfaketime` of PyPI has the interposer; it needs glibc 2.7 or newer."""

_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i686", 40: "armv7l", 243: "riscv64", 22: "s390x", 21: "ppc64le"}
"""ELF's e_machine (elf.h) as wheels name machines."""

_SEPARATORS = frozenset(" :")
"""What the dynamic linker takes LD_PRELOAD apart at (ld.so(8))."""


@dataclass(frozen=True)
class Clock:
    """`start` is what the job's clock shows as it starts, in seconds since 1970; `library` the interposer's file."""

    start: float
    library: Path


def seconds(iso: str) -> float:
    """Return a time in ISO 8601 (UTC where it names no zone) in seconds since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(iso)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@functools.cache
def library() -> Path | None:
    """Return the interposer that is installed beside Replay, None where there is none."""
    found = importlib.util.find_spec("libfaketime")
    path = Path(found.origin).parent / _LIBRARY if found and found.origin else None
    return path if path is not None and path.is_file() else None


def not_held(interpreter: Interpreter) -> str | None:
    """Return why the clock of programs on this base cannot be held, None where it can."""
    file = library()
    if file is None:
        return "libfaketime is not installed beside Replay; the job reads the time at which it runs"
    platform = interpreter.platforms[0]
    if not platform.startswith("manylinux"):
        return f"libfaketime needs glibc, and this base is {platform}; the job reads the time at which it runs"
    if _SEPARATORS & set(tempfile.gettempdir()):
        return f"LD_PRELOAD cannot hold a path with a space or a colon: {tempfile.gettempdir()!r}"
    own = _machine(file)
    if not platform.endswith(f"_{own}"):
        return f"the libfaketime beside Replay is for {own}, this base is {platform}"
    return None


def caution(interpreter: Interpreter) -> str | None:
    """Return what a person should know of a held clock on this base.

    Before Python 3.11 a wait on a lock goes by the wall clock (sem_timedwait), which libfaketime's build on PyPI
    leaves alone: the deadline lies in the past, and the wait is over at once.
    """
    x, y = (int(part) for part in interpreter.version.split(".")[:2])
    if (x, y) >= (3, 11):
        return None
    return (
        f"the clock was held on Python {x}.{y}, where waiting for a lock with a timeout then ends at once; "
        "if the job does that, let the clock go (--clock now)"
    )


def variables(clock: Clock, place: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that hold the clock, with `place` the interposer's path as the job sees it.

    A library that the job preloads itself (`env`) stays, behind ours.
    """
    return {
        "LD_PRELOAD": ":".join(filter(None, [place, env.get("LD_PRELOAD")])),
        "FAKETIME": f"{clock.start - time.time():+.6f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "NO_FAKE_STAT": "1",
    }


def local_place(file: Path, scratch: Path) -> str:
    """Return a path of the interposer that LD_PRELOAD can hold: its own, or that of a link in `scratch`."""
    if not _SEPARATORS & set(str(file)):
        return str(file)
    link = scratch / "libfaketime.so.1"
    link.symlink_to(os.fspath(file.absolute()))
    return str(link)


def _machine(file: Path) -> str:
    with file.open("rb") as stream:
        head = stream.read(20)
    return _MACHINES.get(int.from_bytes(head[18:20], "little"), "another machine")
