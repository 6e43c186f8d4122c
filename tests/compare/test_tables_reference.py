"""The keyed comparison against a slow, obvious one, on random tables full of traps."""

from __future__ import annotations

import math
import random
from typing import Any

import pyarrow as pa
import pytest

from replay.compare.difference import Difference
from replay.compare.tables import compare_tables
from replay.record import OutputSpec

NUMBERS = [None, float("nan"), 0.0, -0.0, 1.0, 1.0 + 1e-12, 1.5, -2.0, 1e300, float("inf"), float("-inf")]
WHOLE = [None, 0, 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]
TEXTS = [None, "", "a", "A", "a ", "\n", "é", "e\u0301", "nan", "0"]
KEYS = [None, "", "a", "b", "c", "d", "e", "f"]

Rows = dict[tuple[Any, Any], dict[str, Any]]


def random_rows(random_: random.Random) -> Rows:
    keys = {(random_.choice(KEYS), random_.choice([None, 0, 1])) for _ in range(random_.randint(0, 14))}
    return {
        key: {"number": random_.choice(NUMBERS), "whole": random_.choice(WHOLE), "text": random_.choice(TEXTS)}
        for key in keys
    }


def changed_rows(rows: Rows, random_: random.Random) -> Rows:
    other = random_rows(random_)
    kept = {key: dict(row) for key, row in rows.items() if random_.random() < 0.8}
    for row in kept.values():
        for name, choices in (("number", NUMBERS), ("whole", WHOLE), ("text", TEXTS)):
            if random_.random() < 0.3:
                row[name] = random_.choice(choices)
    return {**{key: row for key, row in other.items() if random_.random() < 0.2}, **kept}


def as_table(rows: Rows, random_: random.Random) -> pa.Table:
    items = list(rows.items())
    random_.shuffle(items)
    columns = {
        "k": pa.array([key[0] for key, _ in items], pa.string()),
        "n": pa.array([key[1] for key, _ in items], pa.int64()),
        "number": pa.array([row["number"] for _, row in items], pa.float64()),
        "whole": pa.array([row["whole"] for _, row in items], pa.int64()),
        "text": pa.array([row["text"] for _, row in items], pa.string()),
    }
    table = pa.table(columns)
    if random_.random() < 0.5:
        table = table.set_column(4, "text", table["text"].dictionary_encode())
    cut = random_.randint(0, len(items))
    return pa.concat_tables([table.slice(0, cut), table.slice(cut)], promote_options="permissive")


def equal(a: Any, b: Any) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or a == b


def reference(good: Rows, bad: Rows) -> dict[str, Any]:
    """Count the findings one cell after the other."""
    common = good.keys() & bad.keys()
    found: dict[str, Any] = {"removed": len(good.keys() - common), "added": len(bad.keys() - common)}
    for name in ("number", "whole", "text"):
        pairs = [(good[key][name], bad[key][name]) for key in common]
        found[f"{name} became null"] = sum(a is not None and b is None for a, b in pairs)
        found[f"{name} stopped"] = sum(a is None and b is not None for a, b in pairs)
        valued = [(a, b) for a, b in pairs if a is not None and b is not None and not equal(a, b)]
        found[f"{name} changed"] = len(valued)
        if name != "text":
            moved = [abs(b - a) for a, b in valued if math.isfinite(float(b)) and math.isfinite(float(a))]
            found[f"{name} largest"] = float(max(moved)) if moved else None
    return found


def summary(difference: Difference | None) -> dict[str, Any]:
    """Read the same counts from the findings."""
    children = difference.children if difference else ()
    figures = {(child.name, child.kind): child.numbers for child in children}
    rows = figures.get(("rows", "rows"), {})
    found: dict[str, Any] = {"removed": rows.get("removed", 0), "added": rows.get("added", 0)}
    for name in ("number", "whole", "text"):
        nulls, cells = figures.get((name, "nulls"), {}), figures.get((name, "cells"), {})
        found[f"{name} became null"] = nulls.get("became_null", 0)
        found[f"{name} stopped"] = nulls.get("stopped_being_null", 0)
        found[f"{name} changed"] = cells.get("changed", 0)
        if name != "text":
            found[f"{name} largest"] = cells.get("largest_absolute")
    return found


@pytest.mark.parametrize("seed", range(200))
def test_counts_as_the_reference_does(seed: int) -> None:
    random_ = random.Random(seed)
    good = random_rows(random_)
    bad = changed_rows(good, random_)
    spec = OutputSpec(path="x", key=("k", "n"))
    difference = compare_tables("x", as_table(good, random_), as_table(bad, random_), spec)
    assert summary(difference) == reference(good, bad)


@pytest.mark.parametrize("seed", range(50))
def test_a_table_equals_itself_in_any_order(seed: int) -> None:
    random_ = random.Random(seed)
    rows = random_rows(random_)
    for key in (("k", "n"), ()):
        difference = compare_tables(
            "x", as_table(rows, random_), as_table(rows, random_), OutputSpec(path="x", key=key)
        )
        assert difference is None or [child.kind for child in difference.children] == ["order"]
