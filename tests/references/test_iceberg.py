"""Iceberg tables, written by pyiceberg with a catalog in SQLite: the snapshot is pinned with the table's uuid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from replay.errors import InputError
from tests.references.conftest import Place

DECLARED = 'path = "data/customers"'
REFERRED = f"{DECLARED}\ncopy = false"


def data(rows: dict[int, float]) -> pa.Table:
    return pa.table({"id": pa.array(rows, pa.int64()), "x": pa.array(rows.values(), pa.float64())})


@pytest.fixture
def catalog(place: Place) -> SqlCatalog:
    found = SqlCatalog("test", uri=f"sqlite:///{place.root}/catalog.db", warehouse=f"file://{place.root}/warehouse")
    found.create_namespace("db")
    return found


def create(place: Place, catalog: SqlCatalog, rows: dict[int, float]) -> Any:
    where = f"file://{place.root}/data/customers"
    table = catalog.create_table("db.customers", data({}).schema, location=where)
    table.append(data(rows))
    return table


def rows(laid: Path) -> dict[int, float]:
    """What a reader finds in the data files that a job sees."""
    table = ds.dataset(laid / "customers/data", format="parquet").to_table()
    return dict(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True))


def test_the_current_snapshot_is_pinned_with_the_uuid_of_its_table(place: Place, catalog: SqlCatalog) -> None:
    table = create(place, catalog, {1: 0.5})
    table.append(data({2: 1.5}))
    place.declare(DECLARED)
    state = place.bind()
    reference = place.reference(state)
    snapshot = str(table.current_snapshot().snapshot_id)
    assert reference.identity == {"table": str(table.metadata.table_uuid), "snapshot": snapshot}
    assert (reference.rows, reference.columns) == (2, {"id": "long", "x": "double"})
    assert place.contract(state).rows == 2
    assert rows(place.lay(state)) == {1: 0.5, 2: 1.5}


def test_only_what_the_snapshot_holds_is_read(place: Place, catalog: SqlCatalog) -> None:
    table = create(place, catalog, {1: 0.5})
    table.overwrite(data({2: 9.0}))
    place.declare(DECLARED)
    state = place.bind()
    assert rows(place.lay(state)) == {2: 9.0}
    named = {Path(task.file.file_path).name for task in table.scan().plan_files()}
    assert {Path(path).name for path in place.reference(state).parts} == named


def test_a_snapshot_that_is_named_is_the_one_that_is_read(place: Place, catalog: SqlCatalog) -> None:
    table = create(place, catalog, {1: 0.5})
    old = table.current_snapshot().snapshot_id
    table.append(data({2: 1.5}))
    place.declare(f'{DECLARED}\nuri = "iceberg:data/customers?snapshot={old}"')
    assert rows(place.lay(place.bind())) == {1: 0.5}


def test_a_rerun_fetches_what_was_not_copied_wherever_the_table_moved(place: Place, catalog: SqlCatalog) -> None:
    create(place, catalog, {1: 0.5})
    place.declare(f'{REFERRED}\nuri = "iceberg:${{LAKE}}"')
    state = place.bind({"LAKE": f"{place.root}/data/customers"})
    (place.root / "data/customers").rename(place.root / "moved")
    environ = {"LAKE": f"{place.root}/moved"}
    assert not place.copied(state)
    assert place.status(state, environ).endswith(": resolves")
    assert rows(place.lay(state, environ)) == {1: 0.5}


def test_moving_on_names_both_snapshots(place: Place, catalog: SqlCatalog) -> None:
    table = create(place, catalog, {1: 0.5})
    place.declare(REFERRED)
    good = place.bind()
    first = table.current_snapshot().snapshot_id
    table.append(data({2: 1.5}))
    before, after = place.moved(good, place.bind())["data/customers"]
    assert before is not None
    assert after is not None
    assert before.endswith(f"snapshot {first}, 1 row")
    assert after.endswith(f"snapshot {table.current_snapshot().snapshot_id}, 2 rows")
    assert rows(place.lay(good)) == {1: 0.5}


def test_drop_and_recreate_is_another_table(place: Place, catalog: SqlCatalog) -> None:
    create(place, catalog, {1: 0.5})
    place.declare(REFERRED)
    good = place.bind()
    catalog.drop_table("db.customers")
    create(place, catalog, {1: 0.5})
    _, after = place.moved(good, place.bind())["data/customers"]
    assert after is not None
    assert after.endswith("the table was dropped and created anew")
    for part in place.reference(good).parts.values():
        (place.root / "data/customers" / part).unlink()
    assert "dropped and created anew" in place.status(good)
    with pytest.raises(InputError, match="dropped and created anew"):
        place.lay(good)


def test_an_expired_snapshot_says_so(place: Place, catalog: SqlCatalog) -> None:
    table = create(place, catalog, {1: 0.5})
    place.declare(REFERRED)
    state = place.bind()
    table.overwrite(data({2: 9.0}))
    for snapshot in table.metadata.snapshots[:-1]:
        table.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
    for part in place.reference(state).parts.values():  # what a cleaner of orphan files does next
        (place.root / "data/customers" / part).unlink()
    assert "1 of its 1 files are gone, its snapshot expired" in place.status(state)
    with pytest.raises(InputError, match="its snapshot expired"):
        place.lay(state)


@pytest.mark.parametrize("damage", ["{", "[]", '{"last-updated-ms": 99999999999999, "current-snapshot-id": 3}'])
def test_damaged_metadata_is_an_error_that_names_the_table(place: Place, catalog: SqlCatalog, damage: str) -> None:
    create(place, catalog, {1: 0.5})
    (place.root / "data/customers/metadata/00009-x.metadata.json").write_text(damage)
    place.declare(DECLARED)
    with pytest.raises(InputError, match="data/customers"):
        place.bind()


def test_a_damaged_manifest_is_an_error(place: Place, catalog: SqlCatalog) -> None:
    create(place, catalog, {1: 0.5})
    for manifest in (place.root / "data/customers/metadata").glob("*.avro"):
        manifest.write_bytes(manifest.read_bytes()[:100])
    place.declare(DECLARED)
    with pytest.raises(InputError, match="Iceberg table data/customers cannot be read"):
        place.bind()
