"""Which runs may go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from replay.errors import ConfigError
from replay.store.base import RunEntry
from replay.store.retention import age, droppable


def entry(run: str, day: int, job: str = "churn", reason: str = "run", origin: str = "") -> RunEntry:
    return RunEntry(run, f"state of {run}", job, reason, f"2026-10-{day:02}T08:00:00Z", 0, "local", origin)


LOG = [
    entry("a", 1),
    entry("b", 2),
    entry("f", 3, job="fraud"),
    entry("b-probe", 4, reason="probe"),
    entry("c", 5),
    entry("c-again", 6, reason="rerun"),
    entry("theirs", 7, origin="registry/churn"),
]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (0, {"a", "b", "f", "b-probe", "c", "c-again", "theirs"}),
        (1, {"a", "b", "b-probe"}),
        (2, {"a"}),
        (9, set()),
    ],
)
def test_each_job_keeps_its_newest_and_what_came_after(keep: int, gone: set[str]) -> None:
    assert droppable(LOG, (), keep=keep, before=None) == gone


def test_what_is_young_or_has_a_tag_stays() -> None:
    assert droppable(LOG, {"a"}, keep=None, before=datetime(2026, 10, 4, tzinfo=UTC)) == {"b", "f"}


def test_with_both_rules_only_what_neither_spares_goes() -> None:
    assert droppable(LOG, (), keep=1, before=datetime(2026, 10, 2, tzinfo=UTC)) == {"a"}


def test_a_time_that_cannot_be_read_is_not_old() -> None:
    odd = [RunEntry("x", "s", "churn", "run", "long ago", 0, "local")]
    assert droppable(odd, (), keep=None, before=datetime.now(UTC)) == set()


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "3 d", "1y", "9" * 10 + "d"])
def test_an_age_is_a_number_and_a_unit(text: str) -> None:
    assert age("2w") == age("14d") == age("336h")
    with pytest.raises(ConfigError):
        age(text)
