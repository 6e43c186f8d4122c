"""What keeping input data costs beside its peers: `python benchmarks/snapshots.py [--size BYTES] [--files N]`.

A table of random bytes, the same with 1 % appended, and a folder of small files of 100 to 4,000 bytes. Every row is a
whole process on a warm page cache: wall and processor time, and by how much the repository grew. Rows take turns, so
that a busy moment hits all alike; the least of the rounds, since what disturbs only adds. Peers are restic and borg
from the PATH (no compression, no cipher where that can be chosen) and the dvc beside REPLAY_BENCH_PYTHON; those that
are not there are left out. TMPDIR says on which file system: a repository there is removed as soon as it is measured.
`--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from rounds import publish

OURS = """
import sys
from pathlib import Path
from replay.store.folder import FolderStore
source = Path(sys.argv[1])
files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
FolderStore.open(Path("store")).put_files(files)
"""
DVC = str(Path(os.environ.get("REPLAY_BENCH_PYTHON", sys.executable)).with_name("dvc"))
RESTIC = ["restic", "-q", "-r", "store", "--no-cache"]
Command = list[str]
Figures = tuple[float, float, int]
"""Wall and processor seconds, and bytes by which the repository grew."""

Found = dict[tuple[str, str], list[Figures]]
"""Wall seconds, processor seconds and bytes of growth, of every round, by peer and what it kept."""


@dataclass
class Peer:
    """A tool: what makes its repository, and what keeps a file or folder in it."""

    name: str
    start: list[Command]
    keep: Callable[[str], list[Command]]


PEERS = [
    Peer("replay", [], lambda path: [[sys.executable, "-c", OURS, path]]),
    Peer("sha256sum", [], lambda path: [["sh", "-c", f"find {path} -type f -exec sha256sum {{}} + >sums"]]),
    Peer("cp and sync", [], lambda path: [["sh", "-c", f"cp -r {path} copy && sync -f copy"]]),
    Peer(
        "restic",
        [[*RESTIC, "init"]],
        lambda path: [[*RESTIC, "backup", path]],
    ),
    Peer(
        "borg",
        [["borg", "init", "-e", "none", "store"]],
        lambda path: [["borg", "create", "-C", "none", f"store::{Path(path).name}", path]],
    ),
    Peer("dvc add", [["git", "init", "-q"], [DVC, "init", "-q"]], lambda path: [[DVC, "add", "-q", path]]),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000_000_000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    peers = [peer for peer in PEERS if all(shutil.which(c[0]) for c in [*peer.start, *peer.keep("x")])]
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="replay-snapshots-") as folder:
        data = Path(folder, "data")
        data.mkdir()
        make(data, options.size, options.files)
        for _ in range(options.rounds):
            for peer, names in product(peers, (["table", "grown"], ["small"])):
                for name, figures in kept(peer, data, names, folder):
                    found.setdefault((peer.name, name), []).append(figures)
    publish("snapshots", report(found, options.size, options.files, options.rounds))


def kept(peer: Peer, data: Path, names: list[str], folder: str) -> list[tuple[str, Figures]]:
    """Keep files or folders one after the other in a new repository, which is removed; return what each cost."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for command in peer.start:
            run(command, Path(work))
        return [(name, measured(peer, data, name, Path(work))) for name in names]


def make(data: Path, size: int, files: int) -> None:
    """Make the table, the grown table and the folder of small files."""
    chance = random.Random(1)
    with (data / "table").open("wb") as table:
        for start in range(0, size, 1 << 24):
            table.write(chance.randbytes(min(1 << 24, size - start)))
    shutil.copyfile(data / "table", data / "grown")
    with (data / "grown").open("ab") as grown:
        grown.write(chance.randbytes(size // 100))
    for number in range(files):
        file = data / "small" / str(number // 500) / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chance.randbytes(chance.randrange(100, 4000)))


def measured(peer: Peer, data: Path, name: str, work: Path) -> Figures:
    """Keep a file or folder; return wall and processor seconds, and by how many bytes the repository grew."""
    source = str(data / name)
    if peer.name == "dvc add":  # it takes only what lies in its own folder
        subprocess.run(["cp", "-r", source, str(work / name)], check=True)
        source = name
    os.sync()
    before = size_of(work)
    times, started = os.times(), time.perf_counter()
    for command in peer.keep(source):
        run(command, work)
    wall, after = time.perf_counter() - started, os.times()
    spent = after.children_user + after.children_system - times.children_user - times.children_system
    return wall, spent, size_of(work) - before


def run(command: Command, folder: Path) -> None:
    env = os.environ | {"RESTIC_PASSWORD": "x", "BORG_BASE_DIR": str(folder), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)[:200]}: {done.stderr[-800:]}")


def size_of(folder: Path) -> int:
    files = (path.lstat() for path in folder.rglob("*"))
    return sum(info.st_size for info in files if info.st_nlink < 3)


def report(found: Found, size: int, files: int, rounds: int) -> list[str]:
    titles = [f"{size / 1e9:g} GB, s", "processor, s", "GB/s", "1 % appended, s", "stored"]
    titles += [f"{files:,} small files, s", "processor, s", "stored"]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name in dict.fromkeys(name for name, _ in found):
        table, grown, small = (min(found[name, what]) for what in ("table", "grown", "small"))
        lines.append(
            f"| {name} | {table[0]:.2f} | {table[1]:.2f} | {size / 1e9 / table[0]:.2f} | {grown[0]:.2f} "
            f"| {100 * grown[2] / size:.2f} % | {small[0]:.2f} | {small[1]:.2f} | {small[2] / 1e6:.0f} MB |"
        )
    here, load = f"{platform.machine()}, {os.cpu_count()} cores", f"load {os.getloadavg()[0]:.1f} at the end"
    return [*lines, "", f"{here}, {time.strftime('%Y-%m-%d')}, best of {rounds}, {load}."]


if __name__ == "__main__":
    main()
