"""Files read into what the rules of `replay.compare` understand: tables, documents, or opaque bytes.

The format follows the file's name (`.csv`, `.tsv`, `.parquet`, `.feather`, `.arrow`, `.jsonl`, `.json`, also
with `.gz`, `.bz2` or `.zst` behind); where the name says nothing, its first bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from replay.compare.documents import too_deep
from replay.compare.text import clean
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "parquet", "arrow", "jsonl", "json", "bytes"]

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
}
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Content:
    """A file's content. One of `table`, `document` (where `format` is `json`) and `data` holds it.

    `raw` is a text table's every cell as it is written; `dialect` is how the file is written, for sentences.
    `named` is False where the format was guessed from the bytes.
    """

    format: Format
    table: pa.Table | None = None
    document: Any = None
    data: bytes | None = None
    raw: pa.Table | None = None
    dialect: dict[str, str] = field(default_factory=dict)
    named: bool = True


def load(path: Path, name: str, key: Sequence[str] = ()) -> Content:
    """Return a file's content; `name` is what it is called (a blob's own path says nothing).

    A JSON list of objects is a table where a `key` is declared. CSV cells are typed a column at a time, see
    `typed`. Raises CompareError: empty, truncated, ragged, not UTF-8, a column twice, not what its name says.
    """
    kind, packing = format_of(name)
    named = kind != "bytes" or not _suffix(name)
    if kind == "bytes":
        kind = _sniff(path)
        named = False
    readers = {"csv": _csv, "parquet": _parquet, "arrow": _arrow, "jsonl": _jsonl, "json": _json}
    if kind == "bytes":
        return Content("bytes", data=path.read_bytes(), named=False)
    if path.stat().st_size == 0:
        raise _unreadable(name, "is empty", "the job ended before it wrote, or wrote to another place")
    content = readers[kind](_unpacked(path, name, packing), name)
    if kind == "json" and key and _is_records(content.document):
        content = _records(content.document, name)
    return Content(**{**content.__dict__, "named": named})


def format_of(name: str) -> tuple[Format, str | None]:
    """Return the format a file's name promises (`bytes` where it promises none) and how it is packed."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    packing = _PACKED.get(suffixes[-1]) if suffixes else None
    if packing:
        suffixes.pop()
    return (_SUFFIXES.get(suffixes[-1], "bytes") if suffixes else "bytes"), packing
