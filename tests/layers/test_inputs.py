"""Two versions of an input and everything between them: what differs is named by column, and mixed cell by cell."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.bisect.search import closed, in_order
from replay.layers.data import DataLayer, Snapshot
from replay.layers.inputs import Views, changes, mix
from replay.layers.schema import SchemaLayer, contract_of
from replay.store.memory import MemoryStore

STORE = MemoryStore()
TARIFFS = ("basic", "family", "student")


def customers(count: int = 60) -> list[dict[str, str]]:
    return [
        {
            "id": f"{number:03}",
            "tariff": TARIFFS[number % 3],
            "fee": f"{number * 1.25 + 0.5:.2f}",
            "since": f"2024-{number % 12 + 1:02}-{number % 27 + 1:02}",
            "calls": str(number * 7 % 50),
        }
        for number in range(count)
    ]


def csv(rows: Sequence[Mapping[str, str]], delimiter: str = ",", end: str = "\n") -> bytes:
    lines = [delimiter.join(rows[0]), *(delimiter.join(row.values()) for row in rows)]
    return (end.join(lines) + end).encode()


def views(content: bytes, path: str = "data/customers.csv", key: tuple[str, ...] = ("id",)) -> Views:
    snapshot = Snapshot(path=path, key=key, kind="file", files={path: STORE.put(content)})
    return Views(
        SchemaLayer(sources={"customers": contract_of(snapshot, STORE)}), DataLayer(sources={"customers": snapshot})
    )


def content(side: Views) -> bytes:
    snapshot = side.data.sources["customers"]
    assert snapshot is not None
    ((_, entry),) = snapshot.files.items()
    return STORE.get(entry.blob)


def names(good: Views, bad: Views) -> list[str]:
    return [change.name for change in changes(good, bad, STORE)]


def mixed(good: Views, bad: Views, *taken: str) -> bytes:
    return content(mix(good, bad, frozenset(taken), STORE))


Edit = Callable[[list[dict[str, str]]], object]


def set_all(column: str, value: Callable[[dict[str, str]], str]) -> Edit:
    return lambda rows: [row.update({column: value(row)}) for row in rows]


def dearer(row: dict[str, str]) -> str:
    return f"{float(row['fee']) * 1.12:.2f}" if row["fee"][0].isdigit() else row["fee"]


EDITS: dict[str, tuple[Edit, list[str]]] = {
    "prices up": (set_all("fee", dearer), ["data/customers/fee"]),
    "one customer's calls": (lambda rows: rows[4].update(calls="49"), ["data/customers/calls"]),
    "a tariff renamed": (
        set_all("tariff", lambda row: row["tariff"].replace("family", "Family plan")),
        ["schema/customers/tariff/categories"],
    ),
    "fees in words": (lambda rows: rows[9].update(fee="free"), ["schema/customers/fee/type"]),
    "fees missing": (
        lambda rows: [row.update(fee="NA") for row in rows[::3]],
        ["schema/customers/fee/nulls"],
    ),
    "dates day first": (
        set_all("since", lambda row: "/".join(reversed(row["since"].split("-")))),
        ["schema/customers/format"],
    ),
    "leading zeros gone": (set_all("id", lambda row: str(int(row["id"]))), ["schema/customers/id/type"]),
    "calls as decimals": (set_all("calls", lambda row: row["calls"] + ".0"), ["schema/customers/calls/type"]),
    "a column gone": (lambda rows: [row.pop("calls") for row in rows], ["schema/customers/calls/removed"]),
    "a column more": (lambda rows: [row.update(age="40") for row in rows], ["schema/customers/age/added"]),
    "customers gone": (lambda rows: rows.__delitem__(slice(3, 9)), ["data/customers/rows"]),
    "a customer more": (lambda rows: rows.append({**rows[3], "id": "900"}), ["data/customers/rows"]),
    "another order": (lambda rows: rows.reverse(), ["data/customers/rows"]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_change_is_named_by_its_column(edit: str) -> None:
    change, expected = EDITS[edit]
    rows = customers()
    change(rows)
    assert names(views(csv(customers())), views(csv(rows))) == expected


def test_of_two_changed_columns_either_is_taken_alone() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    EDITS["a tariff renamed"][0](rows)
    good, bad = views(csv(customers())), views(csv(rows))

    raised = customers()
    EDITS["prices up"][0](raised)
    assert mixed(good, bad, "data/customers/fee") == csv(raised)
    renamed = customers()
    EDITS["a tariff renamed"][0](renamed)
    assert mixed(good, bad, "schema/customers/tariff/categories") == csv(renamed)


def test_in_one_column_the_nulls_are_taken_without_the_values() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    EDITS["fees missing"][0](rows)
    good, bad = views(csv(customers())), views(csv(rows))

    assert names(good, bad) == ["schema/customers/fee/nulls", "data/customers/fee"]
    only_nulls = customers()
    EDITS["fees missing"][0](only_nulls)
    assert mixed(good, bad, "schema/customers/fee/nulls") == csv(only_nulls)


def test_cells_keep_their_text() -> None:
    good = b'id,note\n1,007\n2,NA\n3,""\n4,\n5,"a ""b"", c"\n6,1e5\n'
    bad = b'id,note\n1,007\n2,NA\n3,""\n4,\n5,"a ""b"", c"\n6,2e5\n7,new\n'
    one, two = views(good), views(bad)
    assert names(one, two) == ["data/customers/note", "data/customers/rows"]
    assert mixed(one, two, "data/customers/note") == good.replace(b"1e5", b"2e5")


def test_a_column_gone_leaves_the_others_where_they_were() -> None:
    rows = customers()
    EDITS["a column gone"][0](rows)
    EDITS["a column more"][0](rows)
    EDITS["prices up"][0](rows)
    good, bad = views(csv(customers())), views(csv(rows))
    header = mixed(good, bad, "schema/customers/calls/removed").split(b"\n")[0]
    assert header == b"id,tariff,fee,since"
    header = mixed(good, bad, "schema/customers/age/added").split(b"\n")[0]
    assert header == b"id,tariff,fee,since,age,calls"


def test_the_delimiter_is_taken_without_the_cells() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    good, bad = views(csv(customers())), views(csv(rows, delimiter=";", end="\r\n"))
    assert names(good, bad) == ["schema/customers/format", "data/customers/fee"]
    assert mixed(good, bad, "schema/customers/format") == csv(customers(), delimiter=";", end="\r\n")


def test_new_rows_come_with_the_contract_they_are_written_to() -> None:
    rows = customers()
    EDITS["dates day first"][0](rows)
    EDITS["a customer more"][0](rows)
    found = {change.name: change for change in changes(views(csv(customers())), views(csv(rows)), STORE)}
    assert found["data/customers/rows"].requires == ("schema/customers/format",)


def test_rows_that_are_gone_are_told_by_the_segment_they_lie_in() -> None:
    rows = [row for row in customers(120) if row["tariff"] != "student"]
    (change,) = [c for c in changes(views(csv(customers(120))), views(csv(rows)), STORE) if c.layer == "data"]
    assert change.name == "data/customers/rows"
    assert "40 removed, all of them where tariff = student (33 % of the rows)" in str(change.after)


def test_other_customers_are_taken_all_or_none() -> None:
    rows = [{**row, "id": f"01{row['id']}"} for row in customers()]
    EDITS["prices up"][0](rows)
    good, bad = views(csv(customers())), views(csv(rows))
    (change,) = changes(good, bad, STORE)
    assert change.name == "data/customers"
    assert mixed(good, bad, change.name) == csv(rows)


def test_the_same_cells_in_other_bytes_are_a_change_of_format() -> None:
    good, bad = views(b'id,n\n1,"a"\n2,b\n'), views(b"id,n\n1,a\n2,b\n")
    (change,) = changes(good, bad, STORE)
    assert (change.name, change.after) == ("schema/customers/format", "the same cells in other bytes")


@pytest.mark.parametrize("kind", ["json", "folder", "torn"])
def test_what_is_no_two_tables_is_swapped_whole(kind: str) -> None:
    contents = {
        "json": (b'[{"id": 1}]', b'[{"id": 2}]'),
        "folder": (csv(customers()), csv(customers())[:-9]),
        "torn": (csv(customers()), b'id,tariff\n"1,'),
    }
    one, two = contents[kind]
    path = {"json": "data/customers.json"}.get(kind, "data/customers.csv")
    good, bad = views(one, path), views(two, path)
    found = changes(good, bad, STORE)
    assert found
    assert mixed(good, bad, *(change.name for change in found)) == two
    if kind == "json":
        assert [change.name for change in found] == ["data/customers"]


def parquet(rows: Sequence[Mapping[str, str]], **types: pa.DataType) -> bytes:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays: dict[str, pa.Array] = {name: pa.array(cells) for name, cells in columns.items()}
    for name, kind in {"fee": pa.float64(), "calls": pa.int64(), **types}.items():
        arrays[name] = pa.array(columns[name]).cast(kind)
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink)
    return sink.getvalue()


def test_a_stored_type_is_taken_without_the_values() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    good = views(parquet(customers()), "data/customers.parquet")
    bad = views(parquet(rows, calls=pa.float64()), "data/customers.parquet")
    assert names(good, bad) == ["schema/customers/calls/type", "data/customers/fee"]

    retyped = pq.read_table(io.BytesIO(mixed(good, bad, "schema/customers/calls/type")))
    assert str(retyped.schema.field("calls").type) == "double"
    assert retyped["fee"].to_pylist() == [float(row["fee"]) for row in customers()]
    raised = pq.read_table(io.BytesIO(mixed(good, bad, "data/customers/fee")))
    assert str(raised.schema.field("calls").type) == "int64"
    assert raised["fee"].to_pylist() == [float(row["fee"]) for row in rows]


@pytest.mark.parametrize("seed", range(24))
def test_every_consistent_mix_lies_between_the_two(seed: int) -> None:
    """None is GOOD and all is BAD, to the byte; each cell of a mix is one side's; what was taken differs no more."""
    dice = random.Random(seed)
    rows = customers()
    edits = dice.sample(sorted(EDITS), dice.randint(2, 5))
    for edit in sorted(edits, key=lambda name: "gone" in name):
        EDITS[edit][0](rows)
    write = csv if seed % 2 else lambda rows: csv(rows, delimiter=";")
    good, bad = views(csv(customers())), views(write(rows))
    found = changes(good, bad, STORE)
    everything = [change.name for change in found]
    requires = {change.name: frozenset(change.requires) for change in found}
    assert mixed(good, bad) == content(good)
    assert mixed(good, bad, *everything) == content(bad)

    atoms = in_order(everything, requires)
    chosen = frozenset(name for atom in dice.sample(atoms, dice.randint(1, len(atoms))) for name in atom)
    taken = closed(chosen, requires)
    between = mix(good, bad, taken, STORE)
    cells = [set(), *(row.split(b";" if b";" in content(between) else b",") for row in content(between).splitlines())]
    known = {cell for side in (csv(customers()), csv(rows)) for row in side.splitlines() for cell in row.split(b",")}
    assert {cell for row in cells for cell in row} <= known | {b""}
    values = {name for name in everything if name.startswith("data/")}
    assert not values & taken & set(names(between, bad))
    assert not (values - taken) & set(names(good, between))


def test_a_declared_key_that_no_side_has_leaves_rows_where_they_stand() -> None:
    rows = customers()
    good = views(csv(rows), key=("no such column",))
    bad = views(csv([{**row, "fee": row["fee"].replace(".", ",")} for row in rows], ";"), key=("no such column",))

    assert names(good, bad) == ["schema/customers/format", "schema/customers/fee/type"]
    assert b";" in mixed(good, bad, "schema/customers/format")
    assert b"0.50" in mixed(good, bad, "schema/customers/format")


def test_new_rows_of_a_key_that_is_there_already_are_told() -> None:
    rows = customers()
    (change,) = changes(views(csv(rows)), views(csv([*rows, *rows[:2]])), STORE)

    assert (change.name, change.after) == (
        "data/customers/rows",
        "62 rows (2 added, 2 of a key that is there already, 0 removed)",
    )


def test_a_folder_that_lost_a_file_says_which() -> None:
    entry = STORE.put(b"id\n1\n")
    sides = [
        Snapshot(path="data/usage", key=("id",), kind="folder", files={f"data/usage/{n}.csv": entry for n in weeks})
        for weeks in ("123", "12")
    ]
    good, bad = (
        Views(SchemaLayer(sources={"usage": contract_of(side, STORE)}), DataLayer(sources={"usage": side}))
        for side in sides
    )
    (change,) = changes(good, bad, STORE)

    assert (change.name, change.before) == ("data/usage/rows", "3 rows")
    assert change.after == "2 rows (0 added, 1 removed): without data/usage/3.csv"


@pytest.mark.parametrize(
    ("calls", "before", "after"),
    [
        (lambda calls: "" if calls == "7" else calls, None, None),
        (lambda calls: f"{calls}.0", "int, as '0'", "float, as '0.0'"),
        (lambda calls: f"{int(calls) / 8:.3f}", "int, mean 24", "float, mean 3 (-87.5 %), each x 0.125"),
        (lambda calls: f"{calls} calls", "int, as '0'", "text, as '0 calls'"),
    ],
)
def test_a_column_of_another_type_shows_what_became_of_its_cells(
    calls: Callable[[str], str], before: str | None, after: str | None
) -> None:
    rows = customers()
    good, bad = views(csv(rows)), views(csv([{**row, "calls": calls(row["calls"])} for row in rows]))
    retyped = [change for change in changes(good, bad, STORE) if change.name.endswith("/type")]

    assert [change.before for change in retyped] == ([before] if before else [])
    assert all(change.after is not None and change.after.startswith(str(after)) for change in retyped)


def test_what_stands_in_place_of_nulls_is_told() -> None:
    rows = [{**row, "calls": "" if number % 4 == 0 else row["calls"]} for number, row in enumerate(customers(200))]
    good, bad = views(csv(rows)), views(csv([{**row, "calls": row["calls"] or "-1"} for row in rows]))
    (change,) = changes(good, bad, STORE)

    assert change.name == "schema/customers/calls/nulls"
    assert (change.before, change.after) == ("25.0 % null", "no nulls ('-1' in 50 of these cells)")


def test_rows_of_a_segment_are_taken_apart_from_the_others() -> None:
    rows = [row for row in customers(180) if row["tariff"] != "student" and row["id"] not in {"003", "006"}]
    good, bad = views(csv(customers(180))), views(csv(rows))
    found = {change.name: change for change in changes(good, bad, STORE) if change.layer == "data"}
    assert list(found) == ["data/customers/rows/tariff=student", "data/customers/rows"]
    segment = found["data/customers/rows/tariff=student"]
    assert (segment.before, segment.after) == ("the rows where tariff = student", "0 added, 60 removed")
    assert found["data/customers/rows"].after == (
        "118 rows (0 added, 2 removed, not counting the rows where tariff = student)"
    )
    assert "data/customers/rows" not in segment.requires
    assert segment.name not in found["data/customers/rows"].requires

    only_students_gone = [row for row in customers(180) if row["tariff"] != "student"]
    assert mixed(good, bad, "data/customers/rows/tariff=student") == csv(only_students_gone)
    others = [row for row in customers(180) if row["id"] not in {"003", "006"}]
    students_last = sorted(others, key=lambda row: row["tariff"] == "student")
    assert mixed(good, bad, "data/customers/rows") == csv(students_last)


@pytest.mark.parametrize("seed", range(12))
def test_a_mix_of_rows_has_each_row_of_its_side_once(seed: int) -> None:
    dice = random.Random(seed)
    base = customers(200)
    new = [{**row, "id": f"9{row['id']}"} for row in dice.sample(base, 40) if row["tariff"] == "basic"]
    stray = {**base[1], "id": "800"}
    gone = {row["id"] for row in base if row["tariff"] == "basic" and dice.random() < 0.5} | {"001", "002"}
    rows = [row for row in base if row["id"] not in gone] + [*new, stray]
    dice.shuffle(rows)
    good, bad = views(csv(base)), views(csv(rows))
    segment, rest = "data/customers/rows/tariff=basic", "data/customers/rows"
    assert names(good, bad)[-2:] == [segment, rest]
    ids = {name: {row["id"] for row in side} for name, side in (("good", base), ("bad", rows))}
    basic = {row["id"] for row in (*base, *rows) if row["tariff"] == "basic"}
    for taken, there in ((segment, (basic, "bad", "good")), (rest, (basic, "good", "bad"))):
        inside, of_segment, of_rest = there
        lines = mixed(good, bad, taken).decode().splitlines()[1:]
        found = [line.split(",")[0] for line in lines]
        assert len(found) == len(set(found))
        assert set(found) == (ids[of_segment] & inside) | (ids[of_rest] - inside)
        assert set(lines) <= {",".join(row.values()) for row in (*base, *rows)}


def test_a_category_that_is_gone_with_its_rows_says_so() -> None:
    rows = [{"id": f"{number:03}", "tariff": TARIFFS[number % 3]} for number in range(300)]
    kept = [row for row in rows if row["tariff"] != "student"]
    gone = changes(views(csv(rows)), views(csv(kept)), STORE)
    back = changes(views(csv(kept)), views(csv(rows)), STORE)

    assert [(change.name, change.after) for change in gone] == [
        ("schema/customers/tariff/categories", "- 'student'; in 100 rows that are gone"),
        (
            "data/customers/rows",
            "200 rows (0 added, 100 removed, all of them where tariff = student (33 % of the rows))",
        ),
    ]
    assert back[0].after == "+ 'student' (100 rows); in 100 rows that are new"


def test_an_input_that_lost_all_its_rows_has_no_other_rows() -> None:
    (change,) = changes(views(csv(customers())), views(b"id,tariff,fee,since,calls\n"), STORE)

    assert (change.name, change.before, change.after) == ("data/customers", "60 rows", "0 rows")
