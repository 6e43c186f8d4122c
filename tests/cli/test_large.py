"""Large tables by the command line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from replay import matches
from tests.cli.conftest import Shop


@pytest.fixture
def large(shop: Shop) -> list[Path]:
    """Two tables of more than `matches.LARGE` bytes; three cells differ."""
    rows = 2_600_000
    ids = pa.array(range(rows))
    scores = pa.array([(i * 2654435761) % 2**32 / 7 for i in range(rows)])
    moved = pa.concat_arrays([scores[:-3], pa.array([1.0, 2.0, 3.0])])
    paths = []
    for name, column in (("good", scores), ("bad", moved)):
        paths.append(shop.root / f"{name}.parquet")
        parquet.write_table(pa.table({"id": ids, "score": column}), paths[-1], compression="none", use_dictionary=False)
    assert sum(path.stat().st_size for path in paths) > matches.LARGE
    return paths


def test_large_tables_are_compared_and_nothing_else_is_said(shop: Shop, large: list[Path]) -> None:
    ended = shop.replay("compare", *map(str, large), "--key", "id")
    assert ended.code == 1
    assert "score: 3 of 2,600,000 cells changed" in ended.out
    assert ended.err == ""


def test_a_damaged_row_group_is_an_error_that_names_the_file(shop: Shop, large: list[Path]) -> None:
    data = bytearray(large[1].read_bytes())
    for place in range(4, 4000):
        data[place] ^= 0xFF
    large[1].write_bytes(bytes(data))
    what = shop.replay("compare", *map(str, large), "--key", "id").explains()[0]
    assert what.startswith("replay: bad.parquet (bad): row group 1 of 3 cannot be read: ")


def test_a_memory_limit_that_is_no_number_is_an_error(shop: Shop, large: list[Path]) -> None:
    said = shop.replay("compare", *map(str, large), "--key", "id", REPLAY_MEMORY="lots").explains()
    assert said[0] == "replay: REPLAY_MEMORY = 'lots' is no number of MiB of 64 or more"
