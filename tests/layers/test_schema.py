"""The schema layer: contracts of a snapshot's files, kept in the store's cache."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.config import Config
from replay.environment.base import Base
from replay.environment.packages import PackageSet
from replay.layers.base import Context, Workspace
from replay.layers.contract import Contract
from replay.layers.contract_changes import contract_changes
from replay.layers.data import DataLayer, Snapshot
from replay.layers.schema import Schema, SchemaLayer
from replay.state import Change
from replay.store.folder import FolderStore

CONFIG = Config.model_validate({"job": {"name": "churn", "command": ["true"]}, "outputs": {"log": {"path": "out"}}})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / ".replay")


def capture(store: FolderStore, snapshot: Snapshot | None) -> SchemaLayer:
    context = Context(
        root=store.root,
        config=CONFIG,
        store=store,
        environ={},
        base=Base(kind="host", reference="", python="3.11.2", os="", machine=""),
        packages=PackageSet(python="3.11", platform=""),
        command=("true",),
        done={"data": DataLayer(sources={"customers": snapshot})},
    )
    return Schema().capture(context)


def file(store: FolderStore, content: str, path: str = "data/in.csv") -> SchemaLayer:
    return capture(store, Snapshot(path=path, key=(), kind="file", files={path: store.put(content.encode())}))


def told(good: SchemaLayer, bad: SchemaLayer) -> list[Change]:
    return contract_changes("customers", good.sources["customers"], bad.sources["customers"])


def folder(store: FolderStore, files: dict[str, bytes]) -> Contract:
    entries = {f"data/{name}": store.put(content) for name, content in files.items()}
    found = capture(store, Snapshot(path="data", key=(), kind="folder", files=entries)).sources["customers"]
    assert found is not None
    return found


def test_the_layer_holds_a_contract_for_each_source(store: FolderStore) -> None:
    found = file(store, "id,fee\n1,0.5\n").sources["customers"]

    assert found is not None
    assert found.columns is not None
    assert [(column.name, column.type) for column in found.columns] == [("id", "int"), ("fee", "float")]


def test_a_source_that_could_not_be_observed_has_none(store: FolderStore) -> None:
    assert capture(store, None) == SchemaLayer(sources={"customers": None})


def test_what_was_read_once_is_not_read_again(store: FolderStore) -> None:
    first = file(store, "id\n1\n")
    (kept,) = store.cache("contracts").iterdir()
    before = kept.stat().st_mtime_ns

    assert file(store, "id\n1\n", "data/elsewhere.csv") == first
    assert [entry.name for entry in store.cache("contracts").iterdir()] == [kept.name]
    assert kept.stat().st_mtime_ns == before


def test_a_spoilt_cache_is_made_again(store: FolderStore) -> None:
    first = file(store, "id\n1\n")
    (kept,) = store.cache("contracts").iterdir()
    kept.write_bytes(b'{"format":')

    assert file(store, "id\n1\n") == first


def test_one_content_under_names_of_two_formats_is_two_contracts(store: FolderStore) -> None:
    as_csv, as_json = file(store, "[1]\n"), file(store, "[1]\n", "data/in.json")

    assert [side.sources["customers"].format for side in (as_csv, as_json) if side.sources["customers"]] == [
        "csv",
        "json",
    ]


def test_a_folder_of_parts_is_one_table(store: FolderStore) -> None:
    found = folder(
        store,
        {
            "part-1.csv": b"id,code,tariff\n" + b"1,12,A\n" * 100,
            "part-2.csv": b"id,code,tariff\n" + b"1,007,B\n" * 50,
            "_SUCCESS": b"",
        },
    )

    assert (found.format, found.rows) == ("csv", 150)
    assert found.columns is not None
    assert [column.type for column in found.columns] == ["int", "code", "text"]
    assert found.columns[2].categories == {"A": 100, "B": 50}


def test_parts_that_disagree_show_it_in_the_column(store: FolderStore) -> None:
    parts = {}
    for name, table in {"a.parquet": {"n": pa.array([1], pa.int32())}, "b.parquet": {"n": [2], "m": [3]}}.items():
        target = io.BytesIO()
        pq.write_table(pa.table(table), target)
        parts[name] = target.getvalue()
    found = folder(store, parts)

    assert found.columns is not None
    assert [(c.name, c.type, c.style, c.nulls) for c in found.columns] == [
        ("n", "int", "int32 or int64", 0),
        ("m", "int", "int64", 1),
    ]


def test_a_broken_part_is_named(store: FolderStore) -> None:
    found = folder(store, {"a.csv": b"a,b\n1,2\n", "b.csv": b"a,b\n1\n"})

    assert (found.format, found.problem) == ("opaque", "b.csv: csv: line 2 has 1 field where the first has 2")


def test_a_folder_of_mixed_files_is_no_table(store: FolderStore) -> None:
    assert folder(store, {"a.csv": b"a\n1\n", "model.json": b"{}"}) == Contract(format="folder")
    assert folder(store, {}) == Contract(format="folder")


def test_changes_name_layer_source_column_and_property(store: FolderStore) -> None:
    good, bad = file(store, "id,fee\n1,0.5\n"), file(store, "id,fee\n1,free\n")

    assert [change.name for change in told(good, bad)] == ["schema/customers/fee/type"]
    assert told(good, good) == []


def test_the_files_of_an_input_are_placed_by_the_data_layer_alone(store: FolderStore) -> None:
    workspace = Workspace()
    Schema().materialise(file(store, "id\n1\n"), workspace)

    assert workspace == Workspace()


def test_the_same_file_has_the_same_contract_in_another_store(store: FolderStore, tmp_path: Path) -> None:
    other = FolderStore.open(tmp_path / "other")
    content = "id,tariff\n" + "".join(f"{n},{'AB'[n % 2]}\n" for n in range(1000))

    assert file(store, content).digest == file(other, content).digest
