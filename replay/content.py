"""Files read into what the rules of `replay.compare` understand: tables, documents, or opaque bytes.

The format follows the file's name (`.csv`, `.tsv`, `.parquet`, `.feather`, `.arrow`, `.jsonl`, `.json`,
`.yaml`, `.toml`, `.safetensors`, `.npz`, `.npy`, also with `.gz`, `.bz2` or `.zst` behind); where the name says
nothing, its first bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from replay.compare.text import clean
from replay.content_arrow import MAGIC, opened
from replay.content_documents import parse_toml, parse_yaml
from replay.content_tensors import read_tensors
from replay.content_text import parse_json, read_csv, read_jsonl, records_table
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet as pq

Format = Literal["csv", "parquet", "arrow", "jsonl", "json", "yaml", "toml", "tensors", "bytes"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".safetensors": "tensors",
    ".npz": "tensors",
    ".npy": "tensors",
    ".txt": "bytes",
    ".log": "bytes",
    ".md": "bytes",
}
_MAGIC: tuple[tuple[bytes, Format], ...] = ((b"PAR1", "parquet"), (MAGIC, "arrow"), (b"FEA1", "arrow"))
_DOCUMENTS: dict[Format, Callable[[bytes, str], Any]] = {"json": parse_json, "yaml": parse_yaml, "toml": parse_toml}
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


@dataclass(frozen=True)
class Content:
    """A file's content: a `table`, the `document` of a JSON, YAML or TOML file, or opaque `data`.

    `raw` is a CSV table with every cell as it is written; `dialect` is how the file is written (delimiter,
    line ends, stored types), for sentences.
    """

    format: Format
    table: pa.Table | None = None
    document: Any = None
    data: bytes | None = None
    raw: pa.Table | None = None
    dialect: dict[str, str] = field(default_factory=dict)


def named_format(name: str) -> Format | None:
    """Return the format that a file's name promises, None where it promises none."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None


def detect(path: Path, name: str) -> Format:
    """Return a file's format by its name, or by its first bytes where the name promises none."""
    named = named_format(name)
    if named:
        return named
    with path.open("rb") as file:
        start = file.read(1 << 16)
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    return "json" if start.lstrip()[:1] in (b"{", b"[") and _is_json(path) else "bytes"


def load(path: Path, name: str, kind: Format, key: Sequence[str] = ()) -> Content:
    """Return the content of the file at `path`, called `name`, read as `kind`.

    A list of objects is a table where a `key` is declared. CSV cells are typed a column at a time
    (`replay.content_text.typed`). Raises CompareError: not there, empty, truncated, ragged, not UTF-8, a column twice.
    """
    try:
        if kind == "bytes":
            return Content("bytes", data=path.read_bytes())
        source = _source(path, name)
    except OSError as error:
        raise _unreadable(name, f"cannot be read: {error}", "the file is damaged, gone or not yours to read") from error
    if source.size == 0:
        raise _unreadable(name, "is empty", "the job ended before it wrote, or wrote somewhere else")
    if kind == "csv":
        raw, table, dialect = read_csv(source, name)
        return Content("csv", table=table, raw=raw, dialect=dialect)
    if kind == "tensors":
        return Content("tensors", document=read_tensors(source, name))
    if kind == "jsonl":
        return Content("jsonl", table=read_jsonl(source, name))
    if kind in _DOCUMENTS:
        document = _DOCUMENTS[kind](source.to_pybytes(), name)
        if key and isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
            return Content(kind, table=records_table(document))
        return Content(kind, document=document)
    return _columnar(source, name, kind)


def packing(name: str) -> str | None:
    """Return the compression that a file's name says it has, None where it has none."""
    return _PACKED.get(PurePosixPath(name).suffix.lower())


def _source(path: Path, name: str) -> pa.Buffer:
    """Return a file's bytes, unpacked where its name says that they are packed, mapped where they are not."""
    import pyarrow as pa

    packed = packing(name)
    if packed:
        with pa.input_stream(str(path), compression=packed) as stream:
            return pa.py_buffer(stream.read())
    if path.stat().st_size == 0:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _columnar(source: pa.Buffer, name: str, kind: Format) -> Content:
    """Read Parquet, Feather or Arrow IPC (file or stream)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dialect: dict[str, str] = {}
    file = None
    try:
        if kind == "parquet":
            file = pq.ParquetFile(pa.BufferReader(source))
            dialect["written by"] = file.metadata.created_by or "unknown"
            table = file.read()
        else:
            table = _ipc(source)
        table.validate(full=True)  # offsets out of bounds would end this process, not raise
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        where = f" (row group {group} of {file.num_row_groups})" if file and (group := _damaged(file)) else ""
        raise _unreadable(
            name,
            f"is no readable {kind} file{where}: {error}",
            "it was truncated (the job was killed, or the disk was full)",
        ) from error
    for column, stored in zip(names, table.schema.types, strict=True):
        dialect[f"type of {column}"] = str(stored)
    return Content(kind, table=table, dialect=dialect)


def _damaged(file: pq.ParquetFile) -> int | None:
    """Return the first row group, from 1, that cannot be read; None where each by itself can."""
    import pyarrow as pa

    for group in range(file.num_row_groups):
        try:
            file.read_row_group(group).validate(full=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            return group + 1
    return None


def _ipc(source: pa.Buffer) -> pa.Table:
    import pyarrow as pa
    from pyarrow import feather

    if source[:4].to_pybytes() == b"FEA1":
        return feather.read_table(pa.BufferReader(source))
    reader, _ = opened(pa.BufferReader(source))
    return reader.read_all()


def _is_json(path: Path) -> bool:
    try:
        parse_json(path.read_bytes(), path.name)
    except CompareError:
        return False
    return True


def _unreadable(name: str, what: str, cause: str) -> CompareError:
    return CompareError(
        f"{clean(name, 200)} {clean(what, 300)}",
        cause=cause,
        do="look at the run's log (replay show), and run the job again",
    )
