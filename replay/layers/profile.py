"""Counting a table column by column, batch by batch: memory stays bounded however large the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from replay.layers.cells import NULL_TEXTS, Cells
from replay.state import Document

DISTINCT = 256
"""Up to how many different values of a column are counted one by one."""

_FEW = 10_000
"""Rows of a batch below which threads cost more than they save."""

_SPREAD = 1_000
"""Over how many rows, from the first on, quartiles are taken."""


class ColumnProfile(Document):
    """The counts of one column.

    `stored` is the type in the file, empty where a text file leaves it to the reader. `nulls` counts null
    cells by spelling ("" where nothing is written), `kinds` the others (see `cells.KINDS`). `values` counts
    every other value, None once they are more than `DISTINCT`. `quartiles` are those of the first rows'
    numbers, or of the lengths of their texts, as decimal texts.
    """

    name: str
    stored: str = ""
    nulls: dict[str, int] = {}
    kinds: dict[str, int] = {}
    zeros: int = 0
    odd: dict[str, int] | None = None
    values: dict[str, int] | None = None
    quartiles: tuple[str, ...] = ()


class Profile(Document):
    """What was counted in one file. `dialect` as in `Contract`; `problem` says what could not be read."""

    format: str
    dialect: dict[str, str] = {}
    rows: int = 0
    columns: tuple[ColumnProfile, ...] | None = None
    problem: str | None = None


def broken(found: str, problem: str) -> Profile:
    """Return the profile of a file that is not what its name says."""
    return Profile(format="opaque", problem=f"{found}: {problem}")


def distinct_names(names: list[str]) -> list[str]:
    """Return the columns' names as pandas makes them distinct: `a`, `a.1`; one without a name `Unnamed: 0`."""
    found: dict[str, None] = {}
    for place, written in enumerate(names):
        name = base = written or f"Unnamed: {place}"
        count = 0
        while name in found:
            count += 1
            name = f"{base}.{count}"
        found[name] = None
    return list(found)


def count(tallies: Sequence[Tally], batches: Iterable[Any]) -> int:
    """Show every tally its column of each Arrow batch, side by side; return how many rows passed."""
    rows = 0
    with ThreadPoolExecutor() as threads:
        counting: Iterable[None] = ()
        for batch in batches:  # the next one is read while the last one is being counted
            list(counting)
            rows += batch.num_rows
            each = map if batch.num_rows < _FEW else threads.map
            counting = each(Tally.add, tallies, batch.columns)
        list(counting)
    return rows


class Tally:
    """Counts one column while its batches pass."""

    def __init__(self, name: str, stored: str = "") -> None:
        self.name = name
        self.stored = stored
        self.nulls: Counter[str] = Counter()
        self.values: dict[str, int] | None = {}
        self.cells = Cells(() if stored else NULL_TEXTS)
        self.quartiles: tuple[str, ...] = ()
        self._first = True

    def add(self, column: Any) -> None:
        """Count an Arrow array."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if self.stored.removeprefix("dictionary of ") == "string":
            column = column.cast(pa.string())
        if self._first and len(column):
            self.quartiles, self._first = _quartiles(column.slice(0, _SPREAD)), False
        void = pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0
        if void:
            self.nulls[""] += void
        if pa.types.is_string(column.type):
            self._add_texts(column.drop_null() if void else column)
        else:
            self.values = None
            self.cells.kinds["stored"] += len(column) - void

    def _add_texts(self, column: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        spelled = pa.array(self.cells.spelled, pa.string())
        if self.values is not None:
            counted = column.value_counts()
            null = pc.is_in(counted.field(0), spelled)
            self.nulls.update(_counted(counted.filter(null)))
            self._add_values(self.values, counted.filter(pc.invert(null)))
        elif self.cells.settled:
            nulls = column.filter(pc.is_in(column, spelled)) if self.cells.spelled else column[:0]
            self.cells.kinds["text"] += len(column) - len(nulls)
            self.nulls.update(_counted(nulls.value_counts()))
        else:  # mostly different ones: counting them first would cost more than it saves
            self.cells.add(column, pa.repeat(pa.scalar(1, pa.int64()), len(column)))

    def _add_values(self, known: dict[str, int], counted: Any) -> None:
        if len(counted) <= DISTINCT:
            for value, count in _counted(counted).items():
                known[value] = known.get(value, 0) + count
            counted = counted[:0]
        if len(counted) or len(known) > DISTINCT:
            self._classify(known)
            self.cells.add(counted.field(0), counted.field(1))
            self.values = None

    def _classify(self, known: dict[str, int]) -> None:
        import pyarrow as pa

        self.cells.add(pa.array(known.keys(), pa.string()), pa.array(known.values(), pa.int64()))

    def done(self) -> ColumnProfile:
        """Return the counts."""
        if self.values is not None:
            self._classify(self.values)
        return ColumnProfile(
            name=self.name,
            stored=self.stored,
            nulls=dict(self.nulls + self.cells.nulls),
            kinds=dict(self.cells.kinds),
            zeros=self.cells.zeros,
            odd=self.cells.odd,
            values=self.values,
            quartiles=self.quartiles,
        )


def _counted(counted: Any) -> dict[str, int]:
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))


def _quartiles(column: Any) -> tuple[str, ...]:
    """Return three values of the column (chosen, not computed: the same on every machine)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        column = column.filter(pc.invert(pc.is_in(column, pa.array(NULL_TEXTS))))
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            column = pc.utf8_length(column)
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    elif not pa.types.is_integer(column.type):
        return ()
    found = pc.quantile(column, q=[0.25, 0.5, 0.75], interpolation="lower").to_pylist()
    return tuple(repr(float(value)) for value in found if value is not None)


def constant(name: str, value: str, rows: int) -> ColumnProfile:
    """Return the profile of a column that holds one text in every row."""
    tally = Tally(name)
    if value in NULL_TEXTS:
        tally.nulls[value] = rows
    else:
        tally.values = {value: rows}
    return tally.done()


def merged(parts: list[Profile]) -> Profile:
    """Return the profile of the table whose parts these are (at least one, all of one format, all sound).

    A column that a part lacks is null in all its rows; the order is that of the first part to name each.
    """
    columns: dict[str, list[ColumnProfile]] = {}
    for part in parts:
        for column in part.columns or ():
            columns.setdefault(column.name, []).append(column)
    names = [{column.name for column in part.columns or ()} for part in parts]
    lacking = {
        name: sum(part.rows for part, has in zip(parts, names, strict=True) if name not in has) for name in columns
    }
    dialects = [part.dialect for part in parts]
    return Profile(
        format=parts[0].format,
        dialect=next((d for d in dialects if d.get("encoding") != "ascii"), dialects[0]),
        rows=sum(part.rows for part in parts),
        columns=tuple(_merged_column(pieces, lacking[name]) for name, pieces in columns.items()),
        problem=next((part.problem for part in parts if part.problem), None),
    )


def _merged_column(pieces: list[ColumnProfile], lacking: int) -> ColumnProfile:
    nulls = Counter({"": lacking}) if lacking else Counter()
    for piece in pieces:
        nulls.update(piece.nulls)
    values, odd = _summed([p.values for p in pieces], DISTINCT), _summed([p.odd for p in pieces], DISTINCT)
    kinds: Counter[str] = Counter()
    for piece in pieces:
        kinds.update(piece.kinds)
    return ColumnProfile(
        name=pieces[0].name,
        stored=" or ".join(sorted({piece.stored for piece in pieces})),
        nulls=dict(nulls),
        kinds=dict(kinds),
        zeros=sum(piece.zeros for piece in pieces),
        odd=odd,
        values=values,
        quartiles=pieces[0].quartiles,
    )


def _summed(counts: list[dict[str, int] | None], most: int) -> dict[str, int] | None:
    total: Counter[str] = Counter()
    for count in counts:
        if count is None:
            return None
        total.update(count)
    return dict(total) if len(total) <= most else None
