"""The same oracle for other people's searches. Runs in an environment of its own: `pip install picire`.

Reads problems as JSON on standard input (items, causes, requires); prints, for each, how many unique mixes were
asked for, how many of them could not run, and whether the answer was the exact set.
"""

from __future__ import annotations

import json
import sys


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


def main() -> None:
    """Answer every problem on standard input."""
    results = []
    for problem in json.load(sys.stdin):
        oracle = Oracle(problem["items"], problem["causes"], problem["requires"])
        found = ddmin(oracle, problem["items"])
        unresolved = sum(outcome == "unresolved" for outcome in oracle.asked.values())
        results.append([len(oracle.asked), unresolved, found in map(oracle.closed, oracle.causes)])
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
