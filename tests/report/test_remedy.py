"""What `--fix` says is to be changed: the place, and what stood there when the job was good."""

from __future__ import annotations

import pytest

from replay.bisect.verdict import Culprit, Verdict
from replay.report.remedy import remedies


def lines(name: str, before: str | None, commits: tuple[str, ...] = ()) -> list[str]:
    culprit = Culprit(
        changes=(name,),
        relation="single",
        share=1.0,
        before={name: before},
        after={name: "new"},
        breaks=True,
        mends=True,
        commits={name: commits} if commits else {},
    )
    told = Verdict(
        verdict="execution-state-drift",
        retrain=False,
        sentence="",
        advice="",
        confidence=0.9,
        culprits=(culprit,),
        good="sha256:a",
        bad="sha256:b",
    )
    return remedies(told)


@pytest.mark.parametrize(
    ("name", "before", "line"),
    [
        ("runtime/packages/pandas", "2.3.3", "requirements: pandas==2.3.3"),
        ("runtime/packages/pytz", None, "requirements: leave out pytz"),
        ("runtime/env/TZ", "UTC", '[runtime.set] TZ = "UTC"'),
        ("runtime/env/TZ", None, "environment: unset TZ"),
        ("runtime/base", "python:3.11-slim", '[runtime] base = "python:3.11-slim"'),
        ("pipeline/score.py", "x", "score.py: as it was"),
        ("pipeline/score.py#3", "x", "score.py: as it was"),
        ("model/churn.json", "x", "churn.json: as it was"),
        ("schema/customers/tenure/type", "integer", "contract of customers: tenure/type as it was (integer)"),
        ("access/billing", "granted", "access to billing: as it was (granted)"),
    ],
)
def test_a_culprit_has_its_line(name: str, before: str | None, line: str) -> None:
    (said,) = lines(name, before)
    assert said.startswith(line)


def test_a_commit_is_reverted_by_its_own_name() -> None:
    said = lines("pipeline@4f2c1e9", "x", ("4f2c1e9 Refit the\nscaler",))
    assert said[0].startswith("git revert 4f2c1e9  # Refit the")
    assert len(said[0].splitlines()) == 1


def test_data_that_moved_is_no_fault_to_put_right() -> None:
    assert lines("data/customers/price", "x") == []
