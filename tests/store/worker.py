"""A process that writes into a store, for tests that need several, or one that dies.

`worker.py write ROOT JOB COUNT` records runs and tags them; prints each once the store has answered.
`worker.py die ROOT COUNT POINT...` does so once for each point, in a forked process that kills itself with
SIGKILL before the POINTth of its calls that touch files; one that survives prints how many it made. Where ROOT
holds `{}` each has its own store.
`worker.py keep DATA ROOT POINT...` does that to one that keeps the files of a folder.
`worker.py scratch ROOT` makes a scratch folder, prints it and waits.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from replay.store.base import Resolved
from replay.store.folder import FolderStore
from tests.store.samples import add_state, record

TOUCHES_FILES = {"mkdir", "rmdir", "open", "close", "write", "flush", "fsync", "fchmod", "chmod", "utime", "rename"}
TOUCHES_FILES |= {"replace", "unlink", "flock", "truncate", "ftruncate"}


def write(root: Path, job: str, count: int) -> None:
    store = FolderStore.open(root)
    state = add_state(store, job)
    for number in range(count):
        run = store.add_run(record(store, state, number, job=job))
        say(f"run {run}")
        store.tag(f"{job}-{number}", Resolved(state, run))
        say(f"tag {job}-{number} {run}")


def snapshot(root: Path, data: Path) -> None:
    """Keep a table, the same grown, and small files; say what the store answered."""
    store = FolderStore.open(root)
    for file in (data / "before.bin", data / "after.bin"):
        say(f"kept {store.put_file(file).blob}")
    for entry in store.put_files(sorted(data.glob("*.txt"))):
        say(f"kept {entry.blob}")


def die(root: str, count: int, points: list[int], data: str = "") -> None:
    for point in points:
        own = Path(root.format(point))
        pid = os.fork()
        if pid == 0:
            if own.exists() and (findings := FolderStore.open(own).fsck()):
                say(f"unsound before {point}: {findings}")
            calls = kill_at(point)
            snapshot(own, Path(data)) if data else write(own, f"job{point}", count)
            sys.setprofile(None)
            say(f"survived {len(calls)}")
            os._exit(0)
        os.waitpid(pid, 0)


def kill_at(point: int) -> list[str]:
    """Kill this process before the `point`th call that touches files; return the list of them as it grows."""
    calls: list[str] = []

    def count(_frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in TOUCHES_FILES:
            calls.append(called.__name__)
            if len(calls) == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    return calls


def scratch(root: Path) -> None:
    store = FolderStore.open(root)
    folder = store.scratch("rerun")
    (folder / "locked").mkdir()
    (folder / "locked/file").write_text("x")
    (folder / "locked").chmod(0o500)
    say(str(folder))
    sys.stdin.read()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    if command == "write":
        write(Path(where), rest[0], int(rest[1]))
    elif command == "die":
        die(where, int(rest[0]), [int(point) for point in rest[1:]])
    elif command == "keep":
        die(rest[0], 0, [int(point) for point in rest[1:]], data=where)
    else:
        scratch(Path(where))
