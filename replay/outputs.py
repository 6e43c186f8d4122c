"""Outputs compared: the files of runs and folders, read and handed to the pure rules of `replay.compare`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.compare.difference import Difference
from replay.compare.documents import compare_bytes, compare_documents
from replay.compare.segments import Inputs
from replay.compare.tables import compare_tables
from replay.compare.text import clean, count
from replay.content import Content
from replay.errors import CompareError
from replay.large.compare import comparable, compare_large
from replay.large.source import Source
from replay.matches import (
    Match,
    Outputs,
    as_document,
    contents_of,
    file_at,
    fitting,
    folders,
    large_tables,
    recorded,
)
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from replay.store.base import Store

Noise = Mapping[str, Mapping[str, float]]
"""What repeats of one state differ in (`noise_floor`): output -> column or path -> floor."""


def compare_outputs(
    good: Outputs,
    bad: Outputs,
    store: Store,
    noise: Noise | None = None,
    *,
    common_rows: bool = False,
    inputs: Inputs | None = None,
) -> Difference | None:
    """Return what differs between the outputs of two runs, as a group named `outputs`; None where all bytes are equal.

    The good side's declaration (key, decision, tolerances) holds. With `common_rows` tables with a key are
    compared on the rows whose key is on both sides only. Where changes lie is also looked for in the good run's
    `inputs` (`replay.layers.beside`). Raises CompareError (a file that cannot be read as
    what its name says, a key that is missing or repeated), NotFound, CorruptBlob.
    """
    return _group("outputs", recorded(good, bad, store), noise, common_rows, inputs)


def compare_paths(good: Path, bad: Path, spec: OutputSpec, noise: Noise | None = None) -> Difference | None:
    """Return what differs between two files, or between two folders (files matched by relative path).

    `spec.path` is not used. Raises CompareError: a path that is not there, a file against a folder, and as
    `compare_outputs`.
    """
    for path in (good, bad):
        if not path.exists():
            raise CompareError(
                f"{clean(str(path), 200)} is not there",
                cause="a typing error, or it was never written",
                do="name two files, two folders, or two recorded runs (replay log)",
            )
    if good.is_dir() != bad.is_dir():
        raise CompareError(
            f"{clean(good.name)} and {clean(bad.name)} cannot be compared: one is a folder, the other a file",
            cause="one side names the folder in which the other's file lies",
            do="name two files or two folders",
        )
    if good.is_dir():
        return _group(good.name, folders(good, bad, spec), noise, False)
    label = good.name if good.name == bad.name else f"{good.name} -> {bad.name}"
    match = Match(label, spec, file_at(good, good.name), file_at(bad, bad.name))
    return None if match.equal else _compare(match, noise, False)


def _group(
    name: str, matches: Iterator[Match], noise: Noise | None, common_rows: bool, inputs: Inputs | None = None
) -> Difference | None:
    found, files = [], 0
    for match in matches:
        files += 1
        finding = None if match.equal else _compare(match, noise, common_rows, inputs)
        if finding is not None:
            found.append(finding)
    if not found:
        return None
    worse = sum(finding.matters for finding in found)
    behave = f"{worse} of {count(files, 'file')} differ" if worse else "nothing that matters differs"
    return Difference(name, "group", f"{clean(name)}: {behave}", {"files": files, "differ": worse}, tuple(found))


def _compare(match: Match, noise: Noise | None, common_rows: bool, inputs: Inputs | None = None) -> Difference | None:
    """Compare a file whose bytes differ; None only where `common_rows` leaves nothing that differs."""
    label = match.label
    if match.one_sided:
        side = "good" if match.good is None else "bad"
        return Difference(label, "missing", f"{clean(label, 200)}: not written on the {side} side")
    floor = (noise or {}).get(label)
    large = large_tables(match)
    if large is not None:
        spec = fitting(match, large[0].schema.names, large[1].schema.names)
        if comparable(*large, spec):
            common = common_rows and bool(spec.key)
            found = compare_large(label, *large, spec, floor, common_rows=common, inputs=inputs)
            return found or (None if common else _written_differently(label, *large))
    good, bad = contents_of(match)
    if good.data is not None and bad.data is not None:
        return compare_bytes(label, good.data, bad.data, floor)
    if good.table is None or bad.table is None:
        found = compare_documents(label, as_document(good), as_document(bad), match.spec, floor)
        return found or _written_differently(label, good, bad)
    spec = fitting(match, good.table.column_names, bad.table.column_names)
    common = common_rows and bool(spec.key)
    found = compare_tables(label, good.table, bad.table, spec, floor, common_rows=common, inputs=inputs)
    return found or (None if common else _written_differently(label, good, bad))


def _written_differently(label: str, good: Content | Source, bad: Content | Source) -> Difference:
    """Return the finding that the values are equal and the bytes are not, with what is known of the reason."""
    reasons = [
        f"{clean(what)} {clean(good.dialect.get(what, 'none'))} -> {clean(bad.dialect.get(what, 'none'))}"
        for what in dict.fromkeys([*good.dialect, *bad.dialect])
        if good.dialect.get(what) != bad.dialect.get(what)
    ]
    numbers: dict[str, Any] = {"reasons": reasons}
    cells = [_raw(side) for side in (good, bad)]
    if cells[0] is not None and cells[1] is not None:
        reasons += _written_cells(cells[0], cells[1])
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Difference(label, "encoding", f"{clean(label, 200)}: same values, different bytes{why}", numbers)


def _raw(side: Content | Source) -> Iterator[pa.Table | pa.RecordBatch] | None:
    """Return the cells of a CSV as they are written, a part at a time; None where it is none."""
    if isinstance(side, Source):
        return side.raw() if side.raw is not None else None
    return iter([side.raw]) if side.raw is not None else None


def _written_cells(
    good: Iterator[pa.Table | pa.RecordBatch], bad: Iterator[pa.Table | pa.RecordBatch]
) -> Iterator[str]:
    """Yield, for every column of two equal tables in equal order, how many cells are written differently."""
    import pyarrow.compute as pc

    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    start = 0
    for one, other in _abreast(good, bad):
        for name in one.schema.names:
            places = pc.indices_nonzero(pc.fill_null(pc.not_equal(one[name], other[name]), False))
            if len(places) and name not in first:
                place = places[0].as_py()
                before, after = (clean(side[name][place].as_py()) for side in (one, other))
                first[name] = f"{before} -> {after} in row {start + place + 1}"
            counts[name] += len(places)
        start += one.num_rows
    for name, number in counts.items():
        if number:
            yield f"{clean(name)}: {count(number, 'cell')} written differently, {first[name]}"


def _abreast(good: Iterator[Any], bad: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the parts of two tables cut alike."""
    one, other = next(good, None), next(bad, None)
    while one is not None and other is not None:
        rows = min(one.num_rows, other.num_rows)
        yield one.slice(0, rows), other.slice(0, rows)
        one, other = one.slice(rows), other.slice(rows)
        one, other = one if one.num_rows else next(good, None), other if other.num_rows else next(bad, None)
