"""Delimited text: its dialect, and its columns as strings, taken as a common reader would take them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from replay.digest import CHUNK
from replay.layers.cells import KINDS
from replay.layers.profile import Profile, Tally, broken, count, distinct_names

DELIMITERS = ",;\t|"
BLOCK = 4 << 20
"""Bytes parsed at a time. Fixed: the same file gives the same profile on every machine."""

WIDEST_ROW = 256 << 20
"""Bytes a single row may have before the file counts as broken."""

SAMPLE_ROWS = 100
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_VALUE = re.compile("|".join(f"(?:{pattern})" for kind, pattern in KINDS.items() if kind != "blank"))


@dataclass(frozen=True)
class _Text:
    """A text file and how it is to be read."""

    file: Path
    compression: str | None
    encoding: str
    mark: bool

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not blank, each with the line it ends on. Raises csv.Error."""
        encoding = {"ascii": "utf-8", "utf-8": "utf-8-sig"}.get(self.encoding, self.encoding)
        with _stream(self.file, self.compression) as stream:
            reader = csv.reader(io.TextIOWrapper(stream, encoding, newline=""), delimiter=delimiter)
            for row in reader:
                if row:
                    yield reader.line_num, row

    def sample(self, delimiter: str) -> list[list[str]]:
        """Return the first rows, as many as can be read."""
        found: list[list[str]] = []
        try:
            found.extend(row for _, row in islice(self.rows(delimiter), SAMPLE_ROWS))
        except csv.Error:
            pass
        return found


def profile_csv(file: Path, compression: str | None) -> Profile:
    """Return the profile of a delimited text file. Raises OSError where it cannot be read at all."""
    try:
        text = _scan(file, compression)
    except OSError:
        if compression is None:
            raise
        return broken("csv", f"its {compression} data are truncated, or no {compression} data")
    if isinstance(text, str):
        return broken("csv", text)
    delimiter = _delimiter(text)
    sample = text.sample(delimiter)
    if not sample:
        return broken("csv", "no line of it holds anything")
    header = _has_header(sample)
    names = distinct_names(sample[0] if header else [f"column {n + 1}" for n in range(len(sample[0]))])
    tallies = [Tally(name) for name in names]
    rows = _count(text, delimiter, tallies, header)
    if isinstance(rows, str):
        return broken("csv", rows)
    dialect = {
        "delimiter": delimiter,
        "encoding": text.encoding,
        "byte-order mark": "yes" if text.mark else "no",
        "header": "yes" if header else "no",
    }
    return Profile(format="csv", dialect=dialect, rows=rows, columns=tuple(tally.done() for tally in tallies))


def _stream(file: Path, compression: str | None) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(file), compression=compression)


def _scan(file: Path, compression: str | None) -> _Text | str:
    """Find the encoding by reading all of the file; return what is wrong where it is no text."""
    passed, ascii_only, decoder = 0, True, codecs.getincrementaldecoder("utf-8")()
    encoding, mark, first = "utf-8", False, True
    with _stream(file, compression) as stream:
        while chunk := stream.read(CHUNK):
            if first:
                known = next((bom for bom in _BOMS if chunk.startswith(bom)), None)
                encoding, mark, first = _BOMS.get(known or b"", "utf-8"), known is not None, False
            if encoding == "utf-16":
                break
            if (nul := chunk.find(b"\0")) >= 0:
                return f"line {1 + _line_ends(file, compression, passed + nul)} holds a NUL byte"
            passed += len(chunk)
            ascii_only = ascii_only and chunk.isascii()
            if encoding == "utf-8" and not ascii_only and not _decodes(decoder, chunk):
                encoding = "latin-1"
    if encoding == "utf-8" and not ascii_only and not _decodes(decoder, b"", final=True):
        encoding = "latin-1"
    return _Text(file, compression, "ascii" if ascii_only and encoding == "utf-8" else encoding, mark)


def _line_ends(file: Path, compression: str | None, end: int) -> int:
    """Return how many lines end in the first `end` bytes."""
    with _stream(file, compression) as stream:
        return sum(stream.read(min(CHUNK, end - start)).count(b"\n") for start in range(0, end, CHUNK))


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(text: _Text) -> str:
    """Return the delimiter that cuts most rows into as many fields as the first, more than one."""
    best, score = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        rows = text.sample(delimiter)
        width = len(rows[0]) if rows else 1
        agreeing = sum(len(row) == width for row in rows) / max(1, len(rows))
        if width > 1 and (agreeing, width) > score:
            best, score = delimiter, (agreeing, width)
    return best


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns.

    It does where a column of numbers, dates or truth values begins with something else; it does not where
    none begins so and the first row holds such a value itself.
    """
    first, body = rows[0], rows[1:]
    for place, name in enumerate(first):
        values = [row[place] for row in body if place < len(row) and row[place]]
        if values and not _VALUE.match(name) and all(map(_VALUE.match, values)):
            return True
    return not any(map(_VALUE.match, first))


def _count(text: _Text, delimiter: str, tallies: list[Tally], header: bool, block: int = BLOCK) -> int | str:
    """Count all rows into `tallies`; return how many, or what is wrong with the file."""
    import pyarrow as pa

    batches = _batches(text, delimiter, len(tallies), block)
    try:
        return count(tallies, chain((batch.slice(int(header)) for batch in islice(batches, 1)), batches))
    except (pa.ArrowException, UnicodeError) as error:
        if "straddling" in str(error) and block < WIDEST_ROW:
            fresh = [Tally(tally.name) for tally in tallies]
            found = _count(text, delimiter, fresh, header, WIDEST_ROW)
            tallies[:] = fresh
            return found
        return _wrong_line(text, delimiter, len(tallies))


def _batches(text: _Text, delimiter: str, width: int, block: int) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    names = [str(place) for place in range(width)]
    encoding = "utf8" if text.encoding in {"ascii", "utf-8"} else text.encoding
    with _stream(text.file, text.compression) as stream:
        reader = arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(column_names=names, block_size=block, encoding=encoding),
            parse_options=arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[]),
        )
        yield from reader


def _wrong_line(text: _Text, delimiter: str, width: int) -> str:
    """Say which line cannot be read, by reading once more, slowly."""
    line = 1
    try:
        for line, row in text.rows(delimiter):
            if len(row) != width:
                return f"line {line} has {len(row)} field{'s' * (len(row) != 1)} where the first has {width}"
    except (csv.Error, UnicodeError):
        pass
    return f"it cannot be parsed beyond line {line}"
