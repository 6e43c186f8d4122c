"""Tables on disk give the very findings that the rules give in memory, on random tables full of traps."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from replay.compare.difference import Difference
from replay.compare.distribution import table_shifts
from replay.compare.divergence import divergence
from replay.compare.rows import by_key
from replay.compare.tables import compare_tables
from replay.errors import CompareError
from replay.large.compare import comparable, compare_large
from replay.large.measures import divergence_large, measurable, overlap_large, shifts_large
from replay.large.source import Source, parquet_source
from replay.record import OutputSpec

CHOICES: dict[pa.DataType, list[Any]] = {
    pa.float64(): [None, float("nan"), 0.0, -0.0, 1.0, 1.0 + 1e-12, -2.0, 1e300, float("inf"), float("-inf")],
    pa.float32(): [None, float("nan"), 0.0, -0.0, 0.5, -2.0, float("inf")],
    pa.int64(): [None, 0, 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1],
    pa.int8(): [None, 0, 1, -128, 127],
    pa.uint64(): [None, 0, 1, 2**53 + 1, 2**64 - 1],
    pa.bool_(): [None, True, False],
    pa.string(): [None, "", "a", "A", "a ", "\n", "é", "e\u0301", "nan", "0", "1", "-0.5"],
    pa.binary(): [None, b"", b"\0", b"a", b"\xff"],
    pa.decimal128(20, 2): [None, Decimal("0.00"), Decimal("1.10"), Decimal("123456789012345678.25")],
    pa.decimal128(30, 4): [None, Decimal("0.0000"), Decimal("1.1000"), Decimal("123456789012345678.2501")],
    pa.date32(): [None, datetime(1970, 1, 1), datetime(2024, 2, 29)],
    pa.timestamp("us"): [None, datetime(1969, 12, 31, 23), datetime(2024, 3, 31, 2, 30)],
    pa.timestamp("ms"): [None, datetime(1969, 12, 31, 23), datetime(2024, 3, 31, 2, 30)],
    pa.timestamp("us", "UTC"): [None, datetime(2024, 3, 31, 1, tzinfo=UTC)],
    pa.timestamp("us", "Europe/Berlin"): [None, datetime(2024, 3, 31, 1, tzinfo=UTC)],
    pa.dictionary(pa.int8(), pa.string()): [None, "a", "b", ""],
    pa.list_(pa.float64()): [None, [], [1.0], [-0.0], [0.0], [None, 1.0]],
    pa.struct([("a", pa.int64())]): [None, {"a": None}, {"a": 1}],
}
KINDS = list(CHOICES)
KEYS: list[tuple[pa.DataType, pa.DataType]] = [
    (pa.string(), pa.string()),
    (pa.int64(), pa.int64()),
    (pa.int64(), pa.int8()),
    (pa.int64(), pa.string()),
    (pa.dictionary(pa.int8(), pa.string()), pa.string()),
    (pa.float64(), pa.float64()),
    (pa.timestamp("us", "UTC"), pa.timestamp("us", "Europe/Berlin")),
]


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def key_value(number: int | None, kind: pa.DataType) -> Any:
    if number is None:
        return None
    if pa.types.is_timestamp(kind):
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    return str(number) if pa.types.is_string(kind) or pa.types.is_dictionary(kind) else number


def random_tables(random_: random.Random, *, keyed: bool) -> tuple[pa.Table, pa.Table, OutputSpec]:
    """Return two tables of some common keys; columns keep, widen or change their types."""
    width = random_.randint(1, 2)
    key_kinds = [random_.choice(KEYS) for _ in range(width)]
    numbers = [tuple(random_.choice([None, *range(12)]) for _ in range(width)) for _ in range(random_.randint(0, 30))]
    numbers = list(dict.fromkeys(numbers))
    kinds = []
    for _ in range(random_.randint(0, 5)):
        kind = random_.choice(KINDS)
        kinds.append((kind, kind if random_.random() < 0.6 else random_.choice(KINDS)))
    cells = {(row, place): random_.random() for row in numbers for place in range(len(kinds))}
    sides = []
    for side in (0, 1):
        rows = [row for row in numbers if random_.random() < 0.9]
        if random_.random() < 0.7:
            random_.shuffle(rows)
        columns: dict[str, pa.Array] = {}
        for place, kind in enumerate(key_kinds):
            columns[f"k{place}"] = array([key_value(row[place], kind[side]) for row in rows], kind[side])
        for place, both in enumerate(kinds):
            choices = CHOICES[both[side]]
            values = []
            for row in rows:
                moved = random_.random() < 0.1
                values.append(choices[int((random_.random() if moved else cells[row, place]) * len(choices))])
            columns[f"Column {place}"] = array(values, both[side])
        sides.append(pa.table(columns))
    return sides[0], sides[1], OutputSpec(path="x", key=tuple(f"k{place}" for place in range(width)) if keyed else ())


def on_disk(folder: Path, table: pa.Table, side: str, random_: random.Random) -> Source:
    """Write a table as one parquet file or as two."""
    cut = random_.choice([0, table.num_rows // 2])
    parts = [table.slice(0, cut), table.slice(cut)] if cut else [table]
    paths = []
    for number, part in enumerate(parts):
        paths.append(folder / f"{side}-{number}.parquet")
        parquet.write_table(part, paths[-1], row_group_size=7)
    return parquet_source([(path, path.name) for path in paths])


def said(difference: Difference | None) -> Any:
    return difference.as_json() if difference else None


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("seed", range(50))
def test_the_same_findings_as_in_memory(tmp_path: Path, seed: int, keyed: bool) -> None:
    random_ = random.Random(seed)
    good, bad, spec = random_tables(random_, keyed=keyed)
    sides = [on_disk(tmp_path, table, name, random_) for table, name in ((good, "good"), (bad, "bad"))]
    if not comparable(sides[0], sides[1], spec):
        return
    tables = [parquet.read_table([*side.files]) if len(side.files) == 1 else None for side in sides]
    held = [
        table if table is not None else pa.concat_tables([parquet.read_table(file) for file in side.files])
        for table, side in zip(tables, sides, strict=True)
    ]
    assert said(compare_large("x", *sides, spec)) == said(compare_tables("x", held[0], held[1], spec))
    if keyed:
        assert said(compare_large("x", *sides, spec, common_rows=True)) == said(
            compare_tables("x", held[0], held[1], spec, common_rows=True)
        )


@pytest.mark.parametrize("seed", range(60))
def test_the_same_figures_as_in_memory(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    good, bad, spec = random_tables(random_, keyed=True)
    sides = source(tmp_path, "good", good), source(tmp_path, "bad", bad)
    if not measurable(*sides, spec):
        return
    held = [parquet.read_table(side.files[0]) for side in sides]
    rows = by_key("x", held[0], held[1], spec.key)
    assert overlap_large("x", *sides, spec) == held[0].num_rows - len(rows.removed)
    assert divergence_large("x", *sides, spec) == pytest.approx(divergence(held[0], held[1], spec))
    names = [name for name in good.column_names if name in bad.column_names]
    found, known = shifts_large("x", *sides, names), table_shifts(held[0], held[1], names)
    assert {name: shift.sentence for name, shift in found.items()} == {n: s.sentence for n, s in known.items()}


def source(folder: Path, name: str, table: pa.Table) -> Source:
    parquet.write_table(table, folder / f"{name}.parquet")
    return parquet_source([(folder / f"{name}.parquet", name)])


@pytest.mark.parametrize("hot", [2, 5000])
def test_repeated_keys_are_an_error_that_names_them_and_multiply_nothing(tmp_path: Path, hot: int) -> None:
    keys = [*range(20_000), *[7] * (hot - 1)]
    table = pa.table({"id": keys, "x": [0] * len(keys)})
    sides = source(tmp_path, "good", table.slice(0, 20_000)), source(tmp_path, "bad", table)
    for good, bad, side in ((sides[0], sides[1], "bad"), (sides[1], sides[0], "good"), (sides[1], sides[1], "good")):
        with pytest.raises(CompareError, match=rf"x \({side}\) has 1 key more than once: id=7"):
            compare_large("x", good, bad, OutputSpec(path="x", key=("id",)))


def test_a_repeated_key_that_the_other_side_lacks_is_an_error_too(tmp_path: Path) -> None:
    good = source(tmp_path, "good", pa.table({"id": [1, 2, 9, 9], "x": [1, 2, 3, 4]}))
    bad = source(tmp_path, "bad", pa.table({"id": [1, 2, 3], "x": [1, 2, 3]}))
    with pytest.raises(CompareError, match=r"x \(good\) has 1 key more than once: id=9"):
        compare_large("x", good, bad, OutputSpec(path="x", key=("id",)))


def test_two_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(2000)]
    table = pa.table({"id": range(50), **{name: range(50) for name in names}})
    moved = table.set_column(1000, names[999], pa.array([*range(49), 99]))
    found = compare_large(
        "x", source(tmp_path, "good", table), source(tmp_path, "bad", moved), OutputSpec(path="x", key=("id",))
    )
    assert found is not None
    assert [child.name for child in found.children] == ["c999"]


def test_a_join_larger_than_the_memory_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_MEMORY", "160")
    rows = 1_500_000
    table = pa.table(
        {"id": range(rows), "x": [i % 1000 / 7 for i in range(rows)], "t": [f"text {i}" for i in range(rows)]}
    )
    shuffled = pa.concat_tables([table.slice(rows // 2), table.slice(0, rows // 2 - 1)])
    found = compare_large(
        "x", source(tmp_path, "good", table), source(tmp_path, "bad", shuffled), OutputSpec(path="x", key=("id",))
    )
    assert found is not None
    assert found.children[0].sentence == f"1 row removed (id={rows // 2 - 1}): 1,500,000 -> 1,499,999 rows"
    assert [child.kind for child in found.children] == ["rows", "order"]


@pytest.mark.parametrize("declared", [(), ("id",)])
def test_every_number_moved_by_rounding(tmp_path: Path, declared: tuple[str, ...]) -> None:
    rows = 300_000
    good = pa.table({"id": range(rows), "x": [1.0 + i for i in range(rows)]})
    bad = pa.table({"id": range(rows), "x": [math.nextafter(1.0 + i, math.inf) for i in range(rows)]})
    sides = source(tmp_path, "good", good), source(tmp_path, "bad", bad)
    found = compare_large("x", *sides, OutputSpec(path="x", key=declared, rtol="1e-12"))
    assert said(found) == said(compare_tables("x", good, bad, OutputSpec(path="x", key=declared, rtol="1e-12")))
    assert found is not None
    assert [child.kind for child in found.children] == ["noise"]
    assert found.children[0].numbers["largest_ulps"] == 1


def test_where_the_changes_lie_is_found_in_an_input_as_in_memory(tmp_path: Path) -> None:
    plans = ["Monthly", "One year", "Two year", "Two year"]
    customers = pa.table({"id": [f"{i}" for i in range(1200)], "plan": [plans[i % 4] for i in range(1200)]})
    good = pa.table({"id": range(1000), "leaves": [0] * 1000})
    bad = pa.table({"id": range(1000), "leaves": [int(i % 4 == 1) for i in range(1000)]})
    spec = OutputSpec(path="x", key=("id",), decision="leaves")
    sides = source(tmp_path, "good", good), source(tmp_path, "bad", bad)
    found = compare_large("x", *sides, spec, inputs=lambda _: [("customers", customers)])
    assert said(found) == said(compare_tables("x", good, bad, spec, inputs=lambda _: [("customers", customers)]))
    assert found is not None
    assert "all of them where customers/plan = One year" in found.headline
