"""A table as it is written: every cell as it stands in the file, to be taken apart and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Sheet:
    """A table's columns in the order of the file.

    `names` are as written, "" where a header has none. `dialect` says how a file is written: a CSV as the contract's,
    with `line end`, `last line end` and `compression`; JSON Lines with these and `separators`; Arrow with
    `container`. `types` are the stored types of a Parquet or Arrow file's columns and `metadata` what it says of
    itself. `parts` are the files of a folder, in order, with the rows of each.
    """

    format: str
    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    types: tuple[pa.DataType, ...] = ()
    dialect: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[bytes, bytes] = field(default_factory=dict)
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.columns[0]) if self.columns else 0
