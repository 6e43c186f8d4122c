"""The database that aligns large tables: in memory up to a limit, on disk beyond it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from replay.errors import CompareError

if TYPE_CHECKING:
    import duckdb

MEMORY = 1024
"""MiB that the database may hold before it spills; `REPLAY_MEMORY` says otherwise."""


@contextmanager
def database(where: Callable[[], str | None]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a database of its own that spills into a temporary folder, cleared away afterwards.

    `where` looks for the file and row group that cannot be read, once reading failed. Raises CompareError:
    `REPLAY_MEMORY` is no number, the disk is full, a file cannot be read.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="replay-compare-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{_memory()}MiB",
            "temp_directory": folder,
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(config=settings)
        try:
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise CompareError(
                f"the comparison did not fit: {_first_line(error)}",
                cause=f"the memory limit ({_memory()} MiB) or the disk behind the temporary folder is too small",
                do="raise REPLAY_MEMORY (in MiB), or set TMPDIR to a folder with more room",
            ) from error
        except duckdb.Error as error:
            raise CompareError(
                where() or f"the tables cannot be compared: {_first_line(error)}",
                cause="a row group is damaged, or the file was truncated or changed meanwhile",
                do="look at the run's log (replay show), and run the job again",
            ) from error
        finally:
            connection.close()


def _memory() -> int:
    text = os.environ.get("REPLAY_MEMORY", str(MEMORY))
    if not text.isdecimal() or int(text) < 64:
        raise CompareError(
            f"REPLAY_MEMORY = {text!r} is no number of MiB of 64 or more",
            cause="a typing error in the environment",
            do="write a whole number, for example REPLAY_MEMORY=4096",
        )
    return int(text)


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "".join(c for c in line if c.isprintable())[:300]
