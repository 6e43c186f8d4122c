"""Text rewritten block by block is the very table that reading all of it at once gives, down to the types."""

from __future__ import annotations

import csv
import gc
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from replay.compare.tables import compare_tables
from replay.content import load
from replay.errors import CompareError
from replay.large.compare import comparable, compare_large
from replay.large.rewritten import rewritten
from replay.record import OutputSpec

CELLS = [
    ["1", "2", "30"],
    ["1", "2.5", "-3e4", "nan", "inf"],
    ["007", "1", "2"],
    ["1234567890123456", "1"],
    ["1234567890123456", "0.5"],
    ["9223372036854775807", "9223372036854775808"],
    ["1e999", "1"],
    ["+5", "-0", "5"],
    ["", ""],
    ["a", 'say "b"', "c,d", "two\nlines", "é"],
    ["true", "2024-01-01", "NA"],
    ["1", "1", "1", "1", "1", "1", "1", "1", "x"],
]
FIELDS: list[list[Any]] = [
    [1, 2, None],
    [1, 2, 2.5],
    ["a", "é", "2024-01-01"],
    ["2024-01-01", "2024-01-02 10:00:00"],
    [True, False, None],
    [None],
    [2**63, 1],
    [2**53 + 1, 2**53],
]
BLOCK = 300
"""Bytes read at once: a few rows."""


def shown(table: pa.Table) -> tuple[list[tuple[str, str]], str]:
    return [(field.name, str(field.type)) for field in table.schema], repr(table.to_pylist())


def random_csv(dice: random.Random, columns: list[list[str]], rows: list[int]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=dice.choice(["\n", "\r\n"]))
    writer.writerow(["id", *(f"column {place}" for place in range(len(columns)))])
    for row in rows:
        cells = ["" if dice.random() < 0.1 else dice.choice(column) for column in columns]
        writer.writerow([row, *cells])
        if dice.random() < 0.05:
            text.write("\n")
    return (dice.choice(["", "\ufeff"]) + text.getvalue()).encode()


def random_lines(dice: random.Random, columns: list[list[Any]], rows: list[int]) -> bytes:
    lines = []
    for row in rows:
        fields = {f"column {place}": dice.choice(column) for place, column in enumerate(columns)}
        kept = {name: value for name, value in fields.items() if dice.random() < 0.9}
        lines.append(json.dumps({"id": row, **kept}, ensure_ascii=dice.random() < 0.5))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("seed", range(60))
def test_the_same_table_and_the_same_findings_as_in_memory(tmp_path: Path, seed: int, kind: str) -> None:
    dice = random.Random(seed)
    known: list[list[Any]] = CELLS if kind == "csv" else FIELDS
    columns = [dice.choice(known) for _ in range(dice.randint(1, 5))]
    held, sources = [], []
    for side in ("good", "bad"):
        rows = [row for row in range(60) if dice.random() < 0.9]
        file = tmp_path / f"{side}.{kind}"
        file.write_bytes((random_csv if kind == "csv" else random_lines)(dice, columns, rows))
        content = load(file, file.name, kind)  # type: ignore[arg-type]
        source = rewritten(file, file.name, kind, None, None, BLOCK)  # type: ignore[arg-type]
        assert source is not None
        assert content.table is not None
        assert shown(parquet.read_table(source.files[0])) == shown(content.table)
        assert source.dialect == content.dialect
        held.append(content.table)
        sources.append(source)
    spec = OutputSpec(path="x", key=("id",))
    assert comparable(sources[0], sources[1], spec)
    large, small = compare_large("x", *sources, spec), compare_tables("x", *held, spec)
    assert (large and large.as_json()) == (small and small.as_json())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("nested.jsonl", b'{"id": 1, "x": [1]}\n'),
        ("mixed.jsonl", b'{"id": 1}\n' * 50 + b'{"id": "a"}\n'),
        ("torn.jsonl", b'{"id": 1}\n' * 50 + b'{"id": '),
        ("latin.jsonl", b'{"id": "\xe9"}\n'),
    ],
)
def test_what_only_the_whole_file_tells_is_left_to_the_reader_in_memory(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert rewritten(tmp_path / name, name, name.split(".")[1], None, None, BLOCK) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        b"id,x\n" + b"1,2\n" * 200 + b"3\n",
        b"id,x\n" + b"1,2\n" * 200 + b'"3\n3",4,5\n',
        b"id,x\n" + b"1,2\n" * 200 + b"3,\xe9\n",
        "\ufeffid,x\n1,é\n".encode() * 20 + b"\xc3",
        b"id,id\n1,2\n",
        "id,x\n1,2\n".encode("utf-16"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_as_in_memory(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "wrong.csv"
    file.write_bytes(content)
    said = []
    for read in (
        lambda: load(file, "wrong.csv", "csv"),
        lambda: rewritten(file, "wrong.csv", "csv", None, None, BLOCK),
    ):
        with pytest.raises(CompareError) as error:
            read()
        said.append(error.value.what)
    assert said[0] == said[1]


def test_what_was_rewritten_goes_when_nobody_uses_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    source = rewritten(tmp_path / "a.csv", "a.csv", "csv", None, None)
    assert source is not None
    file = source.files[0]
    assert file.exists()
    del source
    gc.collect()
    assert not file.parent.exists()


def test_a_file_of_a_known_digest_is_rewritten_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    first, second = (rewritten(tmp_path / "a.csv", "a.csv", "csv", None, "sha256:1") for _ in range(2))
    assert first is second


@pytest.mark.parametrize("container", ["file", "stream", "feather"])
def test_an_arrow_file_keeps_its_types(tmp_path: Path, container: str) -> None:
    table = pa.table(
        {
            "id": pa.array(range(90), pa.int32()),
            "plan": pa.array(["a", "b", None] * 30).dictionary_encode(),
            "at": pa.array(range(90), pa.timestamp("us", "UTC")),
            "score": pa.array([0.5, float("nan"), None] * 30, pa.float32()),
            "tags": pa.array([["x"], [], None] * 30),
        }
    )
    file = tmp_path / "scores.arrow"
    if container == "feather":
        feather.write_feather(table, file)
    else:
        with {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[container](str(file), table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    source = rewritten(file, file.name, "arrow", None, None)
    content = load(file, file.name, "arrow")
    assert source is not None
    assert content.table is not None
    assert source.schema.equals(content.table.schema)
    assert repr(parquet.read_table(source.files[0]).to_pylist()) == repr(content.table.to_pylist())
    assert source.dialect == content.dialect
    spec = OutputSpec(path="x", key=("id",))
    assert comparable(source, source, spec)
    assert compare_large("x", source, source, spec) is None


def test_times_that_parquet_keeps_as_others_are_left_to_the_reader_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "scores.arrow"
    times = {"at": pa.array([1], pa.timestamp("s")), "took": pa.array([1], pa.time32("s"))}
    feather.write_feather(pa.table(times), file)
    assert rewritten(file, file.name, "arrow", None, None) is None


def test_a_torn_arrow_file_is_left_to_the_reader_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "scores.arrow"
    feather.write_feather(pa.table({"id": [1, 2]}), file)
    file.write_bytes(file.read_bytes()[:-30])
    assert rewritten(file, file.name, "arrow", None, None) is None
