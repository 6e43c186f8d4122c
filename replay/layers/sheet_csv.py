"""Sheets of CSV files. Cells are text (`007`, `NA`, `1e5`): null where nothing is written, "" where that is quoted."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from replay.layers.sheet import Sheet
from replay.layers.sheet_columnar import whole

if TYPE_CHECKING:
    import pyarrow as pa

_ENCODINGS = {"ascii": "utf-8", "utf-8": "utf-8", "latin-1": "latin-1", "utf-16": "utf-16"}


def read_csv(file: Path, compression: str | None, dialect: Mapping[str, str]) -> Sheet:
    """Return a CSV file's table; `dialect` is the contract's. Raises pyarrow.ArrowInvalid, OSError, UnicodeError."""
    import pyarrow as pa
    from pyarrow import csv

    with pa.input_stream(str(file), compression=compression) as stream:
        data = stream.read()
    encoding = _ENCODINGS[dialect["encoding"]]
    text = data if encoding == "utf-8" else data.decode(encoding).removeprefix("\ufeff").encode()
    text = text.removeprefix(codecs.BOM_UTF8)
    header = dialect["header"] == "yes"
    width = _width(text, dialect["delimiter"])
    places = [str(place) for place in range(width)]
    table = csv.read_csv(
        io.BytesIO(text),
        read_options=csv.ReadOptions(column_names=places, block_size=min(1 << 30, max(1 << 20, len(text) + 1))),
        parse_options=csv.ParseOptions(delimiter=dialect["delimiter"], newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.large_string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    names = tuple(column[0].as_py() or "" for column in table.columns) if header else ("",) * width
    columns = tuple(whole(column.slice(int(header))) for column in table.columns)
    how = {
        **dialect,
        "line end": "\r\n" if b"\r\n" in text[: 1 << 16] else "\n",
        "last line end": "yes" if text.endswith(b"\n") else "no",
        "compression": compression or "",
    }
    return Sheet("csv", names, columns, dialect=how)


def _width(text: bytes, delimiter: str) -> int:
    import csv

    sample = io.StringIO(text[: 1 << 20].decode("utf-8", "replace"), newline="")
    return len(next(row for row in csv.reader(sample, delimiter=delimiter) if row))


def write_csv(sheet: Sheet) -> bytes:
    """Return the CSV file of a table."""
    import pyarrow.compute as pc

    dialect, end = sheet.dialect, sheet.dialect["line end"]
    delimiter = dialect["delimiter"]
    lines: list[str] = []
    if dialect["header"] == "yes":
        lines.append(delimiter.join(_quoted(name, delimiter) for name in sheet.names))
    cells = [_cells(column, delimiter) for column in sheet.columns]
    lines += pc.binary_join_element_wise(*cells, constant(delimiter)).to_pylist()
    text = end.join(lines) + (end if dialect["last line end"] == "yes" else "")
    if dialect["byte-order mark"] == "yes" and dialect["encoding"] != "utf-16":
        text = "\ufeff" + text
    data = text.encode(_encoding(dialect["encoding"], text))
    return packed(data, dialect["compression"])


def packed(data: bytes, compression: str) -> bytes:
    """Return data compressed as a file is whose Sheet says so; "" for not at all."""
    ways: dict[str, Callable[[], bytes]] = {
        "": lambda: data,
        "gzip": lambda: gzip.compress(data, mtime=0),
        "bz2": lambda: bz2.compress(data),
        "zstd": lambda: _zstd(data),
    }
    return ways[compression]()


def _encoding(named: str, text: str) -> str:
    """Return the encoding to write in: a mix may hold characters that the side whose dialect it has does not."""
    if named == "latin-1":
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            return "utf-8"
    return _ENCODINGS[named]


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _quoted(text: str, delimiter: str) -> str:
    if text == "" or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _cells(column: pa.Array, delimiter: str) -> pa.Array:
    """Return the cells as they are written: quoted where they must be, an empty text too, a missing one not."""
    import pyarrow.compute as pc

    special = "[" + "".join("\\" + mark for mark in (delimiter, '"')) + "\\n\\r]|^$"
    if pc.any(must := pc.fill_null(pc.match_substring_regex(column, special), False)).as_py():
        inside = pc.replace_substring(column, '"', '""')
        quote = constant('"')
        column = pc.if_else(must, pc.binary_join_element_wise(quote, inside, quote, constant("")), column)
    return pc.fill_null(column, constant(""))


def constant(text: str) -> pa.Scalar:
    """Return a text to be joined with columns of cells."""
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())
