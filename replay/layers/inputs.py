"""Schema and data, two views of one snapshot: how two inputs differ column by column, and what lies between them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.errors import InputError
from replay.layers import sheet
from replay.layers.alignment import align
from replay.layers.cell_shares import VALUES, Cells, shared_out
from replay.layers.contract import Contract
from replay.layers.contract_changes import Partners, contract_changes, escaped, partners
from replay.layers.data import DataLayer, Snapshot, content, swapped
from replay.layers.hybrid import Hybrid, Pairing
from replay.layers.moved import moved as told
from replay.layers.moved import shifts
from replay.layers.schema import SchemaLayer, contract_of
from replay.layers.sheet import Sheet
from replay.state import Change, FileEntry
from replay.store.base import Store

if TYPE_CHECKING:
    import pyarrow as pa

REMEMBERED = 4
"""How many pairs of snapshots are held aligned in memory, so that a bisect reads them once."""


@dataclass(frozen=True)
class Views:
    """The two layers of one side."""

    schema: SchemaLayer
    data: DataLayer


@dataclass(frozen=True)
class Between:
    """What differs in one source: the changes, and the hybrid that can take any of them (None: all or none)."""

    changes: tuple[Change, ...]
    hybrid: Hybrid | None = None


def changes(good: Views, bad: Views, store: Store) -> list[Change]:
    """Return how the inputs differ: contract first, then values and rows, each with what must be taken with it.

    Where the tables of a source cannot be aligned its changes require each other: they are taken together.
    """
    names = sorted(good.data.sources.keys() | bad.data.sources.keys())
    found = [change for name in names for change in _between(name, good, bad, store).changes]
    return sorted(found, key=lambda change: change.layer != "schema")


def mix(good: Views, bad: Views, taken: frozenset[str], store: Store) -> Views:
    """Return good's inputs with the changes named in `taken` from bad; mixed tables are kept in `store`.

    A source that the chosen side could not observe comes from the other: whether the job sees it is the access
    layer's decision, and without this a mix that grants it would have nothing to give. Raises InputError where
    the cells of both sides do not fit into one table.
    """
    data: dict[str, Snapshot | None] = {}
    schema: dict[str, Contract | None] = {}
    for name in sorted(good.data.sources.keys() | bad.data.sources.keys()):
        between = _between(name, good, bad, store)
        own = frozenset(change.name for change in between.changes)
        if taken & own and not own <= taken and between.hybrid is not None:
            mixed = _mixed(name, good, between.hybrid, taken, store)
            data[name], schema[name] = mixed, contract_of(mixed, store)
            continue
        chosen, other = (bad, good) if taken & own else (good, bad)
        if name in chosen.data.sources or not own:
            side = chosen if chosen.data.sources.get(name) is not None else other
            data[name], schema[name] = side.data.sources.get(name), side.schema.sources.get(name)
    return Views(SchemaLayer(sources=schema), DataLayer(sources=data))


def _mixed(name: str, good: Views, hybrid: Hybrid, taken: frozenset[str], store: Store) -> Snapshot:
    import pyarrow as pa

    snapshot = good.data.sources[name]
    if snapshot is None:
        raise AssertionError("a hybrid is made of two snapshots")
    try:
        entry: FileEntry = store.put(sheet.written(hybrid.mix(taken)))
    except pa.ArrowException as error:
        raise InputError(
            f"a mix of both versions of {name} cannot be written: {str(error).splitlines()[0][:200]}",
            cause="its cells do not fit into one stored type",
            do="nothing; this mix is left out of the search",
        ) from None
    return snapshot.model_copy(update={"files": dict.fromkeys(snapshot.files, entry)})


_known: OrderedDict[tuple[str, ...], Between] = OrderedDict()
_lock = threading.Lock()


def _between(name: str, good: Views, bad: Views, store: Store) -> Between:
    """Return what differs in one source, from memory where it was asked before."""
    sides = [(view.data.sources.get(name), view.schema.sources.get(name)) for view in (good, bad)]
    (before, contract), (after, contract2) = sides
    declared = (name in good.data.sources, name in bad.data.sources)
    identity = (name, str(declared), *(part.digest if part else "" for side in sides for part in side))
    with _lock:
        if identity not in _known:
            if before is None or after is None or contract is None or contract2 is None:
                _known[identity] = Between(_whole(name, good, bad, ()))
            elif content(before) == content(after):
                _known[identity] = Between(())
            else:
                found = _compared(name, (before, after), (contract, contract2), store)
                _known[identity] = found or Between(
                    _whole(name, good, bad, contract_changes(name, contract, contract2))
                )
            while len(_known) > REMEMBERED:
                _known.popitem(last=False)
        return _known[identity]


def _whole(name: str, good: Views, bad: Views, schema: tuple[Change, ...] | list[Change]) -> tuple[Change, ...]:
    """Return the changes of a source that is swapped whole: none is taken without the others."""
    return _tied_together([*schema, *swapped(name, good.data, bad.data)])


def _other_rows(name: str, sheets: tuple[Sheet, Sheet], pairs: list[Partners]) -> Change:
    """Return the change of a source whose rows are others: how many, and which columns shifted."""
    good, bad = (f"{sheet.rows:,} rows" for sheet in sheets)
    far = shifts(sheets, pairs)
    return Change(name=f"data/{name}", before=good, after=f"{bad}, others" + (f"; {far}" if far else ""))


def _tied_together(own: list[Change]) -> tuple[Change, ...]:
    """Return changes of which none is taken without the others."""
    if len(own) < 2:
        return tuple(own)
    first, rest = own[0], tuple(change.name for change in own[1:])
    tied = [change.model_copy(update={"requires": (first.name,)}) for change in own[1:]]
    return (first.model_copy(update={"requires": rest}), *tied)


def _compared(
    name: str, snapshots: tuple[Snapshot, Snapshot], contracts: tuple[Contract, Contract], store: Store
) -> Between | None:
    """Return what differs cell by cell, or None where the two tables do not align."""
    sheets = _sheets(snapshots, contracts, store)
    if sheets is None:
        return None
    pairs = partners(*contracts)
    partner = _aligned(snapshots[0].key, pairs, sheets)
    if partner is None:
        own = _tied_together([*contract_changes(name, *contracts), _other_rows(name, sheets, pairs)])
        return Between(own)
    return _Comparison(name, contracts, sheets, pairs, partner).between()


def _sheets(
    snapshots: tuple[Snapshot, Snapshot], contracts: tuple[Contract, Contract], store: Store
) -> tuple[Sheet, Sheet] | None:
    good, bad = snapshots
    same = (good.kind, good.path, good.key) == (bad.kind, bad.path, bad.key) and good.kind == "file"
    formats = {contract.format for contract in contracts}
    if not same or len(formats) != 1 or not formats <= sheet.MIXABLE or any(c.columns is None for c in contracts):
        return None
    found = []
    for snapshot, contract in zip(snapshots, contracts, strict=True):
        ((path, entry),) = snapshot.files.items()
        if entry.size > sheet.LARGEST:
            return None
        try:
            found.append(sheet.read(store.path(entry.blob), path, contract.dialect))
        except InputError:
            return None
        if len(found[-1].columns) != len(contract.columns or ()):
            return None
    return found[0], found[1]


def _aligned(key: tuple[str, ...], pairs: list[Partners], sheets: tuple[Sheet, Sheet]) -> pa.Array | None:
    places = {pair.good.name: (pair.here, pair.there) for pair in pairs}
    places |= {pair.bad.name: (pair.here, pair.there) for pair in pairs if pair.bad.name not in places}
    if not all(column in places for column in key):
        return None
    columns = [[sheets[side].columns[places[column][side]] for column in key] for side in (0, 1)]
    return align(columns[0], columns[1], (sheets[0].rows, sheets[1].rows))


@dataclass(frozen=True)
class _Comparison:
    """Two aligned tables of one source, to be told apart change by change."""

    name: str
    contracts: tuple[Contract, Contract]
    sheets: tuple[Sheet, Sheet]
    pairs: list[Partners]
    partner: pa.Array

    def between(self) -> Between:
        """Return the changes with what they require, and the hybrid that can take any of them."""
        good, bad = self.sheets
        listed = {change.name: change for change in contract_changes(self.name, *self.contracts)}
        listed |= self._line_ends(listed)
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
            yield Change(
                name=name, before=f"{good:,} rows", after=f"{bad:,} rows ({added:,} added, {removed:,} removed)"
            )
        elif not pc.all(pc.equal(self.partner, pa.array(range(good), pa.int64()))).as_py():
            yield Change(name=name, before=f"{good:,} rows", after="the same rows in another order")

    def _line_ends(self, listed: dict[str, Change]) -> dict[str, Change]:
        ends = [side.dialect.get("line end") for side in self.sheets]
        name = f"schema/{self.name}/format"
        if ends[0] == ends[1] or name in listed:
            return {}
        before, after = ("line ends CR LF" if end == "\r\n" else "line ends LF" for end in ends)
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


def _backed(hybrid: Hybrid) -> set[str]:
    """Return the changes that the hybrid can take by themselves."""
    found = {name for pair in hybrid.pairs for name in (*pair.masks, pair.renamed, pair.stored)}
    found |= {*hybrid.added, *hybrid.removed, hybrid.rows, hybrid.order}
    different: Callable[[Sheet], object] = lambda side: {k: v for k, v in side.dialect.items() if k != "last line end"}  # noqa: E731
    if different(hybrid.good) != different(hybrid.bad):
        found.add(hybrid.format)
    return {name for name in found if name is not None}


def _tied(name: str, names: list[str], hybrid: Hybrid) -> set[str]:
    if hybrid.rows:
        return {hybrid.rows}
    column = name.rsplit("/", 1)[0].split("/", 1)[1]
    own = {other for other in names if other != name and other.split("/", 1)[1].startswith(column)}
    return own or set(names) - {name}
