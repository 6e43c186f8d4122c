"""What the benches share: whole commands in rounds, their medians, and the tables that docs/benchmarks.md keeps.

A table's block in the page stands between `<!-- NAME -->` and `<!-- /NAME -->`; with `--write` it is replaced.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/benchmarks.md"
REPLAY = [sys.executable, "-m", "replay"]

# Where a tool keeps Python from writing bytecode, every process would compile Replay anew: no user's does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def run(project: Path, *words: str, ok: Sequence[int] = (0,), environ: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; the bench stops where one fails."""
    variables = {**os.environ, **(environ or {})}
    done = subprocess.run(words, cwd=project, env=variables, capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}\n{said}")
    return done.stdout


def seconds(command: Callable[[], object]) -> float:
    """Return how long a command takes."""
    begin = time.perf_counter()
    command()
    return time.perf_counter() - begin


def measure(rows: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True) -> dict[str, float]:
    """Return the median seconds of each row; every row runs once a round, so that a busy moment hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(0 if warm_up else 1, rounds + 1):
        for name, command in rows.items():
            spent = seconds(command)
            if number:
                found[name].append(spent)
        say(f"round {number} of {rounds}" + (" (warm-up)" if not number else ""))
    return {name: statistics.median(each) for name, each in found.items()}


def machine(rounds: int) -> str:
    """Return the line that says where and when something was measured."""
    here = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{here}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, median of {rounds}, {load}."


def publish(name: str, lines: Sequence[str]) -> None:
    """Print a table; with `--write` on the command line, put it into docs/benchmarks.md as well."""
    block = "\n".join(lines)
    print(block, end="\n\n", flush=True)
    if "--write" in sys.argv:
        page = PAGE.read_text("utf-8")
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in page or end not in page:
            raise SystemExit(f"{PAGE.name} has no block {begin}")
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        PAGE.write_text(re.sub(pattern, lambda _: f"{begin}\n{block}\n{end}", page, flags=re.DOTALL), "utf-8")


def option(name: str, default: int) -> int:
    """Return the number after `--name` on the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def say(message: str) -> None:
    """Print progress on standard error."""
    print(f"  {message}", file=sys.stderr, flush=True)
