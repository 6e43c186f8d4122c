"""The recursive Difference: what every comparison returns (None means equal). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "bytes",  # opaque content differs
    "missing",  # only one side has it
    "order",  # same rows, different order
    "encoding",  # same values, different bytes
    "noise",  # differs within the tolerance that was declared or measured
    "rows",  # rows added or removed
    "column",  # a column added or removed
    "type",  # a column's type changed
    "nulls",  # values that became null or stopped being null
    "cells",  # changed values of one column
    "decision",  # flips of the decision column
    "distribution",  # PSI / KS of one column
    "path",  # a value at a path of a document
    "group",  # holds children only
]

HARMLESS: frozenset[str] = frozenset({"order", "encoding", "noise"})
"""Findings that never make two outputs behave differently: reported, not evidence."""


@dataclass(frozen=True)
class Difference:
    """One finding about `name`, with finer ones in `children`.

    `sentence` is for people (already free of control characters). `numbers` holds the figures behind it
    (counts as int; differences, PSI and KS as float, in the unit of the values).
    """

    name: str
    kind: Kind
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)
    children: tuple[Difference, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether this, or anything below it, is a change of behaviour."""
        if self.kind == "group":
            return any(child.matters for child in self.children)
        return self.kind not in HARMLESS

    @property
    def headline(self) -> str:
        """The first finding that matters: one output's summary rather than how many differ or one column's."""
        if self.kind != "group" or not self.children:
            return self.sentence
        return next((child for child in self.children if child.matters), self.children[0]).sentence

    def lines(self, indent: int = 0) -> list[str]:
        """Return the tree as indented lines, this finding first."""
        below = [line for child in self.children for line in child.lines(indent + 1)]
        return ["  " * indent + self.sentence, *below]

    def as_json(self) -> dict[str, Any]:
        """Return the tree as a JSON-ready document."""
        return {
            "name": self.name,
            "kind": self.kind,
            "matters": self.matters,
            "sentence": self.sentence,
            "numbers": self.numbers,
            "children": [child.as_json() for child in self.children],
        }
