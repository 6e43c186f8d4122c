"""Tables of every format that is mixed cell by cell, read into sheets and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from replay.errors import InputError
from replay.layers.sheet import Sheet
from replay.layers.sheet_columnar import read_arrow, read_parquet, write_arrow, write_parquet
from replay.layers.sheet_csv import read_csv, write_csv
from replay.layers.sheet_lines import LARGEST as LARGEST_LINES
from replay.layers.sheet_lines import read_lines, write_lines
from replay.layers.tabular import format_of

LARGEST = {"csv": 1 << 30, "parquet": 1 << 30, "arrow": 1 << 30, "jsonl": LARGEST_LINES}
"""The formats whose tables are mixed cell by cell, and the bytes up to which: a larger input is swapped whole."""

_WRITERS: Mapping[str, Callable[[Sheet], bytes]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "arrow": write_arrow,
    "jsonl": write_lines,
}


def read(file: Path, path: str, dialect: Mapping[str, str]) -> Sheet:
    """Return the table in `file`, called `path` in the project, which the contract found readable.

    `dialect` is the contract's. Raises InputError where it is no such table any more.
    """
    import pyarrow as pa

    kind, compression = format_of(path)
    try:
        if kind == "parquet":
            return read_parquet(file)
        if kind == "arrow":
            return read_arrow(file)
        if kind == "jsonl":
            return read_lines(file, compression)
        return read_csv(file, compression, dialect)
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be taken apart into cells ({type(error).__name__})",
            cause="it is not the table that its contract describes",
            do="bisect with --layers, which swaps inputs whole",
        ) from None


def joined(parts: Mapping[str, Sheet]) -> Sheet | None:
    """Return the one table whose parts these are, in their order; None where they are not written alike."""
    import pyarrow as pa

    first = next(iter(parts.values()))
    if len({_alike(part) for part in parts.values()}) > 1:
        return None
    columns = tuple(pa.concat_arrays(pieces) for pieces in zip(*(part.columns for part in parts.values()), strict=True))
    return replace(first, columns=columns, parts=tuple((path, part.rows) for path, part in parts.items()))


def written(sheet: Sheet, path: str) -> dict[str, bytes]:
    """Return the files that a reader takes for this table, by path; one at `path` where it is not in parts.

    Raises pyarrow.ArrowInvalid where cells do not fit the type they are stored in.
    """
    write = _WRITERS[sheet.format]
    if not sheet.parts:
        return {path: write(sheet)}
    found, start = {}, 0
    for part, rows in sheet.parts:
        found[part] = write(replace(sheet, columns=tuple(column.slice(start, rows) for column in sheet.columns)))
        start += rows
    return found


def _alike(part: Sheet) -> tuple[object, ...]:
    written = {what: how for what, how in part.dialect.items() if what not in {"separators", "last line end"}}
    return part.names, tuple(map(str, part.types)), tuple(sorted(written.items()))
