"""The contract of an input: what a job may rely on when it reads it."""

from __future__ import annotations

import re

from replay.layers.cells import KINDS, TEMPORAL
from replay.layers.profile import ColumnProfile, Profile
from replay.state import Document

MOST_CATEGORIES = 64
ROWS_PER_CATEGORY = 20
FEW_CATEGORIES = 10
LONGEST_CATEGORY = 200
"""A text column is a list of categories where it has at most 64 values, each standing for 20 rows on average
(5 %), or at most 10 values that stand for 2 rows each, so that small files have categories too. A value of
more than 200 characters is prose."""

_STORED = {
    "int": "int",
    "uint": "int",
    "halffloat": "float",
    "float": "float",
    "double": "float",
    "string": "text",
    "date": "date",
    "null": "empty",
}

MOSTLY = frozenset({"numbers", "dates"})
"""Styles of a text column that is text only because of a few cells."""


class Column(Document):
    """One column.

    `type` is what a common reader makes of it (`pandas.read_csv` with its defaults: `int`, `float`, `bool`,
    `text`) or what people mean by it: `date`, `timestamp`, `code` (digits, some with leading zeros, which a
    reader takes for numbers), `empty` (nothing but nulls); other stored types by their Arrow name. `style` is
    how a date is written, or the exact stored type; of a text "decimal comma", or one of `MOSTLY`.

    `nulls` counts null cells, `null_texts` those that have a spelling (`NA`). `categories` counts the rows
    of each value of a closed list. `distinct` is the number of different values, None beyond
    `profile.DISTINCT`. `deciding` counts the cells without which the type would be another: decimals of a
    float, leading zeros of a code, what keeps numbers or dates from being such; `odd` holds the latter by
    spelling where they are few. `quartiles`: see `ColumnProfile`.
    """

    name: str
    type: str
    style: str | None = None
    nulls: int = 0
    null_texts: dict[str, int] = {}
    categories: dict[str, int] | None = None
    distinct: int | None = None
    deciding: int = 0
    odd: dict[str, int] = {}
    quartiles: tuple[str, ...] = ()


class Contract(Document):
    """One input.

    `format` is `csv` (any delimited text), `parquet`, `jsonl`, `json`, `arrow`, `folder` (of files that are
    no one table) or `opaque`. `dialect` of a text: `delimiter`, `encoding` (`ascii` fits every other),
    `byte-order mark`, `header`. `columns` is None where the input is no table that can be read; `problem`
    then says why.
    """

    format: str
    dialect: dict[str, str] = {}
    rows: int = 0
    columns: tuple[Column, ...] | None = None
    problem: str | None = None


def concluded(profile: Profile) -> Contract:
    """Return the contract that a profile amounts to. Pure."""
    columns = None
    if profile.columns is not None:
        columns = tuple(_column(column) for column in profile.columns)
    return Contract(
        format=profile.format, dialect=profile.dialect, rows=profile.rows, columns=columns, problem=profile.problem
    )


def _column(seen: ColumnProfile) -> Column:
    kind, style = _stored_type(seen.stored) if seen.stored else _read_type(seen)
    cells = sum(seen.kinds.values())
    return Column(
        name=seen.name,
        type=kind,
        style=style,
        nulls=sum(seen.nulls.values()),
        null_texts={spelling: count for spelling, count in sorted(seen.nulls.items()) if spelling},
        categories=_categories(seen.values, cells) if kind == "text" and _mostly(seen) is None else None,
        distinct=None if seen.values is None else len(seen.values),
        deciding=_deciding(seen, kind, style),
        odd=_odd(seen) if style in MOSTLY else {},
        quartiles=seen.quartiles,
    )


def _stored_type(stored: str) -> tuple[str, str | None]:
    if stored.startswith("dictionary of string"):
        return "text", "dictionary"
    word = re.match(r"[a-z]*", stored)
    kind = _STORED.get(word[0], word[0]) if word else stored
    return kind, None if stored in {"string", "null", "bool"} else stored


def _read_type(seen: ColumnProfile) -> tuple[str, str | None]:
    """Return the type of a column of text as readers infer it: one cell that does not fit makes it text."""
    kinds = seen.kinds.keys()
    if not kinds:
        return "empty", None
    if kinds == {"int"}:
        return ("code" if seen.zeros else "int"), None
    if kinds <= {"int", "float"}:
        return "float", None
    if kinds == {"bool"}:
        return "bool", None
    if all(kind.startswith(TEMPORAL) for kind in kinds):
        date_only = all(kind.startswith("date ") for kind in kinds)
        return ("date" if date_only else "timestamp"), " and ".join(_styles(kinds))
    return "text", _mostly(seen)


def _styles(kinds: object) -> list[str]:
    """Return the ways of writing; one that fits day first and month first alike goes with its clear neighbour."""
    styles = {kind.split(" ", 1)[1] for kind in KINDS if kind in kinds}  # type: ignore[operator]
    clear = {undecided(style) for style in styles if "??" not in style}
    return sorted(style for style in styles if "??" not in style or style not in clear)


def undecided(style: str) -> str:
    """Return a date style without its word on what comes first, day or month."""
    return re.sub(r"DD(.)MM|MM(.)DD(?=.YYYY)", lambda m: f"??{m[1] or m[2]}??", style)


def _mostly(seen: ColumnProfile) -> str | None:
    """Return what half of a column's cells, or more, are, if not plain text."""
    total = sum(seen.kinds.values())
    shares = {
        "numbers": sum(seen.kinds.get(kind, 0) for kind in ("int", "float", "long")),
        "dates": _dates(seen),
        "decimal comma": seen.kinds.get("comma", 0),
    }
    return next((style for style, count in shares.items() if total and count * 2 >= total), None)


def _dates(seen: ColumnProfile) -> int:
    return sum(count for kind, count in seen.kinds.items() if kind.startswith(TEMPORAL))


def _deciding(seen: ColumnProfile, kind: str, style: str | None) -> int:
    if kind == "code":
        return seen.zeros
    if kind == "float":
        return seen.kinds.get("float", 0)
    if style not in MOSTLY:
        return 0
    fitting = _dates(seen) if style == "dates" else seen.kinds.get("int", 0) + seen.kinds.get("float", 0)
    return sum(seen.kinds.values()) - fitting


def _odd(seen: ColumnProfile) -> dict[str, int]:
    return {spelling[:LONGEST_CATEGORY]: count for spelling, count in sorted((seen.odd or {}).items())}


def _categories(values: dict[str, int] | None, cells: int) -> dict[str, int] | None:
    if not values or len(values) > MOST_CATEGORIES or max(map(len, values)) > LONGEST_CATEGORY:
        return None
    listed = len(values) * ROWS_PER_CATEGORY <= cells or (len(values) <= FEW_CATEGORIES and len(values) * 2 <= cells)
    return dict(sorted(values.items())) if listed else None
