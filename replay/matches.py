"""The files of two runs or folders, matched side by side, opened, and read as far as a comparison needs them."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from replay.compare.text import clean
from replay.content import Content, Format, detect, load, named_format, packing
from replay.errors import CompareError
from replay.large.rewritten import rewritten
from replay.large.source import Source, parquet_source
from replay.parts import joined, one_table, partition, parts
from replay.record import OutputRecord, OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from replay.state import FileEntry
    from replay.store.base import Store

LARGE = 64 << 20
"""Bytes of both sides together from which tables are compared on disk."""

Outputs = Mapping[str, OutputRecord]
"""What a run wrote, by the declared names."""


@dataclass(frozen=True)
class File:
    """One file of one side: how to get at its bytes, what it is called, and its digest where that is known."""

    locate: Callable[[], Path]
    name: str
    digest: str | None = None

    def same(self, other: File) -> bool:
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
class Match:
    """A file of an output on both sides; None on the side that lacks it. `label` is how findings name it.

    `several` is True for the files of a folder, which need not all have the declared key. `parts` are the files of
    either side where a folder holds one table; then `good` and `bad` are None.
    """

    label: str
    spec: OutputSpec
    good: File | None
    bad: File | None
    several: bool = False
    parts: tuple[tuple[File, ...], tuple[File, ...]] = ((), ())

    @property
    def one_sided(self) -> bool:
        """Whether a side lacks the file."""
        return not self.parts[0] and (self.good is None or self.bad is None)

    @property
    def equal(self) -> bool:
        """Whether both sides have the same bytes."""
        if self.parts[0]:
            names = [[part.name for part in side] for side in self.parts]
            return names[0] == names[1] and all(a.same(b) for a, b in zip(*self.parts, strict=True))
        return self.good is not None and self.bad is not None and self.good.same(self.bad)


@dataclass(frozen=True)
class Tables:
    """One table on both sides, in memory, and the declaration that fits it."""

    good: pa.Table
    bad: pa.Table
    spec: OutputSpec


def recorded(good: Outputs, bad: Outputs, store: Store) -> Iterator[Match]:
    """Yield every file of every output of two runs; one match for an output that a side lacks as a whole."""
    for name in dict.fromkeys([*good, *bad]):
        sides = [side[name].files if name in side else {} for side in (good, bad)]
        spec = (good if name in good else bad)[name].spec
        paths = sorted({*sides[0], *sides[1]})
        single = paths == [PurePosixPath(spec.path).as_posix()]
        if paths and not all(sides):
            paths, single = paths[:1], True
        elif not single and one_table([*sides[0]], [*sides[1]]):
            located = tuple(tuple(_kept(side[path], path, store) for path in parts([*side])) for side in sides)
            yield Match(name, spec, None, None, parts=(located[0], located[1]))
            continue
        for path in paths:
            files = [_kept(side[path], path, store) if path in side else None for side in sides]
            yield Match(name if single else f"{name}/{path}", spec, files[0], files[1], not single)


def folders(good: Path, bad: Path, spec: OutputSpec) -> Iterator[Match]:
    """Yield every file of two folders, matched by relative path; one match where both hold one table in parts."""
    sides = [{p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()} for root in (good, bad)]
    if one_table(*map(list, sides)):
        located = tuple(tuple(file_at(side[name], name) for name in parts([*side])) for side in sides)
        yield Match(good.name, spec, None, None, parts=(located[0], located[1]))
        return
    for name in sorted({*sides[0], *sides[1]}):
        files = [file_at(side[name], name) if name in side else None for side in sides]
        yield Match(name, spec, files[0], files[1], several=True)


def file_at(path: Path, name: str) -> File:
    """Return the file at `path`, whose digest is not known, under the name it is told by."""
    return File(lambda: path, name)


def _kept(entry: FileEntry, path: str, store: Store) -> File:
    return File(partial(store.path, entry.blob), path, entry.blob)


def contents_of(match: Match) -> tuple[Content, Content]:
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


def _joined(match: Match, files: Sequence[File]) -> Content:
    """Load one table from its parts."""
    found = {}
    for file in files:
        path = file.locate()
        found[file.name] = load(path, file.name, detect(path, file.name), match.spec.key)
    tables = {name: content.table for name, content in found.items() if content.table is not None}
    first = next(iter(found.values()))
    return Content(first.format, table=joined(match.label, tables), dialect={**first.dialect, "parts": str(len(files))})


def large_tables(match: Match) -> tuple[Source, Source] | None:
    """Return both sides as tables on disk, where they are too large to be held in memory.

    None for what only goes through memory: partitioned folders, text and Arrow in parts, lines with nested fields.
    Raises CompareError: a file that is truncated, a CSV without a header or with a column twice.
    """
    sides = match.parts
    if match.good is not None and match.bad is not None:
        sides = ((match.good,), (match.bad,))
    files = [file for side in sides for file in side]
    if not files or sum(file.locate().stat().st_size for file in files) < LARGE:
        return None
    kinds = {detect(file.locate(), file.name) for file in files}
    if kinds == {"parquet"} and not any(partition(file.name) for file in files):
        good, bad = (parquet_source([(file.locate(), file.name) for file in side]) for side in sides)
        return good, bad
    if not match.parts[0] and len(kinds) == 1 and (kind := kinds.pop()) in ("csv", "jsonl", "arrow"):
        found = [rewritten(f.locate(), f.name, kind, packing(f.name), f.digest) for f in files]
        return (found[0], found[1]) if found[0] is not None and found[1] is not None else None
    return None


def tables_of(match: Match) -> Tables | None:
    """Return both sides' tables and their declaration; None where the file lacks on a side or is no table."""
    if match.one_sided:
        return None
    good, bad = (content.table for content in contents_of(match))
    if good is None or bad is None:
        return None
    return Tables(good, bad, fitting(match, good.column_names, bad.column_names))


def fitting(match: Match, good: Sequence[str], bad: Sequence[str]) -> OutputSpec:
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


def as_document(content: Content) -> Any:
    """Return a content as a document: a table as the list of its rows."""
    return content.table.to_pylist() if content.table is not None else content.document
