"""Text and Arrow files too large for memory, rewritten once as parquet: read in blocks, each column in its one type.

The types of text are those of `replay.content_text`, so that a table is the same whether it is held in memory or not.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from replay.compare.text import clean
from replay.content_arrow import batches, opened
from replay.content_text import BLOCK, CsvLayout, as_number, as_whole, csv_error
from replay.errors import CompareError
from replay.large.source import Source, parquet_source, typed_as

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = 122_880
"""Rows of a row group: what DuckDB hands to one thread."""

REMEMBERED = 4
"""Tables that stay rewritten: the probes of a bisect are all held against the same one."""

Kind = Literal["csv", "jsonl", "arrow"]

Batches = Callable[[], Iterator["pa.RecordBatch | pa.Table"]]
"""Reads the file from its beginning, a block at a time."""

_known: OrderedDict[tuple[str, str], Source] = OrderedDict()
_lock = threading.Lock()


def rewritten(
    path: Path, name: str, kind: Kind, packing: str | None, digest: str | None, block: int = BLOCK
) -> Source | None:
    """Return the table in a file, called `name` and packed as `packing` says, as parquet beside it.

    What is rewritten lies in a temporary folder while the result is in use; with a `digest` the last few are kept.
    None where only reading all of it at once can tell what it holds, or what is wrong with it. Raises CompareError:
    no room; of a CSV also what `replay.content_text.read_csv` raises.
    """
    with _lock:
        if digest and (digest, name) in _known:
            _known.move_to_end((digest, name))
            return _known[digest, name]
    file = _File(path, name, packing, block)
    found = {"csv": file.csv, "jsonl": file.jsonl, "arrow": file.arrow}[kind]()
    if found is not None and digest:
        with _lock:
            _known[digest, name] = found
            while len(_known) > REMEMBERED:
                _known.popitem(last=False)
    return found


@dataclass(frozen=True)
class _File:
    """A file that is read in blocks of so many bytes."""

    path: Path
    name: str
    packing: str | None
    block: int

    def csv(self) -> Source | None:
        """Rewrite a CSV file, read twice: what its columns hold first. Raises CompareError: a row that is wrong."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        try:
            with self._open() as stream:
                head = stream.read(BLOCK)
        except OSError:
            return None
        if not head:
            return None
        layout = CsvLayout.of(head, self.name)

        def read() -> Iterator[pa.RecordBatch]:
            with self._open() as stream:
                yield from arrow_csv.open_csv(stream, **layout.options(self.block))

        kinds = {column: _Kind() for column in layout.header}
        try:
            for batch in read():
                for column, cells in zip(layout.header, batch.columns, strict=True):
                    kinds[column].see(cells)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise csv_error(self._open, layout, self.name, error) from error
        except OSError:
            return None
        schema = pa.schema([(column, kind.type()) for column, kind in kinds.items()])
        return self._written(read, schema, layout.dialect, read)

    def jsonl(self) -> Source | None:
        """Rewrite JSON Lines whose fields are plain: what is nested or of mixed types is for the reader in memory."""
        import pyarrow as pa
        import pyarrow.json as arrow_json

        def tables(schema: pa.Schema | None = None) -> Iterator[pa.Table]:
            options = arrow_json.ReadOptions(block_size=self.block)
            parse = arrow_json.ParseOptions(explicit_schema=schema)
            for lines in self._lines():
                yield arrow_json.read_json(pa.BufferReader(lines), read_options=options, parse_options=parse)

        kinds: dict[str, set[pa.DataType]] = {}
        try:
            for table in tables():
                table.validate(full=True)  # text that is not UTF-8
                for field in table.schema:
                    kinds.setdefault(field.name, set()).add(field.type)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            return None
        common = {column: _common(found) for column, found in kinds.items()}
        if not common or any(kind is None for kind in common.values()):
            return None
        schema = pa.schema(list(common.items()))
        return self._written(lambda: tables(schema), schema, {})

    def arrow(self) -> Source | None:
        """Rewrite an Arrow file whose types parquet keeps."""
        import pyarrow as pa

        if self.packing:
            return None

        def read() -> Iterator[pa.RecordBatch]:
            with pa.memory_map(str(self.path)) as source:
                yield from batches(opened(source)[0])

        schema = None
        try:
            for batch in read():
                batch.validate(full=True)  # offsets out of bounds would end this process, not raise
                schema = batch.schema.remove_metadata()
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            return None
        if schema is None:
            return None
        return self._written(read, schema, {f"type of {field.name}": str(field.type) for field in schema})

    def _open(self) -> pa.NativeFile:
        import pyarrow as pa

        return pa.input_stream(str(self.path), compression=self.packing)

    def _lines(self) -> Iterator[bytes]:
        """Yield the file in pieces of whole lines."""
        with self._open() as stream:
            rest = b""
            while piece := stream.read(self.block):
                whole, end, rest_of = (rest + piece).rpartition(b"\n")
                rest = rest_of
                if whole.strip():
                    yield whole + end
            if rest.strip():
                yield rest

    def _written(
        self,
        read: Batches,
        schema: pa.Schema,
        dialect: dict[str, str],
        raw: Callable[[], Iterator[pa.RecordBatch]] | None = None,
    ) -> Source | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = tempfile.mkdtemp(prefix="replay-rewritten-")
        file = Path(folder) / "table.parquet"
        try:
            with pq.ParquetWriter(file, schema) as writer:
                for batch in read():
                    columns = [typed_as(batch.column(place), field.type) for place, field in enumerate(schema)]
                    writer.write_table(pa.table(columns, schema=schema), row_group_size=GROUP)
            found = parquet_source([(file, self.name)])
            if not found.schema.equals(schema):
                raise pa.ArrowInvalid("parquet keeps these types as others")
            source = replace(found, schema=schema, dialect=dialect, raw=raw)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, pa.ArrowException):  # parquet does not hold this, or as something else
                return None
            if isinstance(error, OSError):
                raise CompareError(
                    f"{clean(self.name, 200)} cannot be rewritten to be compared: {clean(error, 200)}",
                    cause="the disk behind the temporary folder is full, or the file changed meanwhile",
                    do="set TMPDIR to a folder with more room",
                ) from error
            raise
        weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)
        return source


class _Kind:
    """What the cells of a CSV column can be, by the blocks seen so far."""

    def __init__(self) -> None:
        self.empty = self.whole = self.number = True

    def see(self, cells: pa.Array) -> None:
        if cells.null_count == len(cells):
            return
        self.empty = False
        self.whole = self.whole and as_whole(cells) is not None
        self.number = self.number and as_number(cells) is not None

    def type(self) -> pa.DataType:
        import pyarrow as pa

        if self.empty:
            return pa.null()
        return pa.int64() if self.whole else pa.float64() if self.number else pa.string()


def _common(kinds: set[pa.DataType]) -> pa.DataType | None:
    """Return the type that Arrow's reader gives a field which has these in its blocks; None where it has none."""
    import pyarrow as pa

    plain = {pa.string() if pa.types.is_timestamp(kind) else kind for kind in kinds} - {pa.null()}
    if not plain:
        return pa.null()
    if plain == {pa.int64(), pa.float64()}:
        return pa.float64()
    known = (pa.int64(), pa.float64(), pa.string(), pa.bool_())
    return next(iter(plain)) if len(plain) == 1 and plain <= set(known) else None
