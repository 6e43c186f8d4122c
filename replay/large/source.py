"""A large table on disk: the parquet files it is in, as DuckDB and the rules are to see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from replay.compare.text import clean
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet as pq


@dataclass(frozen=True)
class Source:
    """The files of one table, in order; `rows` are the rows of each. `dialect` is how it is written.

    `filled` are columns that are known to hold no null. `raw` reads the cells of a CSV as they are written, in blocks.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    schema: pa.Schema
    dialect: dict[str, str] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()
    raw: Callable[[], Iterator[pa.RecordBatch]] | None = None

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows)

    @property
    def usable(self) -> bool:
        """Whether DuckDB reads every column as it is: names that differ in case alone are one name to it."""
        return len({name.casefold() for name in self.schema.names}) == len(self.schema) and all(
            exact(kind) for kind in self.schema.types
        )

    def relation(self, columns: dict[str, str], row: str = "rn") -> str:
        """Return a query of SQL expressions by alias, and the number of each row in the whole table as `row`."""
        files = ", ".join(literal(str(file)) for file in self.files)
        number = "file_row_number"
        if len(self.files) > 1:
            starts = [sum(self.rows[:place]) for place in range(len(self.rows))]
            number = f"({starts}[file_index::bigint + 1] + file_row_number)"
        picked = ", ".join(
            [*(f"{expression} as {alias}" for alias, expression in columns.items()), f"{number} as {row}"]
        )
        return f"(select {picked} from read_parquet([{files}], file_row_number = true, hive_partitioning = false))"


def parquet_source(files: Sequence[tuple[Path, str]]) -> Source:
    """Return the table in these parquet files, each with the name people know it by.

    Raises CompareError: truncated, or parts that do not fit together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metas = []
    for path, name in files:
        try:
            metas.append(pq.read_metadata(path))
        except (pa.ArrowException, OSError) as error:
            raise CompareError(
                f"{clean(name, 200)} is no readable parquet file: {clean(error, 300)}",
                cause="it was truncated (the job was killed, or the disk was full)",
                do="look at the run's log (replay show), and run the job again",
            ) from error
    schema = metas[0].schema.to_arrow_schema()
    for meta, (_, name) in zip(metas, files, strict=True):
        if not meta.schema.to_arrow_schema().equals(schema):
            raise CompareError(
                f"the part {clean(name, 200)} has other columns or types than {clean(files[0][1], 200)}",
                cause="parts of two runs lie in one folder, or the job's columns changed while it wrote",
                do="empty the folder before the job writes",
            )
    dialect = {"written by": metas[0].created_by or "unknown"}
    dialect |= {f"type of {field.name}": str(field.type) for field in schema}
    paths, names = zip(*files, strict=True)
    return Source(paths, names, tuple(meta.num_rows for meta in metas), schema, dialect, _filled(metas))


def _filled(metas: list[pq.FileMetaData]) -> frozenset[str]:
    """Return the columns of which the files' own statistics say that they hold no null."""
    names = {metas[0].schema.column(place).path for place in range(metas[0].num_columns)}
    for meta in metas:
        for group in (meta.row_group(number) for number in range(meta.num_row_groups)):
            for column in (group.column(place) for place in range(group.num_columns)):
                statistics = column.statistics
                if statistics is None or not statistics.has_null_count or statistics.null_count:
                    names.discard(column.path_in_schema)
    return frozenset(names)


def damage(source: Source, side: str) -> str | None:
    """Return which row group of which file cannot be read, and why; None where all can. Reads everything again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path, name in zip(source.files, source.names, strict=True):
        try:
            file = pq.ParquetFile(path)
            groups = file.num_row_groups
        except (pa.ArrowException, OSError) as error:
            return f"{clean(name, 200)} ({side}) is no readable parquet file: {clean(error, 200)}"
        for group in range(groups):
            try:
                file.read_row_group(group)
            except (pa.ArrowException, OSError) as error:
                head = f"{clean(name, 200)} ({side}): row group {group + 1} of {groups}"
                return f"{head} cannot be read: {clean(error, 200)}"
    return None


def exact(kind: pa.DataType) -> bool:
    """Return whether DuckDB reads a type of parquet without losing anything of it."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return exact(kind.value_type)
    if t.is_list(kind) or t.is_large_list(kind):
        return exact(kind.value_type)
    if t.is_struct(kind):
        return all(exact(field.type) for field in kind)
    if isinstance(kind, pa.BaseExtensionType):
        return False
    tests = (t.is_integer, t.is_boolean, t.is_string, t.is_large_string, t.is_binary, t.is_large_binary, t.is_date32)
    plain = any(test(kind) for test in tests) or kind in (pa.float32(), pa.float64(), pa.null())
    return plain or (t.is_decimal128(kind)) or (t.is_timestamp(kind) and kind.unit != "s")


def typed_as(cells: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return cells in a type; nothing is cast to the type of no value. Raises pyarrow.ArrowInvalid."""
    import pyarrow as pa

    return pa.nulls(len(cells)) if pa.types.is_null(kind) else cells.cast(kind)


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a column's name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
