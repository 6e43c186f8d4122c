"""The same oracle for other people's searches. Runs in an environment of its own: `pip install picire bugdoc`.

Reads problems as JSON on standard input (items, causes, requires); prints, by peer and for each problem, how many
unique mixes were asked for, how many of them could not run, and whether the answer was the exact set.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path

BUGDOC_PROBLEMS = 5
"""Problems of a row that BugDoc is given: each takes it a second of waiting, and its count is always the same."""


class Oracle:
    """Bad, good, or a mix that splits a requirement."""

    def __init__(self, items: list[str], causes: list[list[str]], requires: dict[str, list[str]]) -> None:
        self.whole = frozenset(items)
        self.causes = [frozenset(members) for members in causes]
        self.requires = {item: frozenset(others) for item, others in requires.items()}
        self.asked: dict[frozenset[str], str] = {}

    def closed(self, chosen: frozenset[str]) -> frozenset[str]:
        """Return a set with all that it requires: without that it cannot run, so it is as exact as can be."""
        more = chosen.union(*(self.requires.get(item, frozenset()) for item in chosen))
        return chosen if more == chosen else self.closed(more)

    def ask(self, mix: frozenset[str]) -> str:
        """Return the outcome of a mix; the two ends are not counted."""
        if any(not self.requires.get(item, frozenset()) <= mix for item in mix):
            outcome = "unresolved"
        else:
            outcome = "bad" if any(members <= mix for members in self.causes) else "good"
        if mix and mix != self.whole:
            self.asked[mix] = outcome
        return outcome


def ddmin(oracle: Oracle, items: list[str]) -> frozenset[str]:
    """Return picire's answer: a 1-minimal failing set (Zeller and Hildebrandt 2002); what cannot run passes."""
    from picire import DD, Outcome  # type: ignore[import-not-found]

    def test(config: list[str], _: object) -> object:
        return Outcome.FAIL if oracle.ask(frozenset(config)) == "bad" else Outcome.PASS

    return frozenset(DD(test)(items))


def bugdoc(oracle: Oracle, items: list[str]) -> frozenset[str]:
    """Return the answer of BugDoc's Shortcut (Lourenço, Freire and Shasha 2020), which is told both ends beforehand.

    It sends each pipeline it wants run to port 5557 and waits for its result on 5558: a thread answers it.
    """
    from bugdoc.algos.shortcut import AutoDebug  # type: ignore[import-not-found]

    ended = threading.Event()
    worker = threading.Thread(target=_answer, args=(oracle, items, ended))
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs.adb"
        ends = [{**dict.fromkeys(items, side), "result": str(not side)} for side in (False, True)]
        runs.write_text("".join(json.dumps(str(end)) + "\n" for end in ends), encoding="utf-8")
        debug = AutoDebug(max_iter=0, k=1)
        worker.start()
        try:
            believed, *_ = debug.run(str(runs), {item: [False, True] for item in items}, ["result"])
        finally:
            ended.set()
            worker.join()
    return frozenset(items[place] for place, value in believed if value)


def _answer(oracle: Oracle, items: list[str], ended: threading.Event) -> None:
    import zmq  # type: ignore[import-not-found]

    context = zmq.Context()
    wanted, results = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    wanted.connect("tcp://localhost:5557")
    results.connect("tcp://localhost:5558")
    while not ended.is_set():
        if wanted.poll(50):
            values = literal_eval(wanted.recv_string().split("|")[1])
            outcome = oracle.ask(frozenset(item for item, value in zip(items, values, strict=True) if value))
            said = {"bad": "False", "good": "True", "unresolved": "None"}[outcome]
            results.send_string(str([*values, said]))
    wanted.close()
    results.close()
    context.term()


def asked(
    search: Callable[[Oracle, list[str]], frozenset[str]], problems: list[dict[str, object]]
) -> list[tuple[int, int, bool]]:
    """Return what a search needs for each problem."""
    results = []
    for problem in problems:
        oracle = Oracle(problem["items"], problem["causes"], problem["requires"])  # type: ignore[arg-type]
        found = search(oracle, problem["items"])  # type: ignore[arg-type]
        unresolved = sum(outcome == "unresolved" for outcome in oracle.asked.values())
        results.append((len(oracle.asked), unresolved, found in map(oracle.closed, oracle.causes)))
    return results


def main() -> None:
    """Answer the problems on standard input."""
    logging.disable(logging.CRITICAL)
    problems = json.load(sys.stdin)
    found = {"ddmin": asked(ddmin, problems), "bugdoc": asked(bugdoc, problems[:BUGDOC_PROBLEMS])}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
