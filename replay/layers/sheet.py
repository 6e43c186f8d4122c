"""A table as it is written: every cell as it stands in the file, to be taken apart and put together again.

CSV cells are text (`007`, `NA`, `1e5`): null where nothing is written, "" where an empty text is quoted. Parquet
cells keep their stored type.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from replay.errors import InputError
from replay.layers.tabular import format_of

if TYPE_CHECKING:
    import pyarrow as pa

MIXABLE = frozenset({"csv", "parquet"})
"""Formats whose tables are mixed cell by cell."""

LARGEST = 1 << 30
"""Bytes of a file up to which its cells are held in memory; a larger input is swapped whole."""

_ENCODINGS = {"ascii": "utf-8", "utf-8": "utf-8", "latin-1": "latin-1", "utf-16": "utf-16"}


@dataclass(frozen=True)
class Sheet:
    """A table's columns in the order of the file.

    `names` are as written, "" where a header has none. `dialect` says how a CSV file is written (as the
    contract's, with `line end`, `last line end` and `compression`); `types` are the stored types of a Parquet
    file's columns and `metadata` what it says of itself.
    """

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    types: tuple[pa.DataType, ...] = ()
    dialect: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.columns[0]) if self.columns else 0

    @property
    def is_text(self) -> bool:
        """Whether its cells are text."""
        return bool(self.dialect)


def read(file: Path, path: str, dialect: Mapping[str, str]) -> Sheet:
    """Return the table in `file`, called `path` in the project, which the contract found readable.

    `dialect` is the contract's. Raises InputError where it is no such table any more.
    """
    import pyarrow as pa

    kind, compression = format_of(path)
    try:
        if kind == "parquet":
            return _read_parquet(file)
        return _read_csv(file, compression, dialect)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InputError(
            f"{path} cannot be taken apart into cells ({type(error).__name__})",
            cause="it is not the table that its contract describes",
            do="bisect with --layers, which swaps inputs whole",
        ) from None


def written(sheet: Sheet) -> bytes:
    """Return the file that a reader takes for this table."""
    return _csv(sheet) if sheet.is_text else _parquet(sheet)


def _read_parquet(file: Path) -> Sheet:
    import pyarrow.parquet as pq

    table = pq.read_table(file, use_threads=True).combine_chunks()
    columns = tuple(_whole(column) for column in table.columns)
    types = tuple(table.schema.types)
    return Sheet(tuple(table.column_names), columns, types, metadata=dict(table.schema.metadata or {}))


def _read_csv(file: Path, compression: str | None, dialect: Mapping[str, str]) -> Sheet:
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
    columns = tuple(_whole(column.slice(int(header))) for column in table.columns)
    how = {
        **dialect,
        "line end": "\r\n" if b"\r\n" in text[: 1 << 16] else "\n",
        "last line end": "yes" if text.endswith(b"\n") else "no",
        "compression": compression or "",
    }
    return Sheet(names, columns, dialect=how)


def _width(text: bytes, delimiter: str) -> int:
    import csv

    sample = io.StringIO(text[: 1 << 20].decode("utf-8", "replace"), newline="")
    return len(next(row for row in csv.reader(sample, delimiter=delimiter) if row))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array of plain values; a dictionary is a way of storing, not another value."""
    import pyarrow as pa

    whole = column.combine_chunks()
    array = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _csv(sheet: Sheet) -> bytes:
    import pyarrow.compute as pc

    dialect, end = sheet.dialect, sheet.dialect["line end"]
    delimiter = dialect["delimiter"]
    lines: list[str] = []
    if dialect["header"] == "yes":
        lines.append(delimiter.join(_quoted(name, delimiter) for name in sheet.names))
    cells = [_cells(column, delimiter) for column in sheet.columns]
    lines += pc.binary_join_element_wise(*cells, _large(delimiter)).to_pylist()
    text = end.join(lines) + (end if dialect["last line end"] == "yes" else "")
    if dialect["byte-order mark"] == "yes" and dialect["encoding"] != "utf-16":
        text = "\ufeff" + text
    data = text.encode(_encoding(dialect["encoding"], text))
    packed: dict[str, Callable[[], bytes]] = {
        "gzip": lambda: gzip.compress(data, mtime=0),
        "bz2": lambda: bz2.compress(data),
    }
    if dialect["compression"] == "zstd":
        return _zstd(data)
    return packed[dialect["compression"]]() if dialect["compression"] else data


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
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


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
        quote = _large('"')
        column = pc.if_else(must, pc.binary_join_element_wise(quote, inside, quote, _large("")), column)
    return pc.fill_null(column, _large(""))


def _large(text: str) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())


def _parquet(sheet: Sheet) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [_stored(column, kind) for column, kind in zip(sheet.columns, sheet.types, strict=True)]
    table = pa.table(columns, names=list(sheet.names)).replace_schema_metadata(sheet.metadata or None)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _stored(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        encoded = column.cast(kind.value_type).dictionary_encode()
        places = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(places, encoded.dictionary, ordered=kind.ordered)
    return column.cast(kind)
