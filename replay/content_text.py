"""CSV, JSON Lines and JSON read into tables and documents, with errors that name the line."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replay.compare.documents import too_deep
from replay.compare.text import clean
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")
"""Looked for in the header line; the most frequent one is taken."""

BLOCK = 16 << 20
"""Bytes read at once; a single row must fit."""

NOT_A_NUMBER = r"^[+-]?(0\d|\d{16,}$)"
"""Texts of a number that are identifiers: leading zeros, or more digits than a float64 holds."""


def read_csv(source: pa.Buffer, name: str) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    """Return a CSV's cells as written, the same typed by column, and its dialect. An empty cell is null.

    Raises CompareError: a ragged row, text that is not UTF-8, a column twice.
    """
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    layout = CsvLayout.of(source[:BLOCK].to_pybytes(), name)
    try:
        raw = arrow_csv.read_csv(pa.BufferReader(source), **layout.options())
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise csv_error(lambda: pa.BufferReader(source), layout, name, error) from error
    return raw, pa.table({column: typed(raw[column]) for column in layout.header}), layout.dialect


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is written, by its first bytes: `dialect` in words."""

    delimiter: str
    header: list[str]
    dialect: dict[str, str]

    @classmethod
    def of(cls, head: bytes, name: str) -> CsvLayout:
        """Return the layout of the file that begins with `head`. Raises CompareError: no header, a column twice."""
        delimiter = _delimiter(head, name)
        header = _header(head, delimiter, name)
        returns, ends = head.count(b"\r\n"), head.count(b"\n")
        dialect = {
            "delimiter": repr(delimiter),
            "line ends": "LF" if not returns else "CRLF" if returns == ends else "mixed",
            "byte order mark": "yes" if head.startswith(b"\xef\xbb\xbf") else "no",
            "quotes": "yes" if b'"' in head else "no",
        }
        return cls(delimiter, header, dialect)

    def options(self, block: int = BLOCK) -> dict[str, Any]:
        """Return what pyarrow's readers are told, so that every cell comes as the text it is."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        return {
            "read_options": arrow_csv.ReadOptions(column_names=self.header, skip_rows_after_names=1, block_size=block),
            "parse_options": arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            "convert_options": arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        }


def typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of texts in the one type all its cells have: int64, float64, else text; no value is lost.

    A column without any value has the null type. Each rule holds for a column where it holds for all parts of it.
    """
    import pyarrow as pa

    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column))])
    whole = as_whole(column)
    if whole is not None:
        return whole
    number = as_number(column)
    return column if number is None else number


def as_whole(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    """Return texts as int64 where every one is written as that number is (`007`, `+5` and `-0` are not)."""
    import pyarrow as pa

    try:
        whole = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return whole if whole.cast(pa.string()).equals(column) else None


def as_number(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    """Return texts as float64 where all are numbers, `nan` and `inf` included, that a float holds.

    None has leading zeros or more whole digits than a float tells apart.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        number = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    overflown = pc.and_(pc.is_inf(number), pc.match_substring_regex(column, r"\d"))
    odd = pc.or_(pc.match_substring_regex(column, NOT_A_NUMBER), overflown)
    return None if pc.any(odd).as_py() else number


def read_jsonl(source: pa.Buffer, name: str) -> pa.Table:
    """Return a file of one JSON object a line as a table; a field that a line lacks is null; text stays text.

    Raises CompareError naming the line: not JSON, not an object, a field twice, not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.json as arrow_json

    options = arrow_json.ReadOptions(block_size=BLOCK)
    try:
        table = arrow_json.read_json(pa.BufferReader(source), read_options=options)
        if any(pa.types.is_timestamp(field.type) for field in table.schema):
            fields = [f.with_type(pa.string()) if pa.types.is_timestamp(f.type) else f for f in table.schema]
            parse = arrow_json.ParseOptions(explicit_schema=pa.schema(fields))
            table = arrow_json.read_json(pa.BufferReader(source), read_options=options, parse_options=parse)
        table.validate(full=True)
        return table.rename_columns(table.column_names)  # raises where a name is not UTF-8
    except (pa.ArrowException, UnicodeDecodeError):  # fields of mixed types, or a line that is wrong: Python names it
        return records_table(list(json_lines(source.to_pybytes(), name)))


def records_table(records: list[dict[str, Any]]) -> pa.Table:
    """Return JSON objects as a table; a column whose values have no common type holds their JSON text."""
    import pyarrow as pa

    columns = dict.fromkeys(field for record in records for field in record)
    return pa.table({name: _array([record.get(name) for record in records]) for name in columns})


def parse_json(data: bytes, name: str) -> Any:
    """Return a JSON document. Raises CompareError: not JSON (with the line), a field twice, not UTF-8, too deep."""
    try:
        return json.loads(decoded(data, name), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise wrong(name, f"line {error.lineno}, column {error.colno}: {error.msg}", "it was truncated") from error
    except ValueError as error:
        raise wrong(name, str(error), "it was written by hand, or by joining texts") from error
    except RecursionError:
        raise too_deep(name) from None


def decoded(data: bytes, name: str) -> str:
    """Return a text without its byte order mark. Raises CompareError: not UTF-8 (with the line)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(name, data[error.start], line, error.start) from error


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    try:
        if len(kinds) <= 1 or kinds <= {int, float}:
            return pa.array(values)
    except (pa.ArrowException, OverflowError):
        pass
    return pa.array([None if value is None else json.dumps(value, sort_keys=True) for value in values], pa.string())


def json_lines(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON Lines. Raises CompareError naming the line: no JSON, no object, a field twice."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            value = parse_json(line, f"{name}, line {number}")
            if not isinstance(value, dict):
                raise wrong(name, f"line {number} is not an object", "it is one JSON document, not a line a row")
            yield value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def _delimiter(head: bytes, name: str) -> str:
    if name.lower().split(".csv")[0].endswith(".tsv") or ".tsv." in name.lower():
        return "\t"
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0].decode("utf-8", "replace")
    outside = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _header(head: bytes, delimiter: str, name: str) -> list[str]:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _encoding(name, "is UTF-16, not UTF-8")
    try:
        rows = csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline=""), delimiter=delimiter)
        header = next((row for row in rows if row), [])
    except csv.Error as error:
        raise wrong(name, f"has no readable header: {error}", "it is not CSV") from error
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise wrong(name, f"has the column {clean(twice) or '(no name)'} more than once", "a join kept both sides")
    if not header:
        raise wrong(name, "has no header", "the job ended before it wrote, or wrote somewhere else")
    return header


def csv_error(open_: Callable[[], Any], layout: CsvLayout, name: str, error: Exception) -> CompareError:
    """Return the error that names the line of the first row that is wrong; this is a second, slow reading.

    `open_` opens the file at its beginning; it is read a piece at a time.
    """
    with open_() as stream:
        not_utf8 = _undecodable(stream, name)
    if not_utf8 is not None:
        return not_utf8
    with open_() as stream:
        rows = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), delimiter=layout.delimiter)
        try:
            for row in rows:
                if row and len(row) != len(layout.header):
                    what = f"line {rows.line_num} has {len(row)} cells where the header has {len(layout.header)}"
                    return wrong(name, what, "it was truncated, or a cell holds the delimiter without quotes")
        except csv.Error as misread:
            return wrong(name, f"line {rows.line_num}: {misread}", "it is not CSV")
    return wrong(name, str(error), "it is not CSV")


def _undecodable(stream: Any, name: str) -> CompareError | None:
    """Return the error that names the first byte that is not UTF-8, None where all are."""
    decoder, start, line = codecs.getincrementaldecoder("utf-8")(), 0, 1
    while True:
        piece = stream.read(BLOCK)
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            held = error.object  # what was left of the piece before, and this one
            start -= len(held) - len(piece)
            line += held.count(b"\n", 0, error.start)
            return _not_utf8(name, held[error.start], line, start + error.start)
        if not piece:
            return None
        start += len(piece)
        line += piece.count(b"\n")


def _not_utf8(name: str, byte: int, line: int, offset: int) -> CompareError:
    return _encoding(name, f"is not UTF-8: byte 0x{byte:02x} in line {line} (offset {offset:,})")


def _encoding(name: str, what: str) -> CompareError:
    return CompareError(
        f"{clean(name, 200)} {what}",
        cause="it was written in the machine's own encoding (LANG, PYTHONUTF8)",
        do='write outputs as UTF-8: open(path, "w", encoding="utf-8")',
    )


def wrong(name: str, what: str, cause: str) -> CompareError:
    """Return the error for a file whose content is not what its name says."""
    return CompareError(
        f"{clean(name, 200)}: {clean(what, 300)}",
        cause=cause,
        do="look at the file there, and let the job write it again",
    )
