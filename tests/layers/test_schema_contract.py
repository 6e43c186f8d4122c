"""The contract of a file: what a reader makes of it, and what happens to files nobody can read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from replay.layers.contract import Column, Contract, concluded
from replay.layers.tabular import profile_file


def contract(folder: Path, data: bytes | str, name: str = "in.csv") -> Contract:
    file = folder / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return concluded(profile_file(file, f"data/{name}"))


def column(folder: Path, *cells: str) -> Column:
    """The contract of one column of a CSV file, beside another one of plain numbers."""
    rows = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells))
    columns = contract(folder, f"id,x\n{rows}").columns
    assert columns is not None
    return columns[1]


@pytest.mark.parametrize(
    ("cells", "type_", "style"),
    [
        (["1", "-2", " 3"], "int", None),
        (["1", "2.5", "1e5"], "float", None),
        (["1", "", "3"], "int", None),
        (["True", "False", ""], "bool", None),
        (["0381", "0840", "5315"], "code", None),
        (["WEB1", "0381", "0840"], "text", "numbers"),
        (["12", " ", "13.5"], "text", "numbers"),
        (["89340000000000000001", "89340000000000000002"], "text", "numbers"),
        (["8934000000000000001", "8934000000000000002"], "int", None),
        (["0x1F", "0x2F"], "text", None),
        (['"1,5"', '"2,25"'], "text", "decimal comma"),
        (["2026-10-01", "2026-10-31"], "date", "YYYY-MM-DD"),
        (["2026-10", "2026-11"], "date", "YYYY-MM"),
        (["Oct 2026", "Nov 2026"], "date", "Mon YYYY"),
        (["13/10/2026", "01/02/2026"], "date", "DD/MM/YYYY"),
        (["10/13/2026", "01/02/2026"], "date", "MM/DD/YYYY"),
        (["01/02/2026", "03/04/2026"], "date", "??/??/YYYY"),
        (["2026-10-13", "13/10/2026"], "date", "DD/MM/YYYY and YYYY-MM-DD"),
        (["2026-10-13 08:30:00", "2026-10-13T09:00:00.5"], "timestamp", "YYYY-MM-DD hh:mm"),
        (["", "NA", "null"], "empty", None),
    ],
)
def test_a_text_column_has_the_type_a_reader_gives_it(
    tmp_path: Path, cells: list[str], type_: str, style: str | None
) -> None:
    found = column(tmp_path, *cells)

    assert (found.type, found.style) == (type_, style)


def test_the_few_cells_that_turn_numbers_into_text_are_named(tmp_path: Path) -> None:
    found = column(tmp_path, *["19.85", " ", "20.05"] * 11)

    assert found.odd == {" ": 11}
    assert found.deciding == 11


def test_nulls_are_what_pandas_reads_as_null(tmp_path: Path) -> None:
    found = column(tmp_path, *["EA", "NA", "WA", "", "NA"] * 10)

    assert found.nulls == 30
    assert found.null_texts == {"NA": 20}
    assert found.categories == {"EA": 10, "WA": 10}


def test_categories_are_a_short_closed_list_and_never_dates_ids_or_prose(tmp_path: Path) -> None:
    assert column(tmp_path, *["b", "a", "a"] * 20).categories == {"a": 40, "b": 20}
    assert column(tmp_path, *["Junior 24", "Family 2024"] * 30).categories == {"Family 2024": 30, "Junior 24": 30}
    assert column(tmp_path, *["2026-10"] * 60).categories is None
    assert column(tmp_path, *[f"customer {n}" for n in range(60)]).categories is None
    assert column(tmp_path, *["x" * 201] * 60).categories is None
    assert column(tmp_path, *["1", "2"] * 30).categories is None


def test_counts_are_the_same_however_many_batches_a_file_has(tmp_path: Path) -> None:
    """400,000 rows are several batches; the column turns from few values to many, from numbers to text."""
    rows = [f"{n % 5},{n % 300},v{n},{'' if n % 4 else 'NA'}\n" for n in range(400_000)]
    rows[-1] = "x,x,x,x\n"
    columns = contract(tmp_path, "few,some,many,void\n" + "".join(rows)).columns

    assert columns is not None
    few, some, many, void = columns
    assert (few.type, few.distinct, few.odd) == ("text", 6, {"x": 1})
    assert (some.type, some.distinct, some.odd) == ("text", None, {"x": 1})
    assert (many.type, many.nulls, many.distinct) == ("text", 0, None)
    assert (void.nulls, void.null_texts) == (399_999, {"NA": 100_000})


def test_the_rare_cells_of_a_long_column_are_counted_by_spelling_over_all_its_batches(tmp_path: Path) -> None:
    """Most cells are different numbers; nulls and odd ones come up in every batch."""
    odd = {0: "-", 1: "NA", 2: " ", 3: "007"}
    rows = [f"{n},{odd.get(n % 1000, f'{n}.5')}\n" for n in range(400_000)]
    columns = contract(tmp_path, "id,x\n" + "".join(rows)).columns

    assert columns is not None
    assert (columns[1].type, columns[1].style, columns[1].distinct) == ("text", "numbers", None)
    assert (columns[1].odd, columns[1].null_texts) == ({"-": 400, " ": 400}, {"NA": 400})
    assert columns[1].deciding == 800


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a;b\n1,5;x\n2,5;y\n", {"delimiter": ";"}),
        (b"a\tb\n1\t2\n", {"delimiter": "\t"}),
        (b"a,b\n1,2\n", {"delimiter": ",", "encoding": "ascii", "byte-order mark": "no", "header": "yes"}),
        ("a,b\n1,é\n".encode(), {"encoding": "utf-8"}),
        ("a,b\n1,é\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("a,b\n1,é\n".encode()[:-2], {"encoding": "latin-1"}),
        ("a,b\n1,é\n".encode("utf-16"), {"encoding": "utf-16", "byte-order mark": "yes"}),
        ("\ufeffa,b\n1,2\n".encode(), {"encoding": "utf-8", "byte-order mark": "yes"}),
        (b"1,x\n2,y\n", {"header": "no"}),
        (b"id,2024,2025\n1,3,4\n", {"header": "yes"}),
    ],
)
def test_the_dialect_of_a_text_is_found(tmp_path: Path, data: bytes, expected: dict[str, str]) -> None:
    found = contract(tmp_path, data)

    assert found.format == "csv"
    assert found.columns is not None
    assert len(found.columns) > 1
    assert expected.items() <= found.dialect.items()


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    columns = contract(tmp_path, "\ufeffa,b\n1,2\n").columns

    assert columns is not None
    assert [c.name for c in columns] == ["a", "b"]


def test_columns_of_one_name_or_none_are_told_apart_as_pandas_does(tmp_path: Path) -> None:
    columns = contract(tmp_path, "a,a,,a\n1,2,3,4\n").columns

    assert columns is not None
    assert [c.name for c in columns] == ["a", "a.1", "Unnamed: 2", "a.2"]


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("in.csv", b"a,b\n1,2\n3,4,5\n", "csv: line 3 has 3 fields where the first has 2"),
        ("in.csv", b'a,b\n"1\n1",2\n3\n', "csv: line 4 has 1 field where the first has 2"),
        ("in.csv", b"a,b\n1,\x00\n", "csv: line 2 holds a NUL byte"),
        ("in.csv", b"a,b\n" + b"1,2\n" * 999_999 + b"1,\x00\n", "csv: line 1000001 holds a NUL byte"),
        ("in.csv", b"", "csv: the file is empty"),
        ("in.csv", b"\n\n", "csv: no line of it holds anything"),
        (
            "in.csv.gz",
            gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:40],
            "csv: its gzip data are truncated, or no gzip data",
        ),
        ("in.parquet", b"PAR1 and no more", "parquet: its content is no such file, or it is truncated"),
        ("in.arrow", b"ARROW1 and no more", "arrow: its content is no such file, or it is truncated"),
        ("in.jsonl", b'{"a": 1}\n{"a":', "jsonl: line 2 cannot be read as a JSON object"),
        ("in.jsonl", b'{"a": 1}\n\n[2]\n{"a": 3}\n', "jsonl: line 3 cannot be read as a JSON object"),
        (
            "in.jsonl.gz",
            gzip.compress(b'{"a": 1}\n' * 999, mtime=0)[:40],
            "jsonl: its content is no such file, or it is truncated",
        ),
        ("in.json", b"[" * 100_000, "json: its content is no such file, or it is truncated"),
    ],
)
def test_a_broken_file_has_a_contract_that_says_so(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    found = contract(tmp_path, data, name)

    assert (found.format, found.problem, found.columns) == ("opaque", problem, None)


def test_a_cell_larger_than_a_batch_is_read(tmp_path: Path) -> None:
    found = contract(tmp_path, "a,b\n1," + "x" * 9_000_000 + "\n2,y\n")

    assert found.rows == 2


def parquet(folder: Path, table: dict[str, Any]) -> Path:
    file = folder / "in.parquet"
    pq.write_table(pa.table(table), file, row_group_size=500, compression="snappy", use_dictionary=False)
    return file


def test_parquet_types_are_those_it_stores(tmp_path: Path) -> None:
    file = parquet(
        tmp_path,
        {
            "n": pa.array(range(1000), pa.int32()),
            "code": ["0381"] * 1000,
            "region": ["NA", "EA"] * 500,
            "segment": pa.array(["x", None] * 500).dictionary_encode(),
            "score": [1.5, float("nan")] * 500,
            "seen": pa.array([1] * 1000, pa.timestamp("us")),
        },
    )
    columns = concluded(profile_file(file, "in.parquet")).columns

    assert columns is not None
    assert {c.name: (c.type, c.style, c.nulls) for c in columns} == {
        "n": ("int", "int32", 0),
        "code": ("text", None, 0),
        "region": ("text", None, 0),
        "segment": ("text", "dictionary", 500),
        "score": ("float", "double", 500),
        "seen": ("timestamp", "timestamp[us]", 0),
    }
    assert columns[2].categories == {"EA": 500, "NA": 500}


def test_a_spoilt_row_group_is_named(tmp_path: Path) -> None:
    file = parquet(tmp_path, {"n": [f"value {n * 7919 % 1000}" for n in range(1000)]})
    data = bytearray(file.read_bytes())
    spoilt = len(data) * 3 // 4
    data[spoilt - 1000 : spoilt] = b"\xff" * 1000

    found = contract(tmp_path, bytes(data), "in.parquet")

    assert found.problem == "parquet: row group 2 of 2 cannot be read"


def test_other_tables_are_read_by_their_names(tmp_path: Path) -> None:
    feather.write_feather(pa.table({"a": [1, 2]}), tmp_path / "t.feather")

    for name, data in {
        "t.feather": (tmp_path / "t.feather").read_bytes(),
        "t.jsonl": b'{"a": 1}\n{"a": 2}\n',
        "t.json": b'[{"a": 1}, {"a": 2}]',
        "t.csv.gz": gzip.compress(b"a\n1\n2\n", mtime=0),
    }.items():
        columns = contract(tmp_path, data, name).columns
        assert columns is not None
        assert [(c.name, c.type) for c in columns] == [("a", "int")]


def test_a_document_and_unknown_content_have_a_format_and_no_columns(tmp_path: Path) -> None:
    assert contract(tmp_path, b'{"bias": 0.5}', "model.json") == Contract(format="json")
    assert contract(tmp_path, b"\x80\x04", "model.pkl") == Contract(format="opaque")


def test_a_contract_is_a_document_that_names_itself(tmp_path: Path) -> None:
    found = contract(tmp_path, "id,x\n1,0.5\n2,\n")

    assert Contract.decode(found.encode()) == found
