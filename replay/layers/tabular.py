"""Reading a file of any format into a profile. A file that cannot be read gives a problem, never an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from replay.content_arrow import batches, opened
from replay.content_text import json_lines, records_table
from replay.errors import CompareError
from replay.layers.delimited import profile_csv
from replay.layers.profile import Profile, Tally, broken, count, distinct_names

FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".psv"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), "arrow"),
    ".json": "json",
}
"""The format of a file by the end of its name; any other file is `opaque`."""

TABLES = frozenset({"csv", "parquet", "jsonl", "arrow"})
"""Formats of which a folder of files is one table."""

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Compressions that readers of text files undo by the end of the name."""

LARGEST_JSON = 512 << 20
"""JSON is parsed in memory: beyond this many bytes only the format is recorded."""


class _Broken(Exception):
    """What is wrong with a file, in words that stay the same from release to release of what reads it."""


def format_of(path: str) -> tuple[str, str | None]:
    """Return the format of a file and its compression, judged by its name alone."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    found = FORMATS.get(suffixes[-1], "opaque") if suffixes else "opaque"
    if compression and found not in {"csv", "jsonl"}:
        return "opaque", None
    return found, compression


def profile_file(file: Path, path: str) -> Profile:
    """Return what a file holds; `path` is its path in the project, which decides the format.

    What is broken gives a profile of format `opaque` whose problem says where. Raises OSError where there is
    no such file.
    """
    found, compression = format_of(path)
    if found == "opaque":
        return Profile(format="opaque")
    if not file.stat().st_size:
        return broken(found, "the file is empty")
    if found == "csv":
        return profile_csv(file, compression)
    if found in {"json", "jsonl"} and file.stat().st_size > LARGEST_JSON:
        return Profile(format=found, problem="too large to look at its columns")
    try:
        if found == "parquet":
            return _profile_parquet(file)
        if found == "arrow":
            return _profile_arrow(file)
        if found == "jsonl":
            return _profile_jsonl(file, compression)
        return _profile_json(file)
    except _Broken as trouble:
        return broken(found, str(trouble))
    except (ValueError, KeyError, OSError, NotImplementedError, RecursionError):
        # All that pyarrow and json raise for content, and in words that differ from release to release.
        return broken(found, "its content is no such file, or it is truncated")


def _profile_parquet(file: Path) -> Profile:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as table:
        tallies, groups, group = _tallies(table.schema_arrow), table.num_row_groups, 0

        def read() -> Iterator[Any]:
            nonlocal group
            for group in range(groups):
                yield from table.iter_batches(row_groups=[group])

        try:
            count(tallies, read())
        except (ValueError, OSError):
            return broken("parquet", f"row group {group + 1} of {groups} cannot be read")
        rows = table.metadata.num_rows
    return Profile(format="parquet", rows=rows, columns=tuple(tally.done() for tally in tallies))


def _profile_arrow(file: Path) -> Profile:
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        reader, _ = opened(source)
        return _profile_batches("arrow", reader.schema, batches(reader))


def _profile_jsonl(file: Path, compression: str | None) -> Profile:
    import pyarrow as pa
    import pyarrow.json as pj

    try:
        with pa.input_stream(str(file), compression=compression) as source:
            table = pj.read_json(source)
    except pa.ArrowInvalid:  # fields of mixed types: the slow reader takes their JSON texts
        with pa.input_stream(str(file), compression=compression) as source:
            table = _mixed_lines(source.read())
    return _profile_batches("jsonl", table.schema, table.to_batches())


def _mixed_lines(data: bytes) -> Any:
    """Return lines as a table; a field whose values have no common type is text. Raises _Broken: no JSON Lines."""
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            records.extend(json_lines(line, ""))
        except CompareError:
            raise _Broken(f"line {number} cannot be read as a JSON object") from None
    return records_table(records)


def _profile_json(file: Path) -> Profile:
    import pyarrow as pa

    document = json.loads(file.read_bytes())
    if not isinstance(document, list) or not document or not all(isinstance(row, dict) for row in document):
        return Profile(format="json")
    try:
        table = pa.Table.from_pylist(document)
    except (pa.ArrowException, OverflowError):
        return Profile(format="json", problem="its rows do not agree on a type")
    return _profile_batches("json", table.schema, table.to_batches())


def _profile_batches(found: str, schema: Any, batches: Iterable[Any]) -> Profile:
    tallies = _tallies(schema)
    rows = count(tallies, batches)
    return Profile(format=found, rows=rows, columns=tuple(tally.done() for tally in tallies))


def _tallies(schema: Any) -> list[Tally]:
    names = distinct_names(schema.names)
    return [Tally(name, stored) for name, stored in zip(names, map(_stored, schema.types), strict=True)]


def _stored(kind: Any) -> str:
    """Return the name of an Arrow type; ways of keeping text that readers do not tell apart are one."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return f"dictionary of {_stored(kind.value_type)}"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return "string" if any(is_text(kind) for is_text in texts) else str(kind)
