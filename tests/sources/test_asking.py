"""Inputs that Replay asks for: the answer is the snapshot, and what access explains of it is named as access."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest

from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.bisect.verdict import Verdict
from replay.errors import ConfigError, InputError
from replay.layers.release import changes, load
from replay.record import RunRecord
from replay.rerun import rerun
from replay.state import Change
from tests.sources.conftest import Place, Web
from tests.support.private_postgres import PrivatePostgres

JOB = """
import csv, pathlib
place = pathlib.Path("data/usage.csv")
rows = list(csv.DictReader(place.open())) if place.exists() else [{"id": "1", "gb": "0"}]
text = "".join(f"{row['id']},{row.get('gb', 'none')}\\n" for row in rows)
pathlib.Path("out/scores.csv").write_text("id,gb\\n" + text)
"""
POSTGRESQL = """
[data.usage]
path = "data/usage.csv"
uri = "postgresql://churn_job@${DB}/postgres"
query = "SELECT * FROM usage_daily"
key = "id"
"""
SETUP = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC;
CREATE TABLE usage_daily (id int PRIMARY KEY, region text, gb numeric(6, 2), code text);
INSERT INTO usage_daily SELECT i, (ARRAY['north', 'east'])[1 + i % 2], i / 4.0, lpad(i::text, 3, '0')
  FROM generate_series(20, 1, -1) i;
GRANT SELECT ON usage_daily TO churn_job;
"""


@pytest.fixture
def database(postgres: PrivatePostgres) -> Iterator[PrivatePostgres]:
    postgres.run("CREATE ROLE churn_job LOGIN")
    postgres.run(SETUP)
    yield postgres
    postgres.run("DROP OWNED BY churn_job; DROP ROLE churn_job")


def moved(place: Place, good: RunRecord, bad: RunRecord) -> list[str]:
    found: list[Change] = changes(load(place.store, good.state), load(place.store, bad.state), place.store)
    return [change.name for change in found]


def judged(place: Place, database: PrivatePostgres, change: str) -> tuple[Verdict, list[str], RunRecord]:
    environ = {"DB": f"{database.host}:{database.port}"}
    place.declare(JOB, POSTGRESQL)
    good = place.bind(environ)
    database.run(change)
    bad = place.bind(environ)
    return investigate(place.bench({}), good, bad, Options()), moved(place, good, bad), bad


def named(verdict: Verdict) -> list[str]:
    return sorted(change for culprit in verdict.culprits for change in culprit.changes)


def test_a_query_is_asked_once_and_its_rows_stand_in_the_order_of_the_key(
    place: Place, database: PrivatePostgres
) -> None:
    place.declare(JOB, POSTGRESQL)
    record = place.bind({"DB": f"{database.host}:{database.port}"})
    assert place.output(record).startswith("id,gb\n1,0.25\n2,0.50\n3,0.75\n")
    database.run("DROP TABLE usage_daily")
    assert rerun(place.bench({}), record).reproduced


def test_rows_that_a_policy_hides_are_access_and_no_data(place: Place, database: PrivatePostgres) -> None:
    policy = "CREATE POLICY by_region ON usage_daily FOR SELECT TO churn_job USING (region = 'north')"
    verdict, found, _ = judged(place, database, f"ALTER TABLE usage_daily ENABLE ROW LEVEL SECURITY; {policy}")
    assert found == ["access/usage/policy"]
    assert named(verdict) == ["access/usage/policy"]
    assert (verdict.verdict, verdict.retrain) == ("execution-state-drift", False)


def test_beside_a_policy_moved_values_are_still_data(place: Place, database: PrivatePostgres) -> None:
    policy = "CREATE POLICY by_region ON usage_daily FOR SELECT TO churn_job USING (region = 'north')"
    change = f"ALTER TABLE usage_daily ENABLE ROW LEVEL SECURITY; {policy}; UPDATE usage_daily SET gb = gb + 5"
    verdict, found, _ = judged(place, database, change)
    assert {"access/usage/policy", "data/usage/gb"} <= set(found)
    assert verdict.verdict == "both"
    assert named(verdict) == ["access/usage/policy", "data/usage/gb"]


def test_a_denied_source_is_an_answer_and_the_job_still_runs(place: Place, database: PrivatePostgres) -> None:
    verdict, found, bad = judged(place, database, "REVOKE SELECT ON usage_daily FROM churn_job")
    assert found == ["access/usage"]
    assert bad.outputs != {}
    assert named(verdict) == ["access/usage"]


def test_a_query_over_a_column_that_may_no_longer_be_read_names_it(place: Place, database: PrivatePostgres) -> None:
    grant = "REVOKE SELECT ON usage_daily FROM churn_job; GRANT SELECT (id, region, code) ON usage_daily TO churn_job"
    verdict, found, _ = judged(place, database, grant)
    assert found == ["access/usage/gb"]
    assert named(verdict) == ["access/usage/gb"]


def test_a_masking_view_is_access_and_its_values_are_no_data(place: Place, database: PrivatePostgres) -> None:
    database.run("CREATE VIEW seen AS SELECT * FROM usage_daily; GRANT SELECT ON seen TO churn_job")
    place.declare(JOB, POSTGRESQL.replace("* FROM usage_daily", "* FROM seen"))
    environ = {"DB": f"{database.host}:{database.port}"}
    good = place.bind(environ)
    database.run("CREATE OR REPLACE VIEW seen AS SELECT id, region, NULL::numeric(6, 2) AS gb, code FROM usage_daily")
    bad = place.bind(environ)
    assert moved(place, good, bad) == ["access/usage/seen/definition"]
    assert investigate(place.bench({}), good, bad, Options()).verdict == "execution-state-drift"


def test_moved_values_alone_are_data(place: Place, database: PrivatePostgres) -> None:
    verdict, found, _ = judged(place, database, "UPDATE usage_daily SET gb = 99 WHERE id < 9")
    assert found == ["data/usage/gb"]
    assert verdict.retrain


def test_a_query_that_makes_no_sense_is_trouble_without_the_password(place: Place, database: PrivatePostgres) -> None:
    uri = "postgresql://churn_job:${PW}@${DB}/postgres"
    text = POSTGRESQL.replace("postgresql://churn_job@${DB}/postgres", uri).replace("SELECT *", "SELEC *")
    place.declare(JOB, text, 'secrets = ["PW"]')
    with pytest.raises(InputError, match="the source usage gave no answer: syntax error") as caught:
        place.bind({"DB": f"{database.host}:{database.port}", "PW": "swordfish-9"})
    assert "swordfish" not in str(caught.value)


SQLITE = """
[data.usage]
path = "data/usage.csv"
uri = "sqlite:///warehouse.db"
query = "SELECT id, gb, note FROM seen ORDER BY id"
"""


def sqlite(place: Place, *statements: str) -> None:
    with sqlite3.connect(place.root / "warehouse.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_sqlite_is_read_and_a_masking_view_is_named(place: Place) -> None:
    sqlite(
        place,
        "CREATE TABLE usage (id INTEGER, gb REAL, note TEXT)",
        "INSERT INTO usage VALUES (2, 0.5, ''), (1, 1e23, 'a,\"b\"'), (3, NULL, NULL)",
        "CREATE VIEW seen AS SELECT * FROM usage",
    )
    place.declare(JOB, SQLITE)
    good = place.bind({})
    snapshot = load(place.store, good.state).layers["data"].sources["usage"]  # type: ignore[attr-defined]
    text = place.store.get(snapshot.files["data/usage.csv"].blob).decode()
    assert text == 'id,gb,note\n1,1e+23,"a,""b"""\n2,0.5,""\n3,,\n'
    sqlite(place, "DROP VIEW seen", "CREATE VIEW seen AS SELECT id, 0 AS gb, note FROM usage")
    bad = place.bind({})
    verdict = investigate(place.bench({}), good, bad, Options())
    assert named(verdict) == ["access/usage/seen/definition"]


def test_a_view_that_changed_is_told_in_its_own_words_less_its_passwords(place: Place) -> None:
    """The database holds the new definition only; the record is where the old one can be read and put back."""
    guarded = "CREATE VIEW seen AS SELECT * FROM usage WHERE note <> 'dwh password=hunter2'"
    sqlite(place, "CREATE TABLE usage (id INTEGER, gb REAL, note TEXT)", "INSERT INTO usage VALUES (1, 2, '')", guarded)
    place.declare(JOB, SQLITE)
    good = place.bind({})
    sqlite(place, "DROP VIEW seen", "CREATE VIEW seen AS SELECT id, 0 AS gb, note\nFROM usage")
    bad = place.bind({})
    (change,) = changes(load(place.store, good.state), load(place.store, bad.state), place.store)
    assert change.name == "access/usage/seen/definition"
    assert change.before == "CREATE VIEW seen AS SELECT * FROM usage WHERE note <> 'dwh password=(hidden)'"
    assert change.after == "CREATE VIEW seen AS SELECT id, 0 AS gb, note\nFROM usage"
    sqlite(place, "DROP VIEW seen", guarded.replace("hunter2", "hunter3"))
    other = place.bind({})
    (change,) = changes(load(place.store, good.state), load(place.store, other.state), place.store)
    assert [len(side or "") for side in (change.before, change.after)] == [12, 12]  # digests: the words look alike
    kept = b"".join(file.read_bytes() for file in (place.root / ".replay").rglob("*") if file.is_file())
    assert b"hunter" not in kept


def test_a_database_that_is_not_there_is_an_answer(place: Place) -> None:
    place.declare(JOB, SQLITE)
    record = place.bind({})
    assert place.output(record) == "id,gb\n1,0\n"
    assert rerun(place.bench({}), record).reproduced


HTTP = """
[data.usage]
path = "data/usage.csv"
uri = "${URL}/usage.csv"
headers = {Authorization = "Bearer ${TOKEN}"}
key = "id"
"""


def test_a_document_of_the_web_is_asked_with_its_headers(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/usage.csv": (200, "id,gb\n1,2\n")}, token="correct-horse")
    place.declare(JOB, HTTP)
    record = place.bind({"URL": site.url, "TOKEN": "correct-horse"})
    assert place.output(record) == "id,gb\n1,2\n"
    assert rerun(place.bench({}), record).reproduced
    site.pages.clear()
    gone = place.bind({"URL": site.url, "TOKEN": "correct-horse"})
    assert moved(place, record, gone) == ["access/usage"]
    kept = b"".join(file.read_bytes() for file in (place.root / ".replay").rglob("*") if file.is_file())
    assert b"correct-horse" not in kept
    assert site.asked == ["/usage.csv", "/usage.csv"]


def test_a_service_out_of_order_is_no_answer(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/usage.csv": (503, "")})
    place.declare(JOB, HTTP)
    with pytest.raises(InputError, match="the source usage gave no answer: 503"):
        place.bind({"URL": site.url, "TOKEN": "x"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[data.usage]\npath = "data/u.csv"\nquery = "SELECT 1"', "need the uri of a source"),
        ('[data.usage]\npath = "data/u.csv"\nuri = "sqlite:///w.db"\nquery = "SELECT 1"', "need an order"),
        ('[data.usage]\npath = "data/u.bin"\nuri = "sqlite:///w.db"\nquery = "SELECT 1 ORDER BY 1"', "written as CSV"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(place: Place, text: str, said: str) -> None:
    place.declare(JOB, text)
    with pytest.raises(ConfigError, match=said):
        place.bind({})
