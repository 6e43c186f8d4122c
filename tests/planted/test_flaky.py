"""Jobs that do not always give the same, in real executions whose dice fall alike each time: the culprit or nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.planted.faults import Fault
from tests.planted.test_planted import bisected, named

COIN = Fault(flaky="pipeline/a")


def flaky(fault: Fault, folder: Path, seed: int) -> Fault:
    return replace(fault, dice=str(folder / "dice"), seed=seed)


def test_a_coin_is_named_with_the_rates_that_were_measured(tmp_path: Path) -> None:
    verdict = bisected(flaky(COIN, tmp_path, 5), tmp_path, "local", "")
    assert named(verdict, COIN) == {frozenset({"pipeline/a"})}, (verdict.sentence, *verdict.evidence)
    assert "not as GOOD were 0 of " in verdict.sentence
    assert 0.9 < verdict.confidence < 1
    assert verdict.fix


@pytest.mark.parametrize(
    "fault",
    [
        replace(COIN, often=0.9, anyway=0.05),
        Fault(moves=(("pipeline/b",),), flaky="pipeline/a"),
    ],
)
def test_the_culprit_or_nobody(fault: Fault, tmp_path: Path) -> None:
    verdict = bisected(flaky(fault, tmp_path, 2), tmp_path, "local", "")
    truth = fault.culprits | {frozenset({"pipeline/a"})}
    assert named(verdict, fault) in (set(), truth), (verdict.sentence, *verdict.evidence)
    if not verdict.culprits:
        assert verdict.verdict == "nondeterministic"
        assert "reruns of good execution" in verdict.sentence


def test_a_job_that_never_gives_the_same_is_not_rerun_for_long(tmp_path: Path) -> None:
    always = replace(COIN, anyway=0.7)
    verdict = bisected(flaky(always, tmp_path, 2), tmp_path, "local", "")
    assert (verdict.verdict, verdict.culprits, verdict.confidence) == ("nondeterministic", (), 0.0)
    assert verdict.probes.run <= 70
