"""Folders that hold one table in parts: `part-00000.parquet`, `day=2024-01-01/0.parquet` and their like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from replay.compare.text import clean
from replay.content import named_format
from replay.content_text import typed
from replay.errors import CompareError

if TYPE_CHECKING:
    import pyarrow as pa

TABULAR = ("csv", "parquet", "arrow", "jsonl")
PART = re.compile(r"^(part|chunk|data|shard|file)?[-_.]?\d+([-_.][\w-]+)*\.", re.IGNORECASE)
PARTITION = re.compile(r"^([^=]+)=(.*)$")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What a folder of a partition is called where its column is null (Hive, Spark)."""


def parts(names: Sequence[str]) -> list[str]:
    """Return which files of a folder are parts of a table, in order; markers such as `_SUCCESS` are none."""
    return sorted(name for name in names if not _marker(name) and _is_part(name))


def one_table(good: Sequence[str], bad: Sequence[str]) -> bool:
    """Return whether two folders each hold one table in parts, of one format.

    Raises CompareError where parts stand beside foreign files and go by other names on each side: then neither
    file by file nor as a table can they be compared.
    """
    sides = [(parts(names), [name for name in names if not _marker(name)]) for names in (good, bad)]
    if not all(found for found, _ in sides):
        return False
    foreign = [name for found, names in sides for name in names if name not in found]
    formats = {named_format(name) for found, _ in sides for name in found}
    if not foreign and len(formats) == 1:
        return True
    if sides[0][0] != sides[1][0]:
        odd = foreign[0] if foreign else next(n for found, _ in sides for n in found[::-1])
        raise CompareError(
            f"the folder holds a table in parts, and {clean(odd, 200)} is none of them",
            cause="another job wrote into the same folder, or an older run's files were left there",
            do="declare the folder that the parts alone are in, and empty it before the job writes",
        )
    return False


def joined(name: str, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return the parts as one table; folders called `column=value` give it columns.

    Raises CompareError naming the part whose columns do not fit the first one's.
    """
    import pyarrow as pa

    first = next(iter(tables.values())).schema if tables else pa.schema([])
    columns = {part: partition(part) for part in tables}
    for part, table in tables.items():
        odd = set(table.schema.names) ^ set(first.names) or columns[part].keys() & set(first.names)
        if odd or columns[part].keys() != next(iter(columns.values())).keys():
            raise CompareError(
                f"{clean(name, 200)}: the part {clean(part, 200)} has other columns than the first: "
                f"{clean(', '.join(sorted(odd)) or 'its folders', 200)}",
                cause="parts of two runs lie in one folder, or the job's columns changed while it wrote",
                do="empty the folder before the job writes",
            )
    try:
        whole = pa.concat_tables([table.select(first.names) for table in tables.values()], promote_options="permissive")
    except pa.ArrowException as error:
        raise CompareError(
            f"{clean(name, 200)}: its parts do not fit together: {clean(error, 200)}",
            cause="a column has another type in one part than in another",
            do="let the job write one type for a column, whatever values a part happens to hold",
        ) from error
    for column in next(iter(columns.values()), {}):
        lengths = zip(columns.values(), (table.num_rows for table in tables.values()), strict=True)
        values = [pa.repeat(pa.scalar(values[column], pa.string()), rows) for values, rows in lengths]
        whole = whole.append_column(column, typed(pa.chunked_array(values, pa.string())))
    return whole


def partition(part: str) -> dict[str, str | None]:
    """Return the columns that the folders of a part name, with their value: `day=2024-01-01/0.parquet`."""
    found = (PARTITION.match(unquote(folder)) for folder in PurePosixPath(part).parts[:-1])
    return {match[1]: None if match[2] == NO_VALUE else match[2] for match in found if match}


def _is_part(name: str) -> bool:
    path = PurePosixPath(name)
    partitioned = any(PARTITION.match(folder) for folder in path.parts[:-1])
    return named_format(name) in TABULAR and (partitioned or bool(PART.match(path.name)))


def _marker(name: str) -> bool:
    return any(step.startswith(("_", ".")) and "=" not in step for step in PurePosixPath(name).parts)
