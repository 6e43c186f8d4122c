"""Two aligned tables of one source told apart: what differs, with what must be taken with each, and the hybrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.segments import FEWEST, Segment, best, names_segments
from replay.compare.text import count
from replay.layers.alignment import inverse
from replay.layers.cell_shares import VALUES, Cells, shared_out
from replay.layers.contract import Contract
from replay.layers.contract_changes import Partners, contract_changes, escaped
from replay.layers.hybrid import Hybrid, Pairing, RowsOf
from replay.layers.moved import detailed
from replay.layers.moved import moved as told
from replay.layers.sheet import Sheet
from replay.state import Change
from replay.store.refs import shown

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT: dict[str, Callable[[str], str]] = {
    "line end": lambda end: "line ends CR LF" if end == "\r\n" else "line ends LF",
    "separators": lambda text: f"separators {text!r}",
    "container": lambda kind: f"an Arrow {kind}",
}
"""How a file is written beyond what its contract says, in words, by what its sheet's dialect calls it."""


@dataclass(frozen=True)
class Between:
    """What differs in one source: the changes, and the hybrid that can take any of them (None: all or none)."""

    changes: tuple[Change, ...]
    hybrid: Hybrid | None = None


@dataclass(frozen=True)
class Comparison:
    """Two aligned tables of one source, to be told apart change by change.

    `partner` is, for every row of good, its row in bad (null where there is none).
    """

    name: str
    contracts: tuple[Contract, Contract]
    sheets: tuple[Sheet, Sheet]
    pairs: list[Partners]
    partner: pa.Array
    repeated: int = 0
    """Rows of bad whose key stands there before, where each key of good stood once."""

    def between(self) -> Between:
        """Return the changes with what they require, and the hybrid that can take any of them."""
        good, bad = self.sheets
        listed = {change.name: change for change in contract_changes(self.name, *self.contracts)}
        listed |= self._layout(listed)
        prefix = f"schema/{self.name}"
        pairings, values = [], []
        for pair in self.pairs:
            pairing, moved = self._pairing(pair, listed)
            pairings.append(pairing)
            values += [moved] if moved is not None else []
        rows, segment = self._rows()
        hybrid = Hybrid(
            good,
            bad,
            self.partner,
            pairings,
            added=self._only(listed, "added", 1),
            removed=self._only(listed, "removed", 0),
            rows=rows[-1].name if rows else None,
            segment=segment,
            order=f"{prefix}/order" if f"{prefix}/order" in listed else None,
            format=f"{prefix}/format" if f"{prefix}/format" in listed else None,
        )
        found = [*listed.values(), *values, *rows]
        if not found:
            found = [Change(name=f"{prefix}/format", before="the same cells", after="the same cells in other bytes")]
        return Between(tuple(self._with_requirements(found, hybrid)), hybrid)

    def _pairing(self, pair: Partners, listed: dict[str, Change]) -> tuple[Pairing, Change | None]:
        """Return a column's pairing and the change of its values, where values changed."""
        import pyarrow.compute as pc

        prefix = f"schema/{self.name}"
        names = {part: f"{prefix}/{pair.step}/{part}" for part in ("nulls", "categories", "type", "renamed")}
        names["style"] = f"{prefix}/format"
        names[VALUES] = f"data/{self.name}/{pair.step}"
        wanted = [part for part, name in names.items() if name in listed and part != "style"]
        wanted += ["style"] if pair.restyled else []
        good, bad = self.sheets[0].columns[pair.here], self.sheets[1].columns[pair.there]
        cells = Cells(good, bad.take(self.partner))
        there = pc.is_valid(self.partner)
        shares = shared_out(cells, wanted, pair.good, pair.bad, there)
        for part, mask in shares.items():
            if part in {"nulls", "type"}:
                listed[names[part]] = detailed(listed[names[part]], part, cells, mask)
        if "categories" in wanted and "categories" not in shares:
            listed[names["categories"]] = self._with_rows(listed[names["categories"]], pair)
        moved = None
        if VALUES in shares:
            before, after = told(cells, shares[VALUES])
            moved = Change(name=names[VALUES], before=before, after=after)
        stored = self.sheets[0].types and self.sheets[0].types[pair.here] != self.sheets[1].types[pair.there]
        pairing = Pairing(
            pair.here,
            pair.there,
            {names[part]: mask for part, mask in shares.items()},
            renamed=names["renamed"] if names["renamed"] in listed else None,
            stored=names["type"] if stored and names["type"] in listed else None,
        )
        return pairing, moved

    def _with_rows(self, change: Change, pair: Partners) -> Change:
        """Return a change of categories that no row of both sides shows with the rows that came or went with it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        places = (pair.here, pair.there)
        lone = (pc.is_null(self.partner), pc.is_null(inverse(self.partner, self.sheets[1].rows)))
        known = (pair.good.categories or {}, pair.bad.categories or {})
        told = []
        for side, word in enumerate(("gone", "new")):
            own = pa.array([value for value in known[side] if value not in known[1 - side]], pa.large_string())
            cells = self.sheets[side].columns[places[side]].filter(lone[side])
            rows = pc.sum(pc.is_in(cells.cast(pa.large_string()), own)).as_py() or 0
            told += [f"in {count(rows, 'row')} that {'is' if rows == 1 else 'are'} {word}"] if rows else []
        return change.model_copy(update={"after": f"{change.after}; {' and '.join(told)}"}) if told else change

    def _rows(self) -> tuple[list[Change], RowsOf | None]:
        """Return the changes of rows, and the rows of the segment that one of them is about."""
        import pyarrow as pa
        import pyarrow.compute as pc

        good, bad = self.sheets[0].rows, self.sheets[1].rows
        name = f"data/{self.name}/rows"
        lone = (pc.is_null(self.partner), pc.is_null(inverse(self.partner, bad)))
        removed, added = (pc.sum(mask).as_py() or 0 for mask in lone)
        if added or removed:
            twice = f", {self.repeated:,} of a key that is there already" if self.repeated else ""
            found = [self._where(side, mask) for side, mask in enumerate(lone)]
            where = [f", {segment.words}" if segment else "" for segment in found]
            told = f"{added:,} added{twice}{where[1]}, {removed:,} removed{where[0]}"
            apart = self._segment(name, found, lone)
            if apart is not None:
                own = (pc.sum(mask).as_py() or 0 for mask in (apart[1].removed, apart[1].added))
                removed, added = (number - less for number, less in zip((removed, added), own, strict=True))
                told = f"{added:,} added{twice}, {removed:,} removed, not counting {apart[0].before}"
            whole = Change(name=name, before=f"{good:,} rows", after=f"{bad:,} rows ({told}){self._files()}")
            return ([apart[0], whole], apart[1]) if apart else ([whole], None)
        moved = not pc.all(pc.equal(self.partner, pa.array(range(good), pa.int64()))).as_py()
        if moved or self.sheets[0].parts != self.sheets[1].parts:
            after = f"the same rows in {'another order' if moved else 'other files'}{self._files()}"
            return [Change(name=name, before=f"{good:,} rows", after=after)], None
        return [], None

    def _segment(
        self, name: str, found: Sequence[Segment | None], lone: tuple[pa.Array, pa.Array]
    ) -> tuple[Change, RowsOf] | None:
        """Set the rows apart that lie in the segment, where some that came or went do not lie in it.

        In a folder, where every row has its file, rows are not taken apart.
        """
        import pyarrow.compute as pc

        side = 0 if found[0] is not None else 1
        segment = found[side]
        if segment is None or self.sheets[0].parts or self.sheets[1].parts:
            return None
        cells = self.sheets[side].columns[self.sheets[side].names.index(segment.column)]
        value = max(cells.filter(lone[side]).value_counts().to_pylist(), key=lambda each: each["counts"])["values"]
        masks = [_and_is(self.sheets[place], segment.column, value, mask) for place, mask in enumerate(lone)]
        counts = [pc.sum(mask).as_py() or 0 for mask in masks]
        if sum(counts) == sum(pc.sum(mask).as_py() or 0 for mask in lone):
            return None
        own = f"{name}/{escaped(f'{segment.column}={value}')}"
        told = f"{counts[1]:,} added, {counts[0]:,} removed"
        change = Change(name=own, before=f"the rows where {segment.column} = {segment.value}", after=told)
        return change, RowsOf(own, escaped(segment.column), *masks)

    def _files(self) -> str:
        """Say which files of a folder are gone and which came, "" where they are the same or there is no folder."""
        good, bad = ([path for path, _ in side.parts] for side in self.sheets)
        sides = (("without", good, bad), ("with", bad, good))
        found = [(word, [path for path in own if path not in other]) for word, own, other in sides]
        told = [f"{word} {shown(own[0])}{_and_more(own)}" for word, own in found if own]
        return ": " + ", ".join(told) if told else ""

    def _where(self, side: int, mask: pa.Array) -> Segment | None:
        """Name the column and value in which rows that only one side has lie, None where none tells them apart."""
        import pyarrow as pa
        import pyarrow.compute as pc

        sheet = self.sheets[side]
        if (pc.sum(mask).as_py() or 0) < FEWEST:
            return None
        columns = {
            name: cells for name, cells in zip(sheet.names, sheet.columns, strict=True) if names_segments(cells.type)
        }
        return best(
            {name: pa.chunked_array([cells.filter(mask)]) for name, cells in columns.items()},
            lambda name: pa.chunked_array([columns[name]]),
        )

    def _layout(self, listed: dict[str, Change]) -> dict[str, Change]:
        """Return the change of how the file is written, where that differs and the contract has no word for it."""
        name = f"schema/{self.name}/format"
        if name in listed:
            return {}
        good, bad = ([told(side.dialect.get(what, "")) for what, told in LAYOUT.items()] for side in self.sheets)
        differ = [place for place, both in enumerate(zip(good, bad, strict=True)) if both[0] != both[1]]
        if not differ:
            return {}
        before, after = (", ".join(side[place] for place in differ) for side in (good, bad))
        return {name: Change(name=name, before=before, after=after)}

    def _only(self, listed: dict[str, Change], what: str, side: int) -> dict[str, int]:
        """Return the columns that one side alone has, by the name of their change."""
        columns = self.contracts[side].columns or ()
        names = {f"schema/{self.name}/{escaped(c.name)}/{what}": place for place, c in enumerate(columns)}
        width = len(self.sheets[side].columns)
        return {name: place for name, place in names.items() if name in listed and place < width}

    def _with_requirements(self, found: list[Change], hybrid: Hybrid) -> Iterator[Change]:
        """Yield the changes with what must be taken with each.

        New rows come written as bad writes them, so they require what changed in that; where rows are only gone,
        that requires the rows, because they stand written as good writes them. A change that no cell stands for
        is a matter of the rows, or of its column; where neither changed, it is tied to all of the source.
        """
        gone = hybrid.partner.null_count
        came = hybrid.bad.rows - (hybrid.good.rows - gone)
        names = [change.name for change in found]
        backed = _backed(hybrid)
        needs: dict[str, set[str]] = {name: set() for name in names}
        for name in names:
            schema = name.startswith("schema/")
            if schema and name not in backed:
                tied = _tied(name, names, hybrid)
                needs[name] |= tied
                for other in tied:
                    needs[other].add(name)
            elif schema and came:
                for rows in hybrid.row_changes:
                    needs[rows].add(name)
            elif schema and gone:
                needs[name] |= hybrid.row_changes
            if name in hybrid.added and gone:
                needs[name] |= hybrid.row_changes
        for change in found:
            yield change.model_copy(update={"requires": tuple(sorted(needs[change.name] - {change.name}))})


def _and_is(sheet: Sheet, column: str, value: object, mask: pa.Array) -> pa.Array:
    """Return a mask without the rows whose cell of the column is another; all of them where there is no such column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column not in sheet.names:
        return pa.repeat(False, len(mask))
    cells = sheet.columns[sheet.names.index(column)]
    try:
        same = pc.is_null(cells) if value is None else pc.equal(cells, pa.scalar(value).cast(cells.type))
    except pa.ArrowException:  # a column of another type does not hold it
        return pa.repeat(False, len(mask))
    return pc.and_(mask, pc.fill_null(same, False))


def _and_more(files: Sequence[str]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


def _backed(hybrid: Hybrid) -> set[str]:
    """Return the changes that the hybrid can take by themselves."""
    found = {name for pair in hybrid.pairs for name in (*pair.masks, pair.renamed, pair.stored)}
    found |= {*hybrid.added, *hybrid.removed, *hybrid.row_changes, hybrid.order}
    good, bad = ({**side.dialect, "last line end": ""} for side in (hybrid.good, hybrid.bad))
    if good != bad:
        found.add(hybrid.format)
    return {name for name in found if name is not None}


def _tied(name: str, names: list[str], hybrid: Hybrid) -> set[str]:
    """Return what a change goes with that no cell stands for: the rows, its column's other changes, or everything."""
    column = name.split("/")[1:-1]
    if hybrid.segment and column[1:] == [hybrid.segment.step]:  # what its values are is a matter of these rows
        return {hybrid.segment.name}
    if hybrid.rows:
        return set(hybrid.row_changes)
    own = {other for other in names if other != name and column in (other.split("/")[1:-1], other.split("/")[1:])}
    return own or set(names) - {name}
