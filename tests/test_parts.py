"""Folders that hold one table in parts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from replay import matches
from replay.compare.difference import Difference
from replay.errors import CompareError
from replay.outputs import compare_paths
from replay.record import OutputSpec

KEYED = OutputSpec(path="scores/", key=("id",))


def write(folder: Path, files: dict[str, pa.Table | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            parquet.write_table(content, path)
    return folder


def table(first: int, last: int, moved: int | None = None) -> pa.Table:
    return pa.table({"id": range(first, last), "x": [0.5 if i == moved else float(i) for i in range(first, last)]})


def lines(difference: Difference | None) -> list[str]:
    return difference.lines() if difference else []


def test_parts_are_one_table_however_it_was_cut(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {"part-00000-aa.parquet": table(0, 10), "_SUCCESS": "", ".x.crc": "1"})
    bad = write(
        tmp_path / "bad", {"part-00000-bb.parquet": table(0, 4), "part-00001-bb.parquet": table(4, 10, moved=7)}
    )
    assert lines(compare_paths(good, bad, KEYED))[2:] == [
        "    x: 1 of 10 cells changed (10 %); largest absolute difference 6.5 at id=7 (7.0 -> 0.5); "
        "largest relative difference 92.9 % there"
    ]
    cut = compare_paths(good, write(tmp_path / "cut", {"1.parquet": table(0, 4), "2.parquet": table(4, 10)}), KEYED)
    assert cut is not None
    assert not cut.matters
    assert "same values, different bytes (parts 1 -> 2)" in cut.lines()[1]


def test_large_parts_are_compared_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "LARGE", 1)
    good = write(tmp_path / "good", {"part-0.parquet": table(0, 10)})
    bad = write(tmp_path / "bad", {"part-0.parquet": table(0, 4), "part-1.parquet": table(4, 10, moved=7)})
    assert "x: 1 of 10 cells changed" in lines(compare_paths(good, bad, KEYED))[2]
    odd = write(tmp_path / "odd", {"part-0.parquet": table(0, 4), "part-1.parquet": pa.table({"id": [1]})})
    with pytest.raises(CompareError, match=r"the part part-1\.parquet has other columns"):
        compare_paths(good, odd, KEYED)


def test_folders_of_partitions_are_columns(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {"day=1/a.csv": "id,x\n1,1\n", "day=2/a.csv": "id,x\n2,2\n"})
    bad = write(tmp_path / "bad", {"day=1/b.csv": "id,x\n1,1\n2,2\n"})
    assert "day: 1 of 2 cells changed (50 %); largest absolute difference 1 at id=2 (2 -> 1)" in str(
        lines(compare_paths(good, bad, KEYED))
    )
    null = write(
        tmp_path / "null", {"day=__HIVE_DEFAULT_PARTITION__/b.csv": "id,x\n1,1\n", "day=2/a.csv": "id,x\n2,2\n"}
    )
    assert "day: 1 value became null (id=1: 1 -> (null))" in str(lines(compare_paths(good, null, KEYED)))


def test_parts_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {"part-0.csv": "id,x\n1,1\n"})
    bad = write(tmp_path / "bad", {"part-0.csv": "id,x\n1,1\n", "part-1.csv": "id,y\n2,2\n"})
    with pytest.raises(CompareError, match=r"the part part-1\.csv has other columns than the first: x, y"):
        compare_paths(good, bad, KEYED)


def test_a_foreign_file_among_parts_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {"part-0-aa.csv": "id\n1\n", "notes.txt": "x"})
    bad = write(tmp_path / "bad", {"part-0-bb.csv": "id\n1\n"})
    with pytest.raises(CompareError, match=r"a table in parts, and notes\.txt is none of them"):
        compare_paths(good, bad, KEYED)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {"part-0.parquet": table(0, 4), "part-1.parquet": table(4, 10)})
    bad = write(tmp_path / "bad", {"part-0.parquet": table(0, 4), "part-1.parquet": "PAR1 cut"})
    with pytest.raises(CompareError, match=r"part-1\.parquet is no readable parquet file"):
        compare_paths(good, bad, KEYED)
