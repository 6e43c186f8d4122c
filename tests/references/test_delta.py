"""Delta tables, written by delta-rs: the version is pinned with the table's id, and read out of the log alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake

from replay.errors import ConfigError, InputError
from replay.references.delta import Delta
from tests.references.conftest import Place

DECLARED = 'path = "data/customers"'
REFERRED = f"{DECLARED}\ncopy = false"


def write(place: Place, rows: dict[int, float], mode: str = "append", at: str = "data/customers") -> DeltaTable:
    table = pa.table({"id": pa.array(rows, pa.int64()), "x": pa.array(rows.values(), pa.float64())})
    write_deltalake(place.root / at, table, mode=mode)  # type: ignore[call-overload]
    return DeltaTable(place.root / at)


def rows(laid: Path) -> dict[int, float]:
    """What a reader finds in the files that a job sees."""
    table = ds.dataset(laid / "customers", format="parquet").to_table()
    return dict(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True))


def test_a_version_is_pinned_with_the_id_of_its_table(place: Place) -> None:
    write(place, {1: 0.5})
    table = write(place, {2: 1.5})
    place.declare(DECLARED)
    record = place.bind()
    reference = place.reference(record)
    assert rows(place.lay(record)) == {1: 0.5, 2: 1.5}
    assert (reference.kind, reference.identity) == ("delta", {"table": str(table.metadata().id), "version": "1"})
    assert (reference.rows, reference.columns) == (2, {"id": "long", "x": "double"})
    assert place.copied(record)


def test_only_what_the_version_holds_is_read(place: Place) -> None:
    write(place, {1: 0.5})
    write(place, {2: 9.0}, mode="overwrite")
    place.declare(DECLARED)
    assert rows(place.lay(place.bind())) == {2: 9.0}


def test_what_is_laid_out_is_a_table_of_that_version(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(REFERRED)
    old = place.bind()
    write(place, {2: 1.5})
    new = place.bind()
    first, second = (DeltaTable(place.lay(state) / "customers") for state in (old, new))
    assert (first.version(), second.version()) == (0, 1)
    assert first.to_pyarrow_table().num_rows == 1
    assert place.contract(new).rows == second.to_pyarrow_table().num_rows == 2
    assert place.contract(new).format == "parquet"


@pytest.mark.parametrize("commits", [1, 9, 25])
def test_the_active_files_are_those_delta_rs_names(place: Place, commits: int) -> None:
    """Whatever the log went through: deletes, compaction, checkpoints, a log that was cleaned up."""
    for number in range(commits):
        table = write(place, {number: number / 2})
    table.delete("id % 3 = 1")
    table.create_checkpoint()
    table.optimize.compact()
    for old in sorted((place.root / "data/customers/_delta_log").glob("*.json"))[:commits]:
        old.unlink()
    found = Delta(place.root / "data/customers", "data/customers").find("t")
    names = {Path(uri).name for uri in DeltaTable(place.root / "data/customers").file_uris()}
    assert {Path(path).name for path in found.parts} == names
    assert found.identity["version"] == str(DeltaTable(place.root / "data/customers").version())


def test_a_partitioned_table_keeps_its_folders(place: Place) -> None:
    table = pa.table({"id": [1, 2], "x": [0.5, 1.5], "p": ["north east", "a/b"]})
    write_deltalake(place.root / "data/customers", table, partition_by=["p"])
    place.declare(DECLARED)
    laid = DeltaTable(place.lay(place.bind()) / "customers").to_pyarrow_table().sort_by("id")
    assert laid["p"].to_pylist() == ["north east", "a/b"]


def test_a_rerun_fetches_what_was_not_copied(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(REFERRED)
    record = place.bind()
    assert not place.copied(record)
    write(place, {2: 1.5})
    assert place.status(record).endswith(": resolves")
    assert rows(place.lay(record)) == {1: 0.5}
    assert place.store.fsck() == []


def test_a_vacuumed_version_says_so(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(REFERRED)
    record = place.bind()
    table = write(place, {2: 1.5}, mode="overwrite")
    assert place.status(record).endswith(": resolves")
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert "no longer resolves: 1 of its 1 files are gone: they were vacuumed" in place.status(record)
    with pytest.raises(InputError, match=r"no longer resolves.*vacuumed") as caught:
        place.lay(record)
    assert "copy = true" in caught.value.do


def test_a_copy_outlives_the_table(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(DECLARED)
    record = place.bind()
    place.remove("data/customers")
    assert rows(place.lay(record)) == {1: 0.5}
    assert place.status(record).endswith("a copy is in the store")
    assert "there is no Delta table" in place.status(record)


def test_drop_and_recreate_is_not_the_same_version(place: Place) -> None:
    first = write(place, {1: 0.5})
    place.declare(REFERRED)
    good = place.bind()
    place.remove("data/customers")
    second = write(place, {1: 0.5})
    bad = place.bind()
    assert first.version() == second.version() == 0
    before, after = place.moved(good, bad)["data/customers"]
    assert before == f"delta table {str(first.metadata().id)[:12]}, version 0, 1 row"
    assert after is not None
    assert after.endswith("; the table was dropped and created anew")
    assert "dropped and created anew" in place.status(good)
    with pytest.raises(InputError, match="dropped and created anew"):
        place.lay(good)


def test_content_changed_in_place_is_found_out(place: Place) -> None:
    table = write(place, {1: 0.5})
    place.declare(REFERRED)
    record = place.bind()
    other = write(place, {1: 9.5}, at="elsewhere")
    (theirs,), (ours,) = ([Path(uri) for uri in side.file_uris()] for side in (other, table))
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(InputError, match="has other content"):
        place.lay(record)


def test_a_table_elsewhere_is_named_by_its_uri(place: Place, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    for part in ({1: 0.5}, {2: 1.5}):
        write_deltalake(lake, pa.table({"id": list(part), "x": list(part.values())}), mode="append")
    place.declare(f'{REFERRED}\nuri = "delta:${{LAKE}}?version=0"')
    record = place.bind({"LAKE": str(lake)})
    assert place.reference(record).at == "delta:${LAKE}?version=0"
    moved = lake.rename(tmp_path / "pond")
    assert rows(place.lay(record, {"LAKE": str(moved)})) == {1: 0.5}


def test_moving_on_is_a_change_of_data_and_names_both_versions(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(DECLARED)
    good = place.bind()
    write(place, {2: 1.5})
    bad = place.bind()
    before, after = place.moved(good, bad)["data/customers"]
    assert before is not None
    assert after is not None
    assert before.endswith("version 0, 1 row")
    assert after.endswith("version 1, 2 rows")


def test_binding_twice_is_the_same_state(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(DECLARED)
    state = place.bind()
    assert place.bind() == state == place.release(state).state.id


def test_a_table_that_may_not_be_read_is_an_answer_of_access(place: Place) -> None:
    write(place, {1: 0.5})
    place.declare(DECLARED)
    good = place.bind()
    (place.root / "data/customers").chmod(0)
    bad = place.bind()
    (place.root / "data/customers").chmod(0o755)
    assert list(place.moved(good, bad)) == ["access/customers"]


def test_a_table_takes_no_query(place: Place) -> None:
    place.declare('path = "data/customers"\nuri = "delta:lake"\nquery = "SELECT 1 ORDER BY 1"')
    with pytest.raises(ConfigError, match="delta is read as it is"):
        place.bind()


@pytest.mark.parametrize("damage", ["{", "[]\n", '{"add": 3}\n', '{"add": {"path": "../../../etc/passwd"}}\n', ""])
def test_a_damaged_log_is_an_error_that_names_the_table(place: Place, damage: str) -> None:
    write(place, {1: 0.5})
    log = place.root / "data/customers/_delta_log" / f"{0:020}.json"
    log.write_text((log.read_text() if "passwd" in damage else "") + damage)
    place.declare(DECLARED)
    with pytest.raises(InputError, match=r"data/customers|customers cannot be read"):
        place.bind()
