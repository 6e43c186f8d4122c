"""How two contracts differ. Pure. What chance explains between two batches of one population is no change."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from replay.layers.contract import MOSTLY, Column, Contract, undecided
from replay.layers.profile import DISTINCT
from replay.state import Change
from replay.store.refs import shown

SIGMAS = 5.0
"""How improbable a difference of two rates must be under one common rate: 5 sigma, about one in a million
columns, so that a table of hundreds of columns bound daily raises no false alarm in years."""

POINTS = 0.01
"""A null rate that moved by less than one percentage point is petty, however certain."""

FIRST = 0.001
"""Except from none, or to none: that is a change of kind, from 0.1 % on."""

SUPPORT = 20
"""Something is lost where at least 20 of it were expected: its absence by chance has a probability of e^-20."""

OPEN_SUPPORT = 10
"""A new value counts even once. But a list in which some value stood just once is not a closed one (Good and
Turing: the rows seen once estimate what was never seen): there a new value counts from 10 rows on."""

ALIKE = 0.8
"""Renamed: the old column's values make up at least this share of the new one's rows."""

LISTED = 4
LONGEST = 60


def contract_changes(source: str, good: Contract | None, bad: Contract | None) -> list[Change]:
    """Return how the contract of `source` changed. An input that a side could not observe shows no change."""
    if good is None or bad is None or good == bad:
        return []
    prefix = f"schema/{source}"
    if good.columns is None or bad.columns is None:
        return list(_format(prefix, good, bad, []))
    good_columns, bad_columns = _with_one_header(good, bad)
    pairs = _pairs(good_columns, bad_columns)
    kept = {after.name for _, after in pairs}
    matched = {before.name for before, _ in pairs}
    changes = list(_format(prefix, good, bad, pairs))
    for column in good_columns:
        if column.name not in matched:
            changes.append(Change(name=f"{prefix}/{escaped(column.name)}/removed", before=described(column)))
    for column in bad_columns:
        if column.name not in kept:
            changes.append(Change(name=f"{prefix}/{escaped(column.name)}/added", after=described(column)))
    changes.extend(_order(prefix, pairs, bad_columns))
    for before, after in pairs:
        changes.extend(_column(f"{prefix}/{escaped(after.name)}", before, after, good, bad))
    return changes


def escaped(name: str) -> str:
    """Return a column's name as one step of a change's name: no `/`, nothing invisible, at most 80 characters.

    Percent-encoded; an empty name is `%`. A long one ends in `~` and 8 digits of its SHA-256.
    """
    if not name:
        return "%"
    text = "".join(c if c.isprintable() and c not in "/%" else _percent(c) for c in name)
    if len(text) <= 80:
        return text
    return f"{text[:71]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def quoted(text: str) -> str:
    """Return a value in quotes for people: shortened, without control characters."""
    return f"'{shown(text, LONGEST)}'"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def described(column: Column) -> str:
    """Return a column's type in words."""
    if column.type == "code":
        return "int (leading zeros)"
    if column.style in MOSTLY:
        odd = [f"{quoted(spelling)} ({_rows(count)})" for spelling, count in column.odd.items() if spelling.strip()]
        blanks = sum(count for spelling, count in column.odd.items() if not spelling.strip())
        odd += [f"{blanks} blanks" if blanks > 1 else "1 blank"] if blanks else []
        return f"text ({column.style} but for {_some(odd) if odd else _rows(column.deciding)})"
    if column.style is None:
        return column.type
    return f"{column.type} ({column.style})" if column.style.split("[")[0] != column.type else column.style


def _with_one_header(good: Contract, bad: Contract) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Return the columns of both; where one side has lost its header, by position under the other's names."""
    one, two = good.columns or (), bad.columns or ()
    headers = good.dialect.get("header", "yes"), bad.dialect.get("header", "yes")
    if len(one) == len(two) and headers == ("yes", "no"):
        two = tuple(b.model_copy(update={"name": a.name}) for a, b in zip(one, two, strict=True))
    elif len(one) == len(two) and headers == ("no", "yes"):
        one = tuple(a.model_copy(update={"name": b.name}) for a, b in zip(one, two, strict=True))
    return one, two


def _pairs(good: tuple[Column, ...], bad: tuple[Column, ...]) -> list[tuple[Column, Column]]:
    """Return the columns that both sides have, in good's order: those of one name, and the renamed."""
    olds, news = {c.name: c for c in good}, {c.name: c for c in bad}
    renamed = {}
    added = _slots(bad, olds.keys() & news.keys())
    for slot, old in _slots(good, olds.keys() & news.keys()).items():
        if slot in added and _same_column(old, added[slot]):
            renamed[old.name] = added[slot]
    partner = {name: news[name] for name in olds.keys() & news.keys()} | renamed
    return [(column, partner[column.name]) for column in good if column.name in partner]


@dataclass(frozen=True)
class Partners:
    """A column that both sides have: its place in good and in bad, its step in a change's name, and both contracts.

    `restyled`: its dates are written in another style.
    """

    here: int
    there: int
    step: str
    good: Column
    bad: Column
    restyled: bool


def partners(good: Contract, bad: Contract) -> list[Partners]:
    """Return the columns that both sides have, the renamed among them. Both have columns."""
    good_columns, bad_columns = _with_one_header(good, bad)
    here = {column.name: place for place, column in enumerate(good_columns)}
    there = {column.name: place for place, column in enumerate(bad_columns)}
    return [
        Partners(here[one.name], there[two.name], escaped(two.name), one, two, _restyled(good, one, bad, two))
        for one, two in _pairs(good_columns, bad_columns)
    ]


def _slots(columns: tuple[Column, ...], common: set[str]) -> dict[tuple[str | None, int], Column]:
    """Return the columns that only one side has, by their place: after which common column, and how far."""
    found: dict[tuple[str | None, int], Column] = {}
    anchor, distance = None, 0
    for column in columns:
        distance += 1
        if column.name in common:
            anchor, distance = column.name, 0
        else:
            found[anchor, distance] = column
    return found


def _same_column(old: Column, new: Column) -> bool:
    if old.type != new.type or old.style != new.style:
        return False
    if old.categories is not None and new.categories is not None:
        shared = sum(count for value, count in new.categories.items() if value in old.categories)
        return shared >= ALIKE * sum(new.categories.values())
    if (old.categories is None) != (new.categories is None) or len(old.quartiles) != len(new.quartiles):
        return False
    (low, middle, high), (low2, middle2, high2) = [[float(q) for q in c.quartiles] or [0.0] * 3 for c in (old, new)]
    width, width2 = high - low, high2 - low2
    return abs(middle - middle2) <= max(width, width2) / 2 and max(width, width2) <= 2 * min(width, width2)


def _order(prefix: str, pairs: list[tuple[Column, Column]], bad: tuple[Column, ...]) -> Iterator[Change]:
    place = {column.name: number for number, column in enumerate(bad)}
    if any(place[one.name] > place[two.name] for (_, one), (_, two) in pairwise(pairs)):
        after = sorted(pairs, key=lambda pair: place[pair[1].name])
        moved = [n for n, (one, two) in enumerate(zip(pairs, after, strict=True)) if one != two]
        texts = [_some([quoted(side[n][1].name) for n in moved]) for side in (pairs, after)]
        yield Change(name=f"{prefix}/order", before=texts[0], after=texts[1])


def _format(prefix: str, good: Contract, bad: Contract, pairs: list[tuple[Column, Column]]) -> Iterator[Change]:
    """Yield the one change that names everything about how the input is written."""
    found: list[tuple[str, str]] = []
    if good.format != bad.format:
        found.append((_named_format(good), _named_format(bad)))
    for key in sorted(good.dialect.keys() & bad.dialect.keys()):
        before, after = good.dialect[key], bad.dialect[key]
        if before != after and not (
            key == "encoding" and "ascii" in (before, after) and "utf-16" not in (before, after)
        ):
            found.append((f"{key} {_dialect_word(before)}", f"{key} {_dialect_word(after)}"))
    for one, two in pairs:
        if _restyled(good, one, bad, two):
            found.append((f"{quoted(two.name)} as {one.style}", f"{quoted(two.name)} as {two.style}"))
    if found:
        yield Change(
            name=f"{prefix}/format",
            before=_some([before for before, _ in found]),
            after=_some([after for _, after in found]),
        )


def _named_format(contract: Contract) -> str:
    return contract.format if contract.problem is None else f"{contract.format} ({contract.problem})"


def _dialect_word(value: str) -> str:
    return {"\t": "tab"}.get(value, value if value.isalnum() or len(value) > 1 else f"'{value}'")


def _restyled(good: Contract, one: Column, bad: Contract, two: Column) -> bool:
    return one.type == two.type and _written(good, one) and _written(bad, two) and _style_differs(one, two)


def _written(contract: Contract, column: Column) -> bool:
    """Whether a column is a date as text, so that its style is a matter of the format."""
    return contract.format == "csv" and column.type in {"date", "timestamp"}


def _style_differs(one: Column, two: Column) -> bool:
    before, after = one.style or "", two.style or ""
    if "??" in before + after:
        return undecided(before) != undecided(after)
    return before != after


def _column(name: str, before: Column, after: Column, good: Contract, bad: Contract) -> Iterator[Change]:
    if before.name != after.name:
        yield Change(name=f"{name}/renamed", before=quoted(before.name), after=quoted(after.name))
    if _retyped(before, after, good, bad):
        yield Change(name=f"{name}/type", before=described(before), after=described(after))
    if rates_differ(before.nulls, good.rows, after.nulls, bad.rows):
        yield Change(name=f"{name}/nulls", before=_null_rate(before, good), after=_null_rate(after, bad))
    yield from _categories(name, before, after, good.rows - before.nulls, bad.rows - after.nulls)


def _retyped(before: Column, after: Column, good: Contract, bad: Contract) -> bool:
    """Whether a reader gets another type. Nothing but nulls is told by the null rate.

    Floats that all happen to be whole, and codes that happen to have no leading zero, are no new type unless
    decimals, or zeros, were to be expected. Text is another matter: a single cell decides how all are read.
    """
    cells, cells2 = good.rows - before.nulls, bad.rows - after.nulls
    if before.type == after.type == "text" and before.style == after.style in MOSTLY:
        return rates_differ(before.deciding, cells, after.deciding, cells2)
    if before.type == after.type:
        # Of a text the style says what most of it is: numbers, dates, numbers with a decimal comma.
        same = good.format == bad.format and (before.type == "text" or good.format != "csv")
        return same and before.style != after.style
    if "empty" in (before.type, after.type):
        return False
    if good.format == bad.format == "csv" and {before.type, after.type} in ({"int", "float"}, {"int", "code"}):
        return _missed(before.deciding, cells, cells2) or _missed(after.deciding, cells2, cells)
    return True


def _missed(count: int, rows: int, rows2: int) -> bool:
    """Whether what stood in `count` of `rows` and in none of `rows2` is gone, not just absent by chance."""
    return count == rows > 0 or -rows2 * math.log1p(-count / (rows + 1)) >= SUPPORT


def rates_differ(count: int, rows: int, count2: int, rows2: int) -> bool:
    """Whether two rates differ by more than chance and by more than is petty (the constants above).

    The signed root of the likelihood ratio for two binomials (Wilks 1938) in place of the z of two
    proportions: the two agree on large counts, and it also holds where one side has none.
    """
    if not rows or not rows2:
        return False
    rate, rate2, pooled = count / rows, count2 / rows2, (count + count2) / (rows + rows2)
    petty = POINTS if count and count2 else FIRST
    if abs(rate - rate2) < petty:
        return False
    ratio = 0.0
    for k, n in ((count, rows), (count2, rows2)):
        ratio += k * math.log(k / (n * pooled)) if k else 0.0
        ratio += (n - k) * math.log((n - k) / (n * (1 - pooled))) if n > k else 0.0
    return 2 * ratio >= SIGMAS**2


def _null_rate(column: Column, contract: Contract) -> str:
    if not column.nulls:
        return "no nulls"
    percent = 100 * column.nulls / contract.rows
    text = f"{percent:.1f} % null" if percent >= 0.1 else f"{percent:.2g} % null"
    spelling, count = max(column.null_texts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    return f"{text} ({quoted(spelling)} is read as null)" if count * 2 > column.nulls else text


def _categories(name: str, before: Column, after: Column, cells: int, cells2: int) -> Iterator[Change]:
    if before.type != "text" or after.type != "text" or not cells or not cells2:
        return
    known, seen = before.categories, after.categories
    closed = known is not None and min(known.values()) > 1
    if known is not None and seen is not None:
        needed = 1 if closed else OPEN_SUPPORT
        new = [value for value, count in seen.items() if value not in known and count >= needed]
        lost = [value for value, count in known.items() if value not in seen and _missed(count, cells, cells2)]
        if new or lost:
            told = [f"+ {quoted(value)} ({_rows(seen[value])})" for value in sorted(new, key=lambda v: (-seen[v], v))]
            gone = [f"- {quoted(value)}" for value in sorted(lost, key=lambda v: (-known[v], v))]
            text = ", ".join(_some(part) for part in (told, gone) if part)
            yield Change(name=f"{name}/categories", before=_number(known), after=text)
    elif known is not None and closed and (after.distinct is None or after.distinct > 2 * len(known)):
        yield Change(name=f"{name}/categories", before=_number(known), after=_variety(after))
    elif seen is not None and before.distinct is None:
        yield Change(name=f"{name}/categories", before=_variety(before), after=_number(seen))


def _variety(column: Column) -> str:
    return (
        f"more than {DISTINCT} different values" if column.distinct is None else f"{column.distinct} different values"
    )


def _number(values: dict[str, int]) -> str:
    return "1 category" if len(values) == 1 else f"{len(values)} categories"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _some(parts: list[str]) -> str:
    """Return the first few parts in a row, and how many more there are."""
    rest = len(parts) - LISTED
    return ", ".join(parts[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
