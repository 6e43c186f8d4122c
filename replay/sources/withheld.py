"""What a web service gave before and gives no more under the same request: columns, values, rows of a kind. Pure.

A database's catalogue says what it withholds; a web service says nothing and answers 200. What is recognised is
only what looks like withholding and like nothing else: a column that is gone, values that are all blank or a mask,
and all rows of certain values gone while every other row stands as it stood.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_MASK = re.compile(
    r"^\s*$|^(0+(\.0+)?|null|none|unknown|n/?a)$|\*{2,}|•{2,}|#{2,}|\b[xX]{3,}|redacted|masked|hidden|restricted",
    re.IGNORECASE,
)
_KINDS = 50
"""How many values a column may have whose values tell kinds of rows apart."""

Columns = dict[str, list[str]]


@dataclass
class Withheld:
    """`columns`: what happened to each that is withheld; `rows`: which are; `rest`: whether anything else differs."""

    columns: dict[str, str] = field(default_factory=dict)
    rows: str = ""
    rest: bool = False

    def __bool__(self) -> bool:
        return bool(self.columns or self.rows)


def compare(good: bytes, bad: bytes, packing: str = "") -> Withheld:
    """Return what one answer withholds of what the other gave; nothing where they are no tables."""
    before, after = table(good, packing), table(bad, packing)
    if before is None or after is None or not after:
        return Withheld(rest=good != bad)
    found = Withheld()
    for name, values in before.items():
        if name not in after:
            found.columns[name] = "not given"
        elif values != after[name] and masked(after[name]) and not masked(values):
            found.columns[name] = "masked"
    names = [name for name in before if name not in found.columns]
    one, other = _rows(before, names), _rows(after, names)
    gone = one - other
    if gone and not other - one:
        found.rows = _kind_of(gone, other, names)
    found.rest = bool(after.keys() - before.keys() or other - one or (gone and not found.rows))
    return found


def masked(values: list[str]) -> bool:
    """Whether nothing of a column's values can be seen: there are some, and all are blank or a mask."""
    return bool(values) and all(_MASK.search(value) for value in values)


def table(body: bytes, packing: str) -> Columns | None:
    """Return the columns of a CSV with a header or of a JSON list of objects, None for everything else."""
    try:
        if packing == "gzip":
            body = gzip.decompress(body)
        elif packing:
            return None
        text = body.decode("utf-8-sig")
        if text.lstrip()[:1] in {"[", "{"}:
            return _of_json(json.loads(text))
        return _of_csv(text)
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError):
        return None


def _of_csv(text: str) -> Columns | None:
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2 or len(set(rows[0])) < len(rows[0]) or any(len(row) != len(rows[0]) for row in rows):
        return None
    return {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}


def _of_json(document: Any) -> Columns | None:
    """Read a list of objects, or the only one that an object holds (`{"items": […], "next": …}`)."""
    if isinstance(document, dict):
        lists = [value for value in document.values() if _is_records(value)]
        document = lists[0] if len(lists) == 1 else [document]
    if not _is_records(document):
        return None
    names = list(dict.fromkeys(name for row in document for name in row))
    return {name: [_shown(row.get(name)) for row in document] for name in names}


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _rows(columns: Columns, names: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(columns[name] for name in names), strict=False))


def _kind_of(gone: Counter[tuple[str, ...]], kept: Counter[tuple[str, ...]], names: list[str]) -> str:
    """Return which rows are gone: a column and the values that went with all their rows, or nothing."""
    for place, name in enumerate(names):
        values, left = {row[place] for row in gone}, {row[place] for row in kept}
        if not values & left and len(values | left) <= _KINDS and 2 * len(values) <= gone.total():
            return f"{name} {', '.join(sorted(values)[:5])}"
    return ""
