"""What is said about one column: nulls apart, then changed cells, or flips, or noise. Pure."""

from __future__ import annotations

from typing import Any

from replay.compare.difference import Difference
from replay.compare.rows import SHOWN
from replay.compare.tally import Moved, Seen, Tally
from replay.compare.text import clean, count, figure, percent, ratio

FLIPS = 20
"""Kinds of flips kept in the figures; a sentence names the first five."""

NEAR = 64
"""Representable numbers between two floats up to which a sentence says so: rounding, not another result."""


def column_differences(tally: Tally, rows: int) -> list[Difference]:
    """Return the findings of one column over `rows` common rows. Empty for equal.

    A decision is never forgiven by a declared tolerance.
    """
    findings = _nulls(tally, rows)
    if tally.changed.count:
        findings.append(_flips(tally, rows) if tally.decision else _values(tally, rows))
    if tally.beyond.count:
        findings.append(_figures(tally, rows))
    elif tally.within.count:
        numbers = _largest(tally.within, rows)
        words = tally.tolerance.words(tally.by_declared, tally.by_floor)
        findings.append(_within(tally.name, tally.within.count, "cell", words, numbers))
    return findings


def type_difference(name: str, good: str | None, bad: str | None, *, cells: int) -> Difference | None:
    """Return the change of a column's logical type; `cells` is how many values changed beside it."""
    if good is None or bad is None or good == bad:
        return None
    same = "" if cells else "; the values read the same"
    return Difference(name, "type", f"{clean(name)}: type {good} -> {bad}{same}", {"good": good, "bad": bad})


def _nulls(tally: Tally, rows: int) -> list[Difference]:
    ways = ((tally.became, "became null"), (tally.stopped, "stopped being null"))
    parts = [f"{count(seen.count, 'value')} {words} ({_listed(seen)})" for seen, words in ways if seen.count]
    if not parts:
        return []
    numbers = {
        "rows": rows,
        "became_null": tally.became.count,
        "stopped_being_null": tally.stopped.count,
        "examples": [example.as_json() for seen, _ in ways for example in seen.first],
    }
    return [Difference(tally.name, "nulls", f"{clean(tally.name)}: {', '.join(parts)}", numbers)]


def _flips(tally: Tally, rows: int) -> Difference:
    """Return the flips of the decision column, from which to which; noise where repeats flip as many."""
    ways = sorted(tally.ways.items(), key=lambda way: (-way[1], way[0]))
    flips = [{"from": clean(good), "to": clean(bad), "count": times} for (good, bad), times in ways]
    numbers = _shared(tally.changed, rows) | {"flips": flips[:FLIPS]}
    if numbers["spread"] <= tally.tolerance.floor:
        return _within(tally.name, tally.changed.count, "decision", tally.tolerance.words(False, True), numbers)
    shown = ", ".join(f"{f['from']} -> {f['to']} {f['count']:,}" for f in flips[:5])
    more = f", and {len(flips) - 5} other ways" if len(flips) > 5 else ""
    changed = tally.changed.count
    head = f"{changed:,} of {count(rows, 'decision')} flipped ({percent(changed, rows)})"
    return Difference(tally.name, "decision", f"{clean(tally.name)}: {head}: {shown}{more}", numbers)


def _values(tally: Tally, rows: int) -> Difference:
    """Return changed cells that are no numbers (instants say how far); noise where repeats change as many."""
    numbers, changed = _shared(tally.changed, rows), tally.changed.count
    if numbers["spread"] <= tally.tolerance.floor:
        return _within(tally.name, changed, "cell", tally.tolerance.words(False, True), numbers)
    head = f"{clean(tally.name)}: {changed:,} of {count(rows, 'cell')} changed ({percent(changed, rows)})"
    if tally.seconds is not None:
        numbers["largest_seconds"] = tally.seconds
        head += f", by up to {figure(tally.seconds)} s"
    return Difference(tally.name, "cells", f"{head}: {_listed(tally.changed)}", numbers)


def _figures(tally: Tally, rows: int) -> Difference:
    """Return the changed cells of a number column that are beyond every tolerance."""
    numbers, changed, forgiven = _largest(tally.beyond, rows), tally.beyond.count, tally.within.count
    numbers["within_tolerance"] = forgiven
    words = tally.tolerance.words(tally.by_declared, tally.by_floor)
    also = f"; {forgiven:,} more differ within {words}" if forgiven else ""
    head = f"{clean(tally.name)}: {changed:,} of {count(rows, 'cell')} changed ({percent(changed, rows)})"
    return Difference(tally.name, "cells", f"{head}{_words_of(numbers)}{also}", numbers)


def _largest(moved: Moved, rows: int) -> dict[str, Any]:
    numbers = _shared(moved, rows) | {"not_finite": moved.not_finite}
    for name, top in (("absolute", moved.absolute), ("relative", moved.relative)):
        numbers[f"largest_{name}"] = top[0] if top else None
        if top:
            numbers[f"largest_{name}_at"] = top[1].as_json()
    if moved.ulps is not None:
        numbers["largest_ulps"] = moved.ulps
    numbers["spread"] = numbers["largest_absolute"] or 0.0
    return numbers


def _words_of(numbers: dict[str, Any]) -> str:
    parts = []
    for name in ("absolute", "relative"):
        top = numbers[f"largest_{name}"]
        if top is not None:
            by = figure(top) if name == "absolute" else ratio(top)
            where = numbers[f"largest_{name}_at"]
            same = name == "relative" and where == numbers["largest_absolute_at"]
            at = "there" if same else f"at {where['row']} ({where['good']} -> {where['bad']})"
            parts.append(f"largest {name} difference {by} {at}")
    if 0 < numbers.get("largest_ulps", 0) <= NEAR:
        parts.append(f"at most {count(numbers['largest_ulps'], 'float')} apart")
    if numbers["not_finite"]:
        first = next((e for e in numbers["examples"] if _odd(e)), numbers["examples"][0])
        parts.append(
            f"{numbers['not_finite']:,} to or from NaN or infinity ({first['row']}: {first['good']} -> {first['bad']})"
        )
    return "".join(f"; {part}" for part in parts)


def _odd(example: dict[str, str]) -> bool:
    return any(example[side] in ("nan", "inf", "-inf") for side in ("good", "bad"))


def _shared(seen: Seen, rows: int) -> dict[str, Any]:
    share = seen.count / rows
    examples = [example.as_json() for example in seen.first]
    return {"rows": rows, "changed": seen.count, "share": share, "spread": share, "examples": examples}


def _within(name: str, cells: int, noun: str, words: str, numbers: dict[str, Any]) -> Difference:
    verb = "differs" if cells == 1 else "differ"
    top = numbers.get("largest_absolute")
    largest = f"; largest {figure(top)}" if top is not None else ""
    return Difference(
        name, "noise", f"{clean(name)}: {count(cells, noun)} {verb}, all within {words}{largest}", numbers
    )


def _listed(seen: Seen) -> str:
    text = ", ".join(f"{e.row}: {e.good} -> {e.bad}" for e in seen.first)
    return text + (", …" if seen.count > SHOWN else "")
