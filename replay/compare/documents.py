"""What differs between two documents (JSON, metrics) or two pieces of opaque content. Pure."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from replay.compare.difference import Difference
from replay.compare.text import clean, count, figure
from replay.compare.tolerance import WHOLE, Tolerance
from replay.errors import CompareError
from replay.record import OutputSpec

EXCERPT = 8
"""Lines shown of a text's difference."""

SMALL_TEXT = 64 * 1024
"""Bytes up to which a text's difference is shown line by line."""

PATHS = 50
"""Findings listed one by one; the others are counted."""

Path = tuple[str | int, ...]


def compare_documents(
    name: str, good: Any, bad: Any, spec: OutputSpec, noise: Mapping[str, float] | None = None
) -> Difference | None:
    """Return what differs between two JSON documents path by path, None where every value is equal.

    Lists are compared by position. 1 equals 1.0 (JSON has one kind of number) but not "1" nor true; NaN
    equals NaN. `noise` maps a path, as sentences write it, to its measured floor.
    Raises CompareError for documents nested too deeply.
    """
    findings = [_at(path, before, after, spec, noise) for path, before, after in changed_leaves(name, good, bad)]
    if not findings:
        return None
    findings.sort(key=lambda finding: not finding.matters)
    worse = sum(finding.matters for finding in findings)
    parts = [f"{count(worse, 'value')} changed"] if worse else []
    if worse < len(findings):
        parts.append(f"{count(len(findings) - worse, 'value')} within tolerance")
    more = f" (the first {PATHS} are listed)" if len(findings) > PATHS else ""
    unlisted = {f.name: f.numbers["spread"] for f in findings[PATHS:] if "spread" in f.numbers}
    numbers = {"changed": worse, "within_tolerance": len(findings) - worse, "unlisted": unlisted}
    sentence = f"{clean(name)}: {', '.join(parts)}{more}"
    return Difference(name, "group", sentence, numbers, tuple(findings[:PATHS]))


def changed_leaves(name: str, good: Any, bad: Any) -> list[tuple[Path, Any, Any]]:
    """Return (path, good value, bad value) wherever two documents differ; `ABSENT` where a side has nothing."""
    from deepdiff import DeepDiff
    from deepdiff.helper import notpresent

    try:
        # Down to the ends also where two objects share few keys (threshold 0): a parent's name would hide the key.
        tree = DeepDiff(
            good, bad, view="tree", ignore_nan_inequality=True, zip_ordered_iterables=True, threshold_to_diff_deeper=0
        )
        found = []
        for items in tree.values():
            for item in items:
                before, after = (ABSENT if side is notpresent else side for side in (item.t1, item.t2))
                if not _same_number(before, after):
                    found.append((tuple(item.path(output_format="list")), before, after))
    except RecursionError:
        raise too_deep(name) from None
    return sorted(found, key=lambda leaf: [(isinstance(step, str), step) for step in leaf[0]])


def matters(path: Path, before: Any, after: Any, spec: OutputSpec) -> bool:
    """Whether values at `path` lie further apart than `spec` tolerates. Raises CompareError as `Tolerance.of` does."""
    return _at(path, before, after, spec, None).matters


def leaves(document: Any) -> int:
    """Return how many values a document holds at its ends (an empty object or list is one)."""
    if isinstance(document, dict) and document:
        return sum(leaves(value) for value in document.values())
    if isinstance(document, list) and document:
        return sum(leaves(value) for value in document)
    return 1


def path_text(path: Path) -> str:
    """Return how a path is written: `metrics.auc`, `folds[0].loss`, `["odd key"]`; `(document)` for the root."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return text or "(document)"


def compare_bytes(name: str, good: bytes, bad: bytes, noise: Mapping[str, float] | None = None) -> Difference | None:
    """Return where two opaque contents part, None for equal bytes; small texts come with an excerpt.

    `noise` that names the whole (`WHOLE`) says that repeats of one state differ here too.
    """
    if good == bad:
        return None
    offset = _first_difference(good, bad)
    numbers = {"offset": offset, "size_good": len(good), "size_bad": len(bad)}
    sizes = f"{count(len(good), 'byte')} -> {count(len(bad), 'byte')}"
    sentence = f"{clean(name)}: bytes differ from offset {offset:,} on ({sizes})"
    if (noise or {}).get(WHOLE):
        return Difference(name, "noise", f"{sentence}, as they do between repeats", numbers | {"spread": 1.0})
    before, after = _small_text(good), _small_text(bad)
    lines = iter(()) if before is None or after is None else _excerpt(before, after)
    return Difference(name, "bytes", sentence, numbers, tuple(Difference("line", "bytes", line) for line in lines))


def too_deep(name: str) -> CompareError:
    """Return the error for a document that is nested too deeply to be walked."""
    return CompareError(
        f"{clean(name)} is nested too deeply to be compared",
        cause="a structure of some hundred levels, which no report needs",
        do="write a flatter document, or a file type that is compared by bytes (.txt)",
    )


class _Absent:
    def __str__(self) -> str:
        return "(absent)"


ABSENT = _Absent()
"""Stands where one of two documents has no value."""


def _at(path: Path, before: Any, after: Any, spec: OutputSpec, noise: Mapping[str, float] | None) -> Difference:
    name = path_text(path)
    tolerance = Tolerance.of(spec, noise, name)
    good, bad = (clean(side if not isinstance(side, dict | list) else json.dumps(side)) for side in (before, after))
    sentence = f"{clean(name, 200)}: {good} -> {bad}"
    numbers: dict[str, Any] = {"good": good, "bad": bad, "spread": 1.0}
    if ABSENT in (before, after):
        return Difference(name, "path", sentence, {"good": good, "bad": bad})
    if not (_is_number(before) and _is_number(after)):
        if tolerance.floor >= 1.0:
            return Difference(name, "noise", f"{sentence}, as between repeats", numbers)
        return Difference(name, "path", sentence, numbers)
    moved = _distance(before, after)
    if math.isfinite(moved):
        numbers |= {"spread": moved, "absolute": moved}
        by_declared = Tolerance(tolerance.atol, tolerance.rtol).allows(float(before), moved)
        if tolerance.allows(float(before), moved):
            words = tolerance.words(by_declared, not by_declared)
            return Difference(name, "noise", f"{sentence}, within {words}; {figure(moved)}", numbers)
        return Difference(name, "path", f"{sentence} (by {figure(moved)})", numbers)
    return Difference(name, "path", sentence, {"good": good, "bad": bad})


def _distance(before: float, after: float) -> float:
    """Return |after - before|, exact for whole numbers; infinite where either does not fit a float."""
    try:
        return float(abs(after - before)) if math.isfinite(float(before)) else math.inf
    except OverflowError:
        return math.inf


def _same_number(before: Any, after: Any) -> bool:
    return _is_number(before) and _is_number(after) and bool(before == after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first_difference(good: bytes, bad: bytes, step: int = 1 << 16) -> int:
    shorter = min(len(good), len(bad))
    for start in range(0, shorter, step):
        a, b = good[start : start + step], bad[start : start + step]
        if a != b:
            for place, (x, y) in enumerate(zip(a, b, strict=False)):
                if x != y:
                    return start + place
    return shorter


def _small_text(data: bytes) -> str | None:
    if len(data) > SMALL_TEXT or b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _excerpt(good: str, bad: str) -> Iterator[str]:
    lines = list(difflib.unified_diff(good.splitlines(keepends=True), bad.splitlines(keepends=True), n=0))[2:]
    for line in lines[:EXCERPT]:
        yield clean(line.removesuffix("\n"), 120)
    if len(lines) > EXCERPT:
        yield f"… and {count(len(lines) - EXCERPT, 'line')} more"
