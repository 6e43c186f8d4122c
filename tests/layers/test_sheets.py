"""JSON Lines, Arrow and folders of parts are mixed as CSV is: by column, by rows, by property, cell by cell."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from replay.bisect.search import closed, in_order
from replay.layers.data import DataLayer, Snapshot
from replay.layers.inputs import Views, changes, mix
from replay.layers.schema import SchemaLayer, contract_of
from replay.layers.sheet_lines import read_lines, write_lines
from replay.store.memory import MemoryStore

STORE = MemoryStore()
TARIFFS = ("basic", "family", "student")
Rows = list[dict[str, Any]]


def customers(count: int = 60) -> Rows:
    return [
        {
            "id": f"{number:03}",
            "tariff": TARIFFS[number % 3],
            "fee": number * 1.25 + 0.5,
            "calls": number * 7 % 50,
            "address": {"city": ["Rome", "Oslo"][number % 2], "zip": number},
        }
        for number in range(count)
    ]


def lines(rows: Rows, **how: Any) -> bytes:
    return "".join(json.dumps(row, **how) + "\n" for row in rows).encode()


def snapshot(files: Mapping[str, bytes], path: str, kind: Any) -> Snapshot:
    return Snapshot(path=path, key=("id",), kind=kind, files={name: STORE.put(data) for name, data in files.items()})


def views(content: bytes | Mapping[str, bytes], path: str = "data/customers.jsonl") -> Views:
    """The inputs of one side: a file, or the files of the folder `data/customers`."""
    if isinstance(content, bytes):
        found = snapshot({path: content}, path, "file")
    else:
        found = snapshot({f"data/customers/{name}": data for name, data in content.items()}, "data/customers", "folder")
    return Views(SchemaLayer(sources={"customers": contract_of(found, STORE)}), DataLayer(sources={"customers": found}))


def names(good: Views, bad: Views) -> list[str]:
    return [change.name for change in changes(good, bad, STORE)]


def files(side: Views) -> dict[str, bytes]:
    found = side.data.sources["customers"]
    assert found is not None
    return {path.removeprefix("data/customers/"): STORE.get(entry.blob) for path, entry in found.files.items()}


def mixed(good: Views, bad: Views, *taken: str) -> bytes:
    (content,) = files(mix(good, bad, frozenset(taken), STORE)).values()
    return content


Edit = Callable[[Rows], object]


def set_all(column: str, value: Callable[[dict[str, Any]], Any]) -> Edit:
    return lambda rows: [row.update({column: value(row)}) for row in rows]


def dearer(row: dict[str, Any]) -> Any:
    return round(row["fee"] * 1.12, 2) if isinstance(row["fee"], float) else row["fee"]


EDITS: dict[str, tuple[Edit, list[str]]] = {
    "prices up": (set_all("fee", dearer), ["data/customers/fee"]),
    "one customer's calls": (lambda rows: rows[4].update(calls=49), ["data/customers/calls"]),
    "a tariff renamed": (
        set_all("tariff", lambda row: row["tariff"].replace("family", "Family plan")),
        ["schema/customers/tariff/categories"],
    ),
    "fees in words": (lambda rows: rows[9].update(fee="free"), ["schema/customers/fee/type"]),
    "fees null": (lambda rows: [row.update(fee=None) for row in rows[::3]], ["schema/customers/fee/nulls"]),
    "fees missing": (lambda rows: [row.pop("fee") for row in rows[1::3]], ["schema/customers/fee/nulls"]),
    "calls as decimals": (set_all("calls", lambda row: float(row["calls"])), ["schema/customers/calls/type"]),
    "calls as text": (set_all("calls", lambda row: str(row["calls"])), ["schema/customers/calls/type"]),
    "a city renamed": (lambda rows: rows[3].update(address={"city": "Bergen", "zip": 3}), ["data/customers/address"]),
    "a column gone": (lambda rows: [row.pop("calls") for row in rows], ["schema/customers/calls/removed"]),
    "a column more": (lambda rows: [row.update(age=40) for row in rows], ["schema/customers/age/added"]),
    "customers gone": (lambda rows: rows.__delitem__(slice(3, 9)), ["data/customers/rows"]),
    "a customer more": (lambda rows: rows.append({**rows[3], "id": "900"}), ["data/customers/rows"]),
    "another order": (lambda rows: rows.reverse(), ["data/customers/rows"]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_change_of_json_lines_is_named_by_its_column(edit: str) -> None:
    change, expected = EDITS[edit]
    rows = customers()
    change(rows)
    assert names(views(lines(customers())), views(lines(rows))) == expected


def test_of_two_changed_columns_either_is_taken_alone() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    EDITS["fees null"][0](rows)
    EDITS["a tariff renamed"][0](rows)
    good, bad = views(lines(customers())), views(lines(rows))
    for edit in ("fees null", "a tariff renamed"):
        alone = customers()
        EDITS[edit][0](alone)
        assert mixed(good, bad, *EDITS[edit][1]) == lines(alone)


def test_what_became_of_a_column_is_told_in_plain_words() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    (change,) = changes(views(lines(customers())), views(lines(rows)), STORE)
    assert "(+12 %), each x 1.12" in str(change.after)
    EDITS["calls as text"][0](rows := customers())
    (change,) = changes(views(lines(customers())), views(lines(rows)), STORE)
    assert (change.before, change.after) == ("int (int64), as '0'", "text, as '\"0\"'")
    students = [row for row in customers(120) if row["tariff"] != "student"]
    (*_, change) = changes(views(lines(customers(120))), views(lines(students)), STORE)
    assert "40 removed, all of them where tariff = student" in str(change.after)


def test_cells_keep_their_json_text() -> None:
    good = b'{"id":"1","n":1e5,"t":"caf\\u00e9"}\n{"id":"2","n":1.10,"x":null}\n{"id":"3","t":"12"}\n{"id":"4","t":""}'
    bad = good.replace(b"1.10", b"1.20").replace(b'"12"', b'"NA"')
    one, two = views(good), views(bad)
    assert names(one, two) == ["data/customers/n", "data/customers/t"]
    assert mixed(one, two, "data/customers/n") == good.replace(b"1.10", b"1.20")
    assert mixed(one, two, "data/customers/t") == good.replace(b'"12"', b'"NA"')


def test_separators_and_line_ends_are_a_change_of_format() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    good, bad = views(lines(customers())), views(lines(rows, separators=(",", ":")).replace(b"\n", b"\r\n"))
    assert names(good, bad) == ["schema/customers/format", "data/customers/fee"]
    flat = mixed(good, bad, "schema/customers/format").split(b"\r\n")
    assert flat[0] == b'{"id":"000","tariff":"basic","fee":0.5,"calls":0,"address":{"city":"Rome","zip":0}}'


ODD = [
    *("null", "true", "NaN", "-Infinity", "12", "-0.5E+3", '"12"', '"-1.5e3"', '"007"', '""', '"NA"', '"null"', '"[1"'),
    *('"a \\"b\\" \\\\"', '"\\u00e9"', '"é"', '[1, {"a": "}"}]', '{"b": [1, 2]}', '"nan"', '"#N/A N/A"', '"}"', '" 1"'),
]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_is_written_again_byte_by_byte(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    names = ("a", "b c", "d\\te")
    rows = [[f'"{name}": {dice.choice(ODD)}' for name in names if dice.random() < 0.8] for _ in range(40)]
    text = "\n".join("{" + ", ".join(['"id": 1', *row]) + "}" for row in rows) + "\n"
    (tmp_path / "x.jsonl").write_text(text)
    sheet = read_lines(tmp_path / "x.jsonl", None)
    assert sorted(sheet.names) == ["a", "b c", "d\te", "id"]
    again = write_lines(sheet).decode().splitlines()
    held = [dict(part.split(": ", 1) for part in ['"id": 1', *row]) for row in rows]
    for line, cells in zip(again, held, strict=True):
        assert all(f"{name}: {cell}" in line for name, cell in cells.items())
        assert len(line) == len("{" + ", ".join(f"{name}: {cell}" for name, cell in cells.items()) + "}")


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": 1} {"a": 2}', "[1]", '{"a": 1,}', '{"a" 1}', '{"a": }', "{"]
)
def test_what_is_no_line_of_json_is_not_taken_apart(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        read_lines(tmp_path / "x.jsonl", None)


@pytest.mark.parametrize("seed", range(16))
def test_every_consistent_mix_lies_between_the_two(seed: int) -> None:
    """None is GOOD and all is BAD, to the byte; what was taken differs from BAD no more, the rest not from GOOD."""
    dice = random.Random(seed)
    rows = customers()
    edits = dice.sample(sorted(EDITS), dice.randint(2, 5))
    for edit in sorted(edits, key=lambda name: ("gone" in name or "missing" in name, name)):
        EDITS[edit][0](rows) if "calls" not in edit or "calls" in rows[0] else None
    good, bad = views(lines(customers())), views(lines(rows))
    found = changes(good, bad, STORE)
    everything = [change.name for change in found]
    requires = {change.name: frozenset(change.requires) for change in found}
    assert mixed(good, bad) == lines(customers())
    assert mixed(good, bad, *everything) == lines(rows)

    atoms = in_order(everything, requires)
    chosen = frozenset(name for atom in dice.sample(atoms, dice.randint(1, len(atoms))) for name in atom)
    taken = closed(chosen, requires)
    between = mix(good, bad, taken, STORE)
    values = {name for name in everything if name.startswith("data/")}
    assert not values & taken & set(names(between, bad))
    assert not (values - taken) & set(names(good, between))


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in ("id", "tariff", "fee", "calls")} for row in rows])


def arrow(rows: Rows, container: str) -> bytes:
    sink = io.BytesIO()
    if container == "feather":
        feather.write_feather(table(rows), sink)
    else:
        with {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[container](sink, table(rows).schema) as writer:
            writer.write_table(table(rows), max_chunksize=7)
    return sink.getvalue()


@pytest.mark.parametrize("container", ["feather", "file", "stream"])
def test_a_column_of_an_arrow_file_is_taken_alone(container: str) -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    EDITS["a tariff renamed"][0](rows)
    path = "data/customers.feather" if container == "feather" else "data/customers.arrow"
    good, bad = views(arrow(customers(), container), path), views(arrow(rows, container), path)
    assert names(good, bad) == ["schema/customers/tariff/categories", "data/customers/fee"]
    content = mixed(good, bad, "data/customers/fee")
    stream = container == "stream"
    found = pa.ipc.open_stream(content).read_all() if stream else feather.read_table(io.BytesIO(content))
    raised = customers()
    EDITS["prices up"][0](raised)
    assert found.equals(table(raised))


def csv(rows: Rows) -> bytes:
    return ("id,fee\n" + "".join(f"{row['id']},{row['fee']}\n" for row in rows)).encode()


def parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(rows), sink)
    return sink.getvalue()


def folder(rows: Rows, write: Callable[[Rows], bytes], end: str, cut: int = 20) -> dict[str, bytes]:
    parts = [rows[start : start + cut] for start in range(0, len(rows), cut)]
    return {"_SUCCESS": b"", **{f"part-{place:03}.{end}": write(part) for place, part in enumerate(parts)}}


def test_a_column_of_a_folder_of_parts_is_taken_alone_and_each_row_stays_in_its_file() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    EDITS["a customer more"][0](rows)
    good, bad = views(folder(customers(), csv, "csv")), views(folder(rows, csv, "csv"))
    assert names(good, bad) == ["data/customers/fee", "data/customers/rows"]
    raised = customers()
    EDITS["prices up"][0](raised)
    assert files(mix(good, bad, frozenset({"data/customers/fee"}), STORE)) == folder(raised, csv, "csv")
    more = [*customers(), rows[-1]]
    assert files(mix(good, bad, frozenset({"data/customers/rows"}), STORE)) == folder(more, csv, "csv")


def test_the_same_rows_cut_otherwise_are_a_change_of_rows() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    good = views(folder(customers(), parquet, "parquet"))
    bad = views(folder(rows, parquet, "parquet", 30))
    found = {change.name: change for change in changes(good, bad, STORE)}
    assert list(found) == ["data/customers/fee", "data/customers/rows"]
    assert found["data/customers/rows"].after == (
        "the same rows in other files: without data/customers/part-002.parquet"
    )
    recut = files(mix(good, bad, frozenset({"data/customers/rows"}), STORE))
    assert sorted(recut) == ["_SUCCESS", "part-000.parquet", "part-001.parquet"]
    assert pq.read_table(io.BytesIO(recut["part-001.parquet"])).equals(table(customers()[30:]))


def test_parts_that_are_written_in_two_ways_are_swapped_whole() -> None:
    parts = folder(customers(), csv, "csv")
    good = views(parts)
    bad = views({**parts, "part-001.csv": parts["part-001.csv"].replace(b"\n", b"\r\n")})
    assert names(good, bad) == ["data/customers"]


def test_lists_structs_bytes_and_columns_of_nothing_are_mixed_too() -> None:
    rows = [{"id": n, "l": [n, n + 1], "s": {"a": n}, "b": b"%d" % n, "n": None} for n in range(40)]
    moved = [dict(row) for row in rows]
    moved[3]["l"], moved[4]["s"], moved[5]["b"], moved[6]["n"] = [9], {"a": -1}, b"\xff", 1
    contents = []
    for side in (rows, moved):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(side), sink)
        contents.append(sink.getvalue())
    good, bad = (views(content, "data/customers.parquet") for content in contents)
    assert names(good, bad) == [f"data/customers/{column}" for column in "lsbn"]
    for column, place in zip("lsbn", (3, 4, 5, 6), strict=True):
        expected = [dict(row) for row in rows]
        expected[place][column] = moved[place][column]
        found = pq.read_table(io.BytesIO(mixed(good, bad, f"data/customers/{column}")))
        assert found.to_pylist() == expected


def partitioned(rows: Rows, rename: str = "student") -> dict[str, bytes]:
    plans, each = ("basic", "family", "student"), len(rows) // 3
    return {
        f"plan={plan.replace('student', rename)}/part-0.parquet": parquet(rows[place * each : (place + 1) * each])
        for place, plan in enumerate(plans)
    }


def test_a_partition_is_a_category_that_is_renamed_or_lost_with_its_rows() -> None:
    rows = customers(120)
    good = views(partitioned(rows))
    renamed = views(partitioned(rows, "Student plan"))
    lost = views({path: data for path, data in partitioned(rows).items() if "family" not in path})
    plan, of_rows = "schema/customers/plan/categories", "data/customers/rows"
    for bad, told in ((renamed, "+ 'Student plan' (40 rows), - 'student'"), (lost, "- 'family'")):
        found = {change.name: change for change in changes(good, bad, STORE)}
        assert list(found) == [plan, of_rows]
        assert found[plan].after == told
        assert (found[plan].requires, found[of_rows].requires) == ((of_rows,), (plan,))
        assert files(mix(good, bad, frozenset(found), STORE)) == files(bad)
        assert files(mix(good, bad, frozenset(), STORE)) == files(good)


def test_a_column_of_a_partitioned_folder_is_taken_alone() -> None:
    rows = customers()
    EDITS["prices up"][0](rows)
    good, bad = views(partitioned(customers())), views(partitioned(rows, "Student plan"))
    taken = files(mix(good, bad, frozenset({"data/customers/fee"}), STORE))
    assert taken.keys() == partitioned(rows).keys()
    assert pq.read_table(io.BytesIO(taken["plan=basic/part-0.parquet"])).equals(table(rows[:20]))


@pytest.mark.parametrize("step", ["month={}", "day=2026-{}-01", "batch=a{}"])
def test_partitions_that_are_others_in_every_delivery_are_no_contract(step: str) -> None:
    september, october = (
        views({f"{step.format(month)}/part-0.parquet": parquet(customers())}) for month in ("09", "10")
    )
    assert names(september, october) == ["data/customers/rows"]
