"""Outputs compared: the files of runs and folders, read and handed to the pure rules of `replay.compare`."""

from __future__ import annotations

import contextlib
import filecmp
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from replay.compare.difference import Difference
from replay.compare.distribution import Shift, shifted_from, table_shifts
from replay.compare.divergence import bytes_divergence, divergence, document_divergence
from replay.compare.documents import compare_bytes, compare_documents
from replay.compare.rows import by_key, check_columns
from replay.compare.segments import Inputs
from replay.compare.tables import compare_tables
from replay.compare.text import clean, count
from replay.content import Content, Format, detect, load, named_format
from replay.errors import CompareError
from replay.large.compare import comparable, compare_large
from replay.large.measures import divergence_large, measurable, overlap_large, shifts_large
from replay.large.source import Source, parquet_source
from replay.parts import joined, one_table, partition, parts
from replay.record import OutputRecord, OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from replay.store.base import Store

LARGE = 64 << 20
"""Bytes of both sides together from which tables are compared on disk."""

T = TypeVar("T")

Noise = Mapping[str, Mapping[str, float]]
"""What repeats of one state differ in (`noise_floor`): output -> column or path -> floor."""

Outputs = Mapping[str, OutputRecord]


@dataclass(frozen=True)
class _File:
    """One file of one side: how to get at its bytes, what it is called, and its digest where that is known."""

    locate: Callable[[], Path]
    name: str
    digest: str | None = None

    def same(self, other: _File) -> bool:
        """Whether both have the same bytes: by digest, else read side by side up to the first that differ."""
        if self.digest and other.digest:
            return self.digest == other.digest
        paths = (self.locate(), other.locate())
        try:
            return filecmp.cmp(*paths, shallow=False)
        except OSError as error:
            raise CompareError(
                f"{clean(str(error.filename), 200)} cannot be read: {error.strerror}",
                cause="it is not yours to read, or it changed meanwhile",
                do="check its permissions",
            ) from error


@dataclass(frozen=True)
class _Match:
    """A file of an output on both sides; None on the side that lacks it. `label` is how findings name it.

    `several` is True for the files of a folder, which need not all have the declared key. `parts` are the files of
    either side where a folder holds one table; then `good` and `bad` are None.
    """

    label: str
    spec: OutputSpec
    good: _File | None
    bad: _File | None
    several: bool = False
    parts: tuple[tuple[_File, ...], tuple[_File, ...]] = ((), ())

    @property
    def equal(self) -> bool:
        """Whether both sides have the same bytes."""
        if self.parts[0]:
            names = [[part.name for part in side] for side in self.parts]
            return names[0] == names[1] and all(a.same(b) for a, b in zip(*self.parts, strict=True))
        return self.good is not None and self.bad is not None and self.good.same(self.bad)


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
    return _group("outputs", _recorded(good, bad, store), noise, common_rows, inputs)


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
        return _group(good.name, _folders(good, bad, spec), noise, False)
    label = good.name if good.name == bad.name else f"{good.name} -> {bad.name}"
    match = _Match(label, spec, _file(good, good.name), _file(bad, bad.name))
    return None if match.equal else _compare(match, noise, False)


def divergence_of(good: Outputs, bad: Outputs, store: Store) -> float:
    """Return how far the outputs `bad` moved from `good`: 0 (equal) to 1, the mean over files (see `divergence`).

    A file on one side only counts 1. Raises as `compare_outputs` does.
    """
    moved = [_once(_divergence, match) for match in _recorded(good, bad, store)]
    return sum(moved) / len(moved) if moved else 0.0


def key_overlap(good: Outputs, bad: Outputs, store: Store) -> float | None:
    """Return which share of the smaller side's keys both sides have, over all tables with a key; None without any.

    Raises as `compare_outputs` does.
    """
    matches = list(_recorded(good, bad, store))
    if all(match.equal for match in matches):
        return 1.0 if any(match.spec.key for match in matches) else None
    counts = [found for match in matches if (found := _once(_overlap, match)) is not None]
    common, smaller = (sum(side) for side in zip(*counts, strict=True)) if counts else (0, 0)
    return (common / smaller if smaller else 1.0) if counts else None


def shift_of(good: Outputs, bad: Outputs, store: Store) -> dict[str, Shift]:
    """Return how the distribution of every column moved, whatever the keys: `output/column` -> shift.

    Columns of the key and outputs that are no tables are left out. Raises as `compare_outputs` does.
    """
    shifts = {}
    for match in _recorded(good, bad, store):
        found = {} if match.equal else _once(_shifted, match)
        for column, shift in found.items():
            place = f"{match.label}/{column}"
            shifts[place] = replace(shift, sentence=f"{clean(place, 120)}: {shift.sentence}")
    return shifts


REMEMBERED = 256
"""Answers about two files that are kept: the probes of a bisect write the same few files again and again."""

_answers: OrderedDict[tuple[object, ...], Any] = OrderedDict()


def _once(ask: Callable[[_Match], T], match: _Match) -> T:
    """Return what `ask` says of two files, from memory where it was asked before of the same bytes."""
    sides = match.parts if match.parts[0] else tuple((f,) if f is not None else () for f in (match.good, match.bad))
    digests = [tuple((file.name, file.digest) for file in side) for side in sides]
    question = (ask, match.label, match.spec.model_dump_json(), match.several, *digests)
    with contextlib.suppress(KeyError):  # side by side with other probes: what is there may go any time
        known: T = _answers[question]
        return known
    found = ask(match)
    _answers[question] = found
    if len(_answers) > REMEMBERED:
        with contextlib.suppress(KeyError):
            _answers.popitem(last=False)
    return found


def _overlap(match: _Match) -> tuple[int, int] | None:
    """Return how many keys both sides of a table have, and how many rows the smaller one; None without a key."""
    large = _measurable(match)
    if large is not None:
        return overlap_large(match.label, *large), min(large[0].total, large[1].total)
    tables = _tables(match)
    if tables is None or not tables.spec.key:
        return None
    check_columns(match.label, tables.good.column_names, tables.spec.key, "good")
    check_columns(match.label, tables.bad.column_names, tables.spec.key, "bad")
    rows = by_key(match.label, tables.good, tables.bad, tables.spec.key)
    return tables.good.num_rows - len(rows.removed), min(tables.good.num_rows, tables.bad.num_rows)


def _shifted(match: _Match) -> Mapping[str, Shift]:
    large = _measurable(match)
    if large is not None:
        good, bad, spec = large
        names = [name for name in good.schema.names if name in bad.schema.names and name not in spec.key]
        return shifts_large(match.label, good, bad, names, shifted_from(spec))
    tables = _tables(match)
    if tables is None:
        return {}
    key, others = tables.spec.key, tables.bad.column_names
    names = [name for name in tables.good.column_names if name in others and name not in key]
    return table_shifts(tables.good, tables.bad, names, shifted_from(tables.spec))


def _measurable(match: _Match) -> tuple[Source, Source, OutputSpec] | None:
    """Return both sides as tables on disk, and their declaration, where they are to be measured there."""
    large = _large(match)
    if large is None:
        return None
    spec = _fitting(match, large[0].schema.names, large[1].schema.names)
    return (*large, spec) if measurable(*large, spec) else None


def _recorded(good: Outputs, bad: Outputs, store: Store) -> Iterator[_Match]:
    """Yield every file of every output of two runs; one match for an output that a side lacks as a whole."""
    for name in dict.fromkeys([*good, *bad]):
        sides = [side[name].files if name in side else {} for side in (good, bad)]
        spec = (good if name in good else bad)[name].spec
        paths = sorted({*sides[0], *sides[1]})
        single = paths == [PurePosixPath(spec.path).as_posix()]
        if paths and not all(sides):
            paths, single = paths[:1], True
        elif not single and one_table([*sides[0]], [*sides[1]]):
            located = tuple(
                tuple(_File(partial(store.path, side[path].blob), path, side[path].blob) for path in parts([*side]))
                for side in sides
            )
            yield _Match(name, spec, None, None, parts=(located[0], located[1]))
            continue
        for path in paths:
            files = [
                _File(partial(store.path, side[path].blob), path, side[path].blob) if path in side else None
                for side in sides
            ]
            yield _Match(name if single else f"{name}/{path}", spec, files[0], files[1], not single)


def _folders(good: Path, bad: Path, spec: OutputSpec) -> Iterator[_Match]:
    sides = [{p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()} for root in (good, bad)]
    if one_table(*map(list, sides)):
        located = tuple(tuple(_file(side[name], name) for name in parts([*side])) for side in sides)
        yield _Match(good.name, spec, None, None, parts=(located[0], located[1]))
        return
    for name in sorted({*sides[0], *sides[1]}):
        files = [_file(side[name], name) if name in side else None for side in sides]
        yield _Match(name, spec, files[0], files[1], several=True)


def _file(path: Path, name: str) -> _File:
    return _File(lambda: path, name)


def _group(
    name: str, matches: Iterator[_Match], noise: Noise | None, common_rows: bool, inputs: Inputs | None = None
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


def _compare(match: _Match, noise: Noise | None, common_rows: bool, inputs: Inputs | None = None) -> Difference | None:
    """Compare a file whose bytes differ; None only where `common_rows` leaves nothing that differs."""
    label = match.label
    if not match.parts[0] and (match.good is None or match.bad is None):
        side = "good" if match.good is None else "bad"
        return Difference(label, "missing", f"{clean(label, 200)}: not written on the {side} side")
    floor = (noise or {}).get(label)
    large = _large(match)
    if large is not None:
        spec = _fitting(match, large[0].schema.names, large[1].schema.names)
        if comparable(*large, spec):
            common = common_rows and bool(spec.key)
            found = compare_large(label, *large, spec, floor, common_rows=common, inputs=inputs)
            return found or (None if common else _written_differently(label, *large))
    good, bad = _contents(match)
    if good.data is not None and bad.data is not None:
        return compare_bytes(label, good.data, bad.data, floor)
    if good.table is None or bad.table is None:
        found = compare_documents(label, _as_document(good), _as_document(bad), match.spec, floor)
        return found or _written_differently(label, good, bad)
    spec = _fitting(match, good.table.column_names, bad.table.column_names)
    common = common_rows and bool(spec.key)
    found = compare_tables(label, good.table, bad.table, spec, floor, common_rows=common, inputs=inputs)
    return found or (None if common else _written_differently(label, good, bad))


def _contents(match: _Match) -> tuple[Content, Content]:
    """Load both sides, as opaque bytes where a name promises nothing and the formats differ."""
    if match.parts[0]:
        good, bad = (_joined(match, side) for side in match.parts)
        return good, bad
    files = [file for file in (match.good, match.bad) if file is not None]
    kinds: list[Format] = [detect(file.locate(), file.name) for file in files]
    if kinds[0] != kinds[1]:
        if all(named_format(file.name) for file in files):
            raise CompareError(
                f"{clean(files[0].name)} ({kinds[0]}) and {clean(files[1].name)} ({kinds[1]}) are different formats",
                cause="they are two different outputs, or the job writes another format now",
                do="compare files of one format; convert one of them first",
            )
        kinds = ["bytes", "bytes"]
    good, bad = (load(f.locate(), f.name, kind, match.spec.key) for f, kind in zip(files, kinds, strict=True))
    return good, bad


def _joined(match: _Match, files: Sequence[_File]) -> Content:
    """Load one table from its parts."""
    found = {}
    for file in files:
        path = file.locate()
        found[file.name] = load(path, file.name, detect(path, file.name), match.spec.key)
    tables = {name: content.table for name, content in found.items() if content.table is not None}
    first = next(iter(found.values()))
    return Content(first.format, table=joined(match.label, tables), dialect={**first.dialect, "parts": str(len(files))})


def _large(match: _Match) -> tuple[Source, Source] | None:
    """Return both sides as tables on disk, where they are parquet and too large to be held in memory."""
    sides = match.parts
    if match.good is not None and match.bad is not None:
        sides = ((match.good,), (match.bad,))
    located = [[(file.locate(), file.name) for file in side] for side in sides]
    files = [file for side in located for file in side]
    if not files or sum(path.stat().st_size for path, _ in files) < LARGE:
        return None
    if any(detect(path, name) != "parquet" or partition(name) for path, name in files):
        return None
    good, bad = (parquet_source(side) for side in located)
    return good, bad


def _fitting(match: _Match, good: Sequence[str], bad: Sequence[str]) -> OutputSpec:
    """Return the declaration, without its key for a file of a folder that has none of the key's columns.

    Raises CompareError where neither of two files that were named has the column of the decision: its flips would
    go unseen.
    """
    decision = match.spec.decision
    if decision and not match.several and match.good and match.good.digest is None and decision not in {*good, *bad}:
        raise CompareError(
            f"{clean(match.label, 200)} has no column {clean(decision)} to use as the decision",
            cause="the name is misspelt",
            do=f"name one of its columns: {clean(', '.join(good), 300)}",
        )
    if match.several and {*good, *bad}.isdisjoint(match.spec.key):
        return match.spec.model_copy(update={"key": ()})
    return match.spec


def _as_document(content: Content) -> Any:
    return content.table.to_pylist() if content.table is not None else content.document


@dataclass(frozen=True)
class _Tables:
    good: pa.Table
    bad: pa.Table
    spec: OutputSpec


def _tables(match: _Match) -> _Tables | None:
    """Return both sides' tables and their declaration; None where the file lacks on a side or is no table."""
    if not match.parts[0] and (match.good is None or match.bad is None):
        return None
    good, bad = (content.table for content in _contents(match))
    return (
        None
        if good is None or bad is None
        else _Tables(good, bad, _fitting(match, good.column_names, bad.column_names))
    )


def _divergence(match: _Match) -> float:
    if match.equal:
        return 0.0
    if not match.parts[0] and (match.good is None or match.bad is None):
        return 1.0
    large = _measurable(match)
    if large is not None:
        return divergence_large(match.label, *large)
    good, bad = _contents(match)
    if good.data is not None and bad.data is not None:
        return bytes_divergence(good.data, bad.data)
    if good.table is None or bad.table is None:
        return document_divergence(_as_document(good), _as_document(bad))
    return divergence(good.table, bad.table, _fitting(match, good.table.column_names, bad.table.column_names))


def _written_differently(label: str, good: Content | Source, bad: Content | Source) -> Difference:
    """Return the finding that the values are equal and the bytes are not, with what is known of the reason."""
    reasons = [
        f"{clean(what)} {clean(good.dialect.get(what, 'none'))} -> {clean(bad.dialect.get(what, 'none'))}"
        for what in dict.fromkeys([*good.dialect, *bad.dialect])
        if good.dialect.get(what) != bad.dialect.get(what)
    ]
    numbers: dict[str, Any] = {"reasons": reasons}
    if isinstance(good, Content) and isinstance(bad, Content) and good.raw is not None and bad.raw is not None:
        reasons += _written_cells(good.raw, bad.raw)
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Difference(label, "encoding", f"{clean(label, 200)}: same values, different bytes{why}", numbers)


def _written_cells(good: pa.Table, bad: pa.Table) -> list[str]:
    """Return, for every column of two equal tables in equal order, how many cells are written differently."""
    import pyarrow.compute as pc

    found = []
    for name in good.column_names:
        places = pc.indices_nonzero(pc.fill_null(pc.not_equal(good[name], bad[name]), False).combine_chunks())
        if len(places):
            before, after = (clean(side[name][places[0].as_py()].as_py()) for side in (good, bad))
            cells = count(len(places), "cell")
            found.append(
                f"{clean(name)}: {cells} written differently, {before} -> {after} in row {places[0].as_py() + 1}"
            )
    return found
