"""Two aligned tables of one source told apart: what differs, with what must be taken with each, and the hybrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.segments import FEWEST, best, names_segments
from replay.layers.alignment import inverse
from replay.layers.cell_shares import VALUES, Cells, shared_out
from replay.layers.contract import Contract
from replay.layers.contract_changes import Partners, contract_changes, escaped
from replay.layers.hybrid import Hybrid, Pairing
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
        rows = list(self._rows())
        hybrid = Hybrid(
            good,
            bad,
            self.partner,
            pairings,
            added=self._only(listed, "added", 1),
            removed=self._only(listed, "removed", 0),
            rows=rows[0].name if rows else None,
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

    def _rows(self) -> Iterator[Change]:
        import pyarrow as pa
        import pyarrow.compute as pc

        good, bad = self.sheets[0].rows, self.sheets[1].rows
        removed = self.partner.null_count
        added = bad - (good - removed)
        name = f"data/{self.name}/rows"
        if added or removed:
            twice = f", {self.repeated:,} of a key that is there already" if self.repeated else ""
            came = pc.is_null(inverse(self.partner, bad))
            where = [self._where(1, came), self._where(0, pc.is_null(self.partner))]
            after = f"{bad:,} rows ({added:,} added{twice}{where[0]}, {removed:,} removed{where[1]}){self._files()}"
            yield Change(name=name, before=f"{good:,} rows", after=after)
        elif not pc.all(pc.equal(self.partner, pa.array(range(good), pa.int64()))).as_py():
            yield Change(name=name, before=f"{good:,} rows", after="the same rows in another order")
        elif self.sheets[0].parts != self.sheets[1].parts:
            yield Change(name=name, before=f"{good:,} rows", after=f"the same rows in other files{self._files()}")

    def _files(self) -> str:
        """Say which files of a folder are gone and which came, "" where they are the same or there is no folder."""
        good, bad = ([path for path, _ in side.parts] for side in self.sheets)
        sides = (("without", good, bad), ("with", bad, good))
        found = [(word, [path for path in own if path not in other]) for word, own, other in sides]
        told = [f"{word} {shown(own[0])}{_and_more(own)}" for word, own in found if own]
        return ": " + ", ".join(told) if told else ""

    def _where(self, side: int, mask: pa.Array) -> str:
        """Name the column and value in which rows that only one side has lie, "" where none tells them apart."""
        import pyarrow as pa
        import pyarrow.compute as pc

        sheet = self.sheets[side]
        if pc.sum(mask).as_py() in (None, 0) or pc.sum(mask).as_py() < FEWEST:
            return ""
        columns = {
            name: cells for name, cells in zip(sheet.names, sheet.columns, strict=True) if names_segments(cells.type)
        }
        found = best(
            {name: pa.chunked_array([cells.filter(mask)]) for name, cells in columns.items()},
            lambda name: pa.chunked_array([columns[name]]),
        )
        return f", {found.words}" if found else ""

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
        return {name: place for name, place in names.items() if name in listed}

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
            elif schema and hybrid.rows and came:
                needs[hybrid.rows].add(name)
            elif schema and hybrid.rows and gone:
                needs[name].add(hybrid.rows)
            if name in hybrid.added and gone and hybrid.rows:
                needs[name].add(hybrid.rows)
        for change in found:
            yield change.model_copy(update={"requires": tuple(sorted(needs[change.name] - {change.name}))})


def _and_more(files: Sequence[str]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


def _backed(hybrid: Hybrid) -> set[str]:
    """Return the changes that the hybrid can take by themselves."""
    found = {name for pair in hybrid.pairs for name in (*pair.masks, pair.renamed, pair.stored)}
    found |= {*hybrid.added, *hybrid.removed, hybrid.rows, hybrid.order}
    good, bad = ({**side.dialect, "last line end": ""} for side in (hybrid.good, hybrid.bad))
    if good != bad:
        found.add(hybrid.format)
    return {name for name in found if name is not None}


def _tied(name: str, names: list[str], hybrid: Hybrid) -> set[str]:
    """Return what a change goes with that no cell stands for: the rows, its column's other changes, or everything."""
    if hybrid.rows:
        return {hybrid.rows}
    column = name.split("/")[1:-1]
    own = {other for other in names if other != name and column in (other.split("/")[1:-1], other.split("/")[1:])}
    return own or set(names) - {name}
