"""A job that asks PostgreSQL as a role: what the role may see is the access layer, and it is named when it changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.bisect.verdict import Verdict
from replay.layers.release import changes, load
from replay.record import RunRecord
from replay.rerun import rerun
from replay.state import Change
from tests.sources.conftest import Place
from tests.support.private_postgres import PrivatePostgres

SETUP = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC;
CREATE TABLE usage_daily (id int PRIMARY KEY, region text, gb numeric, born date);
INSERT INTO usage_daily VALUES (1, 'north', 1.5, '1990-01-01'), (2, 'east', 2.5, '1991-01-01'), (3, 'west', 0, NULL);
CREATE VIEW public.people AS SELECT id, born FROM usage_daily;
GRANT SELECT ON usage_daily, people TO churn_job;
"""
JOB = """
import pathlib, psycopg
with psycopg.connect("") as db:
    try:
        rows = db.execute("SELECT id, gb FROM usage_daily WHERE gb >= %s ORDER BY id", [0]).fetchall()
        people = db.execute("SELECT id, born FROM people ORDER BY id").fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        print("fell back:", error.diag.message_primary)
        rows, people = [(1, 0)], []
text = "id,gb,born\\n" + "".join(f"{i},{gb},{dict(people).get(i)}\\n" for i, gb in rows)
pathlib.Path("out/scores.csv").write_text(text)
"""
SERVICE = '[services.warehouse]\nuri = "postgresql://churn_job@${DB}/postgres"'


@pytest.fixture
def database(postgres: PrivatePostgres) -> Iterator[PrivatePostgres]:
    postgres.run("CREATE ROLE churn_job LOGIN; CREATE ROLE readers")
    postgres.run(SETUP)
    yield postgres
    postgres.run("DROP OWNED BY churn_job; DROP OWNED BY readers; DROP ROLE churn_job; DROP ROLE readers")


def bound(place: Place, database: PrivatePostgres) -> RunRecord:
    return place.bind({"DB": f"{database.host}:{database.port}"})


def moved(place: Place, good: RunRecord, bad: RunRecord) -> list[Change]:
    return changes(load(place.store, good.state), load(place.store, bad.state), place.store)


def judged(place: Place, database: PrivatePostgres, change: str) -> tuple[Verdict, list[Change]]:
    """Bind, change the database, bind again; return the verdict and the changes."""
    place.declare(JOB, SERVICE)
    good = bound(place, database)
    database.run(change)
    bad = bound(place, database)
    return investigate(place.bench({}), good, bad, Options()), moved(place, good, bad)


def named(verdict: Verdict) -> list[str]:
    return [change for culprit in verdict.culprits for change in culprit.changes]


def test_a_rerun_needs_no_database(place: Place, database: PrivatePostgres) -> None:
    place.declare(JOB, SERVICE)
    record = bound(place, database)
    assert place.output(record) == "id,gb,born\n1,1.5,1990-01-01\n2,2.5,1991-01-01\n3,0,None\n"
    database.run("DROP TABLE usage_daily CASCADE")
    assert rerun(place.bench({}), record).reproduced


def test_the_same_database_bound_twice_is_the_same_state(place: Place, database: PrivatePostgres) -> None:
    place.declare(JOB, SERVICE)
    first = bound(place, database)
    database.run(SETUP)  # the same rows in tables of other numbers
    assert bound(place, database).state == first.state


def test_a_row_policy_is_named(place: Place, database: PrivatePostgres) -> None:
    policy = "CREATE POLICY by_region ON usage_daily FOR SELECT TO churn_job USING (region = 'north')"
    verdict, found = judged(place, database, f"ALTER TABLE usage_daily ENABLE ROW LEVEL SECURITY; {policy}")
    assert named(verdict) == ["access/warehouse/usage_daily/policy"]
    assert not verdict.retrain
    assert [change.sentence() for change in found] == [
        "access/warehouse/usage_daily/policy (absent) -> by_region: (region = 'north'::text)"
    ]


def test_a_column_that_was_taken_away_is_named(place: Place, database: PrivatePostgres) -> None:
    grant = "REVOKE SELECT ON usage_daily FROM churn_job; GRANT SELECT (id, region, born) ON usage_daily TO churn_job"
    verdict, found = judged(place, database, grant)
    assert named(verdict) == ["access/warehouse/usage_daily/gb"]
    assert [change.sentence() for change in found] == ["access/warehouse/usage_daily/gb granted -> hidden"]


def test_a_masking_view_is_named(place: Place, database: PrivatePostgres) -> None:
    masking = "CREATE OR REPLACE VIEW people AS SELECT id, NULL::date AS born FROM usage_daily"
    verdict, _ = judged(place, database, masking)
    assert named(verdict) == ["access/warehouse/people/definition"]


def test_a_membership_that_was_lost_is_named(place: Place, database: PrivatePostgres) -> None:
    database.run("REVOKE ALL ON people FROM churn_job; GRANT SELECT ON people TO readers; GRANT readers TO churn_job")
    verdict, found = judged(place, database, "REVOKE readers FROM churn_job")
    assert {change.name for change in found} == {"access/warehouse", "access/warehouse/people"}
    assert found[0].before == "churn_job (member of readers): granted"
    assert not verdict.retrain


def test_other_rows_are_data_and_only_data(place: Place, database: PrivatePostgres) -> None:
    verdict, found = judged(place, database, "UPDATE usage_daily SET gb = 9 WHERE id = 2")
    assert [change.name for change in found] == ["data/warehouse"]
    assert (verdict.verdict, verdict.retrain) == ("data-drift", True)


def test_a_login_that_is_refused_is_an_answer(place: Place, database: PrivatePostgres) -> None:
    job = JOB.replace("with psycopg", "import sys\nsys.excepthook = lambda *_: print('refused')\nwith psycopg")
    place.declare(job, SERVICE)
    good = bound(place, database)
    database.run("ALTER ROLE churn_job NOLOGIN")
    bad = bound(place, database)
    assert (place.log(bad), bad.exit_code) == ("refused\n", 1)
    assert rerun(place.bench({}), bad).reproduced
    assert any("is not permitted to log in" in (change.after or "") for change in moved(place, good, bad))
    database.run("ALTER ROLE churn_job LOGIN")


def test_a_password_passes_through_and_is_kept_nowhere(place: Place, database: PrivatePostgres) -> None:
    database.run("ALTER ROLE churn_job PASSWORD 'swordfish-9'")
    place.declare(JOB, '[services.warehouse]\nuri = "postgresql://churn_job:${PW}@${DB}/postgres"', 'secrets = ["PW"]')
    record = place.bind({"DB": f"{database.host}:{database.port}", "PW": "swordfish-9"})
    assert record.ok
    kept = b"".join(file.read_bytes() for file in (place.root / ".replay").rglob("*") if file.is_file())
    assert b"swordfish" not in kept
