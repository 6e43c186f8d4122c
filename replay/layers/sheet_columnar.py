"""Sheets of Parquet, Arrow and Feather files. Cells keep their stored type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replay.content_arrow import opened
from replay.layers.sheet import Sheet

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(file: Path) -> Sheet:
    """Return a Parquet file's table. Raises pyarrow.ArrowException, OSError."""
    import pyarrow.parquet as pq

    return _sheet("parquet", pq.ParquetFile(file).read(), {})


def write_parquet(sheet: Sheet) -> bytes:
    """Return the Parquet file of a table. Raises pyarrow.ArrowInvalid where cells do not fit their stored type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(_table(sheet), sink)
    return _bytes(sink)


def read_arrow(file: Path) -> Sheet:
    """Return the table of an Arrow (IPC file or stream) or Feather file. Raises pyarrow.ArrowException, OSError."""
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        reader, container = opened(source)
        return _sheet("arrow", reader.read_all(), {"container": container})


def write_arrow(sheet: Sheet) -> bytes:
    """Return the Arrow file of a table, not compressed. Raises as `write_parquet` does."""
    import pyarrow as pa

    table = _table(sheet)
    sink = pa.BufferOutputStream()
    new = pa.ipc.new_file if sheet.dialect["container"] == "file" else pa.ipc.new_stream
    with new(sink, table.schema) as writer:
        writer.write_table(table)
    return _bytes(sink)


def _sheet(found: str, table: pa.Table, dialect: dict[str, str]) -> Sheet:
    table.validate(full=True)
    columns = tuple(whole(column) for column in table.columns)
    metadata = dict(table.schema.metadata or {})
    return Sheet(found, tuple(table.column_names), columns, tuple(table.schema.types), dialect, metadata)


def _table(sheet: Sheet) -> pa.Table:
    import pyarrow as pa

    columns = [_stored(column, kind) for column, kind in zip(sheet.columns, sheet.types, strict=True)]
    return pa.table(columns, names=list(sheet.names)).replace_schema_metadata(sheet.metadata or None)


def _bytes(sink: pa.BufferOutputStream) -> bytes:
    data: bytes = sink.getvalue().to_pybytes()
    return data


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array of plain values; a dictionary is a way of storing, not another value."""
    import pyarrow as pa

    joined = column.combine_chunks()
    array = pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _stored(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        encoded = column.cast(kind.value_type).dictionary_encode()
        places = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(places, encoded.dictionary, ordered=kind.ordered)
    return column.cast(kind)
