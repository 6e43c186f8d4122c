"""Schema and data, two views of one snapshot: how two inputs differ column by column, and what lies between them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.errors import InputError
from replay.layers import sheets
from replay.layers.alignment import align, repeated
from replay.layers.between import Between, Comparison
from replay.layers.contract import Contract
from replay.layers.contract_changes import Partners, contract_changes, partners
from replay.layers.data import DataLayer, Snapshot, content, swapped
from replay.layers.hybrid import Hybrid
from replay.layers.moved import shifts
from replay.layers.schema import SchemaLayer, contract_of, partitions, table_parts
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
        found = sheets.written(hybrid.mix(taken), next(iter(snapshot.files)))
    except pa.ArrowException as error:
        raise InputError(
            f"a mix of both versions of {name} cannot be written: {str(error).splitlines()[0][:200]}",
            cause="its cells do not fit into one stored type",
            do="nothing; this mix is left out of the search",
        ) from None
    files: dict[str, FileEntry] = {path: store.put(data) for path, data in found.items()}
    if snapshot.kind == "folder":
        own = table_parts(snapshot)
        files |= {path: entry for path, entry in snapshot.files.items() if path not in own}
    return snapshot.model_copy(update={"files": dict(sorted(files.items())), "reference": None})


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


def _other_rows(name: str, key: tuple[str, ...], sheets: tuple[Sheet, Sheet], pairs: list[Partners]) -> Change:
    """Return the change of a source whose rows are others: how many, and which columns shifted."""
    good, bad = (f"{sheet.rows:,} rows" for sheet in sheets)
    others = ", others" if sheets[0].rows and sheets[1].rows else ""
    far = shifts(sheets, [pair for pair in pairs if not {pair.good.name, pair.bad.name} & set(key)])
    return Change(name=f"data/{name}", before=good, after=f"{bad}{others}" + (f"; {far}" if far else ""))


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
    widths = [len(sheet.columns) for sheet in sheets]
    # What the folders of partitions say stands in no cell: such columns come last, and go with the rows.
    pairs = [pair for pair in partners(*contracts) if pair.here < widths[0] and pair.there < widths[1]]
    keys = _keys(snapshots[0].key, pairs, sheets)
    partner = align(*keys, (sheets[0].rows, sheets[1].rows))
    if partner is None:
        own = _tied_together([*contract_changes(name, *contracts), _other_rows(name, snapshots[0].key, sheets, pairs)])
        return Between(own)
    twice = 0 if repeated(keys[0]) else repeated(keys[1])
    return Comparison(name, contracts, sheets, pairs, partner, twice).between()


def _sheets(
    snapshots: tuple[Snapshot, Snapshot], contracts: tuple[Contract, Contract], store: Store
) -> tuple[Sheet, Sheet] | None:
    good, bad = snapshots
    same = (good.kind, good.path) == (bad.kind, bad.path)
    formats = {contract.format for contract in contracts}
    if not same or len(formats) != 1 or not formats <= sheets.LARGEST.keys():
        return None
    found = [_sheet(*side, store) for side in zip(snapshots, contracts, strict=True)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _sheet(snapshot: Snapshot, contract: Contract, store: Store) -> Sheet | None:
    """Return a snapshot's table cell by cell; None where it is too large, or not to be taken apart."""
    folder = snapshot.kind == "folder"
    if folder and snapshot.reference is not None:  # a table of versions: its log counts its files' rows and bytes
        return None
    files = table_parts(snapshot)
    if sum(entry.size for entry in files.values()) > sheets.LARGEST[contract.format]:
        return None
    if contract.columns is None or not all(store.holds(entry.blob) for entry in files.values()):
        return None
    try:
        found = {path: sheets.read(store.path(entry.blob), path, contract.dialect) for path, entry in files.items()}
    except InputError:
        return None
    said = {name for path in files for name in partitions(path, snapshot.path)} if folder else set()
    table = sheets.joined(found) if folder else next(iter(found.values()))
    if table is None or len(table.columns) > len(contract.columns):
        return None
    return table if all(column.name in said for column in contract.columns[len(table.columns) :]) else None


def _keys(
    key: tuple[str, ...], pairs: list[Partners], sheets: tuple[Sheet, Sheet]
) -> tuple[list[pa.Array], list[pa.Array]]:
    """Return the key's columns of both sides. A declared one that no side has cannot tell rows apart."""
    places = {pair.good.name: (pair.here, pair.there) for pair in pairs}
    places |= {pair.bad.name: (pair.here, pair.there) for pair in pairs if pair.bad.name not in places}
    found = [places[column] for column in key if column in places]
    return [sheets[0].columns[here] for here, _ in found], [sheets[1].columns[there] for _, there in found]
