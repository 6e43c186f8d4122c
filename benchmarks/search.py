"""How many probes the search takes: `make bench-search [LOCKS=FOLDER]`. Prints a Markdown table.

LOCKS is a folder with two locks of one project, each a list of name, version and requires_dist. Without it a graph
like theirs is made up. docs/decisions/0020-search.md says what is counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.bisect.problems import (
    Oracle,
    Problem,
    flat,
    layer_by_layer,
    layered,
    locks,
    made_up_locks,
    ordered,
    read_locks,
    to_the_answer,
    with_proof,
)

WORDS = {1: "one culprit", 2: "two together", 3: "three together"}
KINDS = {"one": "one culprit", "pair": "two in one layer", "across": "two across layers", "two": "two independent"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has picire and bugdoc")
    parser.add_argument("--locks", type=Path, metavar="FOLDER", help="two locks as JSON")
    parser.add_argument("--limit", type=int, default=200, help="problems a row")
    chosen = parser.parse_args()
    head = "| problem | to the answer | with the proof | could not run | ddmin (picire) | ddmin: could not run "
    print(head + "| BugDoc (Shortcut) | BugDoc: could not run |\n|---|---|---|---|---|---|---|---|")
    for size in (32, 128):
        for together, words in WORDS.items():
            problems = list(flat(size, together, chosen.limit))
            row(f"{size} changes, {words}", problems, (to_the_answer, with_proof), chosen.peers)
    graph = read_locks(chosen.locks) if chosen.locks else made_up_locks()
    name = "two real locks" if chosen.locks else "two made-up locks"
    for together in (1, 2):
        problems = list(locks(*graph, together, chosen.limit))
        title = f"{name}, {len(problems[0].items)} changes, {WORDS[together]}"
        row(title, problems, (to_the_answer, with_proof), chosen.peers)
    for kind, words in KINDS.items():
        problems = list(layered(kind, chosen.limit))
        row(f"85 changes in 6 layers, sweep included, {words}", problems, (None, layer_by_layer), chosen.peers)


def row(
    title: str,
    problems: Sequence[Problem],
    searches: tuple[Callable[[Problem], Oracle] | None, Callable[[Problem], Oracle]],
    peers: str | None,
) -> None:
    """Print one line of means (and the largest): ours, ours with the proof, the peer's."""
    first, second = ([search(problem) for problem in problems] if search else [] for search in searches)
    cells = [_mean([len(oracle.asked) for oracle in oracles]) for oracles in (first, second)]
    cells.append(str(sum(oracle.unresolved for oracle in [*first, *second])))
    if peers:
        for theirs in ask(peers, problems).values():
            exact = statistics.mean(right for _, _, right in theirs)
            cells.append(_mean([asked for asked, _, _ in theirs]) + ("" if exact == 1 else f", exact in {exact:.0%}"))
            cells.append(_mean([failed for _, failed, _ in theirs]))
    else:
        cells += ["-", "-", "-", "-"]
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def ask(python: str, problems: Sequence[Problem]) -> dict[str, list[tuple[int, int, bool]]]:
    """Return what each peer needs for the same problems (or the first of them) and the same order of items."""
    told = [
        {
            "items": ordered(problem),
            "causes": [sorted(members) for members in problem.causes],
            "requires": {item: sorted(others) for item, others in problem.requires.items()},
        }
        for problem in problems
    ]
    script = Path(__file__).with_name("peers.py")
    done = subprocess.run([python, script], input=json.dumps(told), capture_output=True, text=True, check=True)
    found: dict[str, list[tuple[int, int, bool]]] = json.loads(done.stdout)
    return found


def _mean(counts: Sequence[int]) -> str:
    return f"{statistics.mean(counts):.1f} (at most {max(counts)})" if counts else "-"


if __name__ == "__main__":
    main()
