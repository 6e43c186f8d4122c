"""A job that asks a web service: recorded, rerun without the service, and blamed on access where access it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.errors import ConfigError, InputError
from replay.layers.release import changes, load
from replay.rerun import rerun
from tests.sources.conftest import Place, Web

JOB = """
import os, pathlib, urllib.error, urllib.request
request = urllib.request.Request(os.environ["SEGMENTS"], headers={"Authorization": "Bearer " + os.environ["TOKEN"]})
try:
    rows = urllib.request.urlopen(request).read().decode()
except urllib.error.HTTPError as error:
    print("fell back:", error.code)
    rows = "id,risk\\n1,0.5\\n2,0.5\\n"
pathlib.Path("out/scores.csv").write_text(rows)
"""
ROWS = "id,risk\n1,0.1\n2,0.9\n"
SERVICE = '[services.segments]\nuri = "${SEGMENTS}"'
TOKEN = "correct-horse-battery"


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_the_answers_are_the_record_and_the_service_is_not_asked_again(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/segments.csv": (200, ROWS)}, token=TOKEN)
    place.declare(JOB, SERVICE, 'secrets = ["TOKEN"]')
    environ = {"SEGMENTS": f"{site.url}/segments.csv?day=1", "TOKEN": TOKEN}
    record = place.bind(environ)
    assert place.output(record) == ROWS
    site.pages["/segments.csv"] = (500, "gone")
    # Another secret of the same name is the same principal: tokens are renewed every hour.
    again = rerun(place.bench({"TOKEN": "renewed since then"}), record)
    assert again.reproduced
    assert site.asked == ["/segments.csv?day=1"]


def test_no_secret_is_kept(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/segments.csv": (200, ROWS)}, token=TOKEN)
    place.declare(
        JOB, '[services.segments]\nuri = "${BASE}?key=${KEY}"\nvariable = "SEGMENTS"', 'secrets = ["TOKEN", "KEY"]'
    )
    environ = {"BASE": f"{site.url}/segments.csv", "KEY": "hush-hush-hush", "TOKEN": TOKEN}
    record = place.bind(environ)
    assert site.asked == ["/segments.csv?key=hush-hush-hush"]
    assert rerun(place.bench(environ), record).reproduced
    kept = everything(place.root / ".replay")
    assert b"hush" not in kept
    assert TOKEN.encode() not in kept


def test_a_lost_scope_is_named_as_access(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/segments.csv": (200, ROWS)}, token=TOKEN)
    place.declare(JOB, SERVICE, 'secrets = ["TOKEN"]')
    environ = {"SEGMENTS": f"{site.url}/segments.csv", "TOKEN": TOKEN}
    good = place.bind(environ)
    site.token = "another"
    bad = place.bind(environ)
    verdict = investigate(place.bench(environ), good, bad, Options())
    assert [change for culprit in verdict.culprits for change in culprit.changes] == ["access/segments"]
    assert (verdict.verdict, verdict.retrain) == ("execution-state-drift", False)
    (change,) = changes(load(place.store, good.state), load(place.store, bad.state), place.store)
    assert change.before == "Bearer secret-TOKEN: granted"
    assert change.after == "Bearer secret-TOKEN: GET /segments.csv: 403 Forbidden"


def test_other_rows_under_the_same_access_are_data(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/segments.csv": (200, ROWS)})
    place.declare(JOB, SERVICE, 'set = {TOKEN = "-"}')
    environ = {"SEGMENTS": f"{site.url}/segments.csv"}
    good = place.bind(environ)
    site.pages["/segments.csv"] = (200, "id,risk\n1,0.1\n2,0.7\n3,0.2\n")
    bad = place.bind(environ)
    verdict = investigate(place.bench(environ), good, bad, Options())
    assert (verdict.verdict, verdict.retrain) == ("data-drift", True)


def regions(*kept: str) -> str:
    return "id,risk,region\n" + "".join(f"{i},0.{i},{r}\n" for i, r in enumerate("nsewnsew") if r in kept)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("id,risk\n1,0.1\n2,0.9\n", "id,risk\n1,***\n2,***\n", ["access/segments/risk"]),
        ("id,risk\n1,0.1\n2,0.9\n", "id\n1\n2\n", ["access/segments/risk"]),
        ('[{"id": 1, "risk": 0.1}]', '[{"id": 1, "risk": null}]', ["access/segments/risk"]),
        ('{"items": [{"id": 1, "risk": 1}], "n": 1}', '{"items": [{"id": 1}], "n": 1}', ["access/segments/risk"]),
        (regions(*"nsew"), regions(*"ns"), ["access/segments/rows"]),
        (regions(*"nsew"), regions(*"ns") + "9,0.9,n\n", ["data/segments"]),
        ("id,risk\n1,0.1\n2,0.9\n", "id,risk\n2,0.9\n", ["data/segments"]),
        ("id,risk\n1,0.1\n2,0.9\n", "id,risk\n1,\n2,0.9\n", ["data/segments"]),
        ("id,risk\n1,0\n2,0\n", "id,risk\n1,\n2,\n", ["data/segments"]),
        ("id,risk,x\n1,0.1,5\n2,0.9,6\n", "id,risk,x\n1,,5\n2,,7\n", ["access/segments/risk", "data/segments"]),
        ("plain words", "other words", ["data/segments"]),
    ],
)
def test_what_an_answer_of_200_withholds_is_access(
    place: Place, web: Callable[..., Web], before: str, after: str, expected: list[str]
) -> None:
    site = web({"/segments.csv": (200, before)})
    place.declare(JOB, SERVICE, 'set = {TOKEN = "-"}')
    environ = {"SEGMENTS": f"{site.url}/segments.csv"}
    good = place.bind(environ)
    site.pages["/segments.csv"] = (200, after)
    bad = place.bind(environ)
    found = changes(load(place.store, good.state), load(place.store, bad.state), place.store)
    assert sorted(change.name for change in found) == expected


def test_a_question_that_was_never_asked_is_not_answered_by_a_guess(place: Place, web: Callable[..., Web]) -> None:
    site = web({"/segments.csv": (200, ROWS)})
    job = JOB.replace('["SEGMENTS"]', '["SEGMENTS"] + "?now=" + str(__import__("time").time_ns())')
    place.declare(job, SERVICE, 'set = {TOKEN = "-"}')
    record = place.bind({"SEGMENTS": f"{site.url}/segments.csv"})
    assert record.ok
    with pytest.raises(InputError, match=r"asked segments what was not asked when the state was bound: 'GET /segm"):
        rerun(place.bench({}), record)


def test_a_service_that_is_down_is_an_answer_too(place: Place) -> None:
    job = JOB.replace("urllib.error.HTTPError", "OSError").replace("error.code", '"down"')
    place.declare(job, SERVICE, 'set = {TOKEN = "-"}')
    record = place.bind({"SEGMENTS": "http://127.0.0.1:9/segments.csv"})
    assert place.log(record) == "fell back: down\n"
    assert rerun(place.bench({}), record).reproduced


@pytest.mark.parametrize("uri", ["ftp://example.org/x", "http://", "mailto:me", "postgresql://[broken"])
def test_a_uri_that_cannot_be_used_is_not_printed(place: Place, uri: str) -> None:
    place.declare(JOB, f'[services.segments]\nuri = "{uri}"')
    with pytest.raises(ConfigError) as caught:
        place.bind({})
    assert "segments has a uri that cannot be used" in str(caught.value)
    assert uri not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(place: Place) -> None:
    place.declare(JOB, SERVICE)
    with pytest.raises(ConfigError, match="needs the variable SEGMENTS, which is not set here"):
        place.bind({})
