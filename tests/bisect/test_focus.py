"""What is taken apart, what is tried first, and how much may be spent."""

from __future__ import annotations

import pytest

from replay.bisect.budget import Budget, BudgetSpent
from replay.bisect.focus import Focus, focused, weights
from replay.bisect.verdict import Group
from replay.errors import ReplayError
from replay.state import Change

NAMES = ("data/customers/price", "pipeline/score.py#1", "pipeline/score.py#2", "runtime/packages/pandas")
ATOMS = {name: Group(name, (Change(name=name, before="1.0", after="1.1"),)) for name in NAMES}


def test_what_is_out_of_focus_is_one_atom_a_layer_and_still_tried() -> None:
    found = focused(ATOMS, Focus(only=("runtime/packages",)))
    assert list(found) == ["inputs, not taken apart", "pipeline, not taken apart", "runtime/packages/pandas"]
    tried = [change.name for group in found.values() for change in group.changes]
    assert sorted(tried) == sorted(NAMES)
    assert found["pipeline, not taken apart"].label == "pipeline/score.py"


def test_skipping_a_file_leaves_its_hunks_together() -> None:
    found = focused(ATOMS, Focus(skip=("pipeline/score.py",)))
    assert [len(group.changes) for group in found.values()] == [1, 2, 1]


@pytest.mark.parametrize("focus", [Focus(only=("runtime/env",)), Focus(skip=("nope",)), Focus(suspect=("pandas",))])
def test_a_name_that_fits_nothing_is_said(focus: Focus) -> None:
    with pytest.raises(ReplayError, match="nothing that changed"):
        focused(ATOMS, focus)


def test_suspects_weigh_as_much_as_all_others_and_a_major_version_more_than_a_minor_one() -> None:
    assert weights(ATOMS, Focus())["runtime/packages/pandas"] == 2.0
    major = {"a": Group("a", (Change(name="runtime/packages/a", before="2.3.3", after="3.0.1"),))}
    assert weights(major | ATOMS, Focus())["a"] == 4.0
    told = weights(ATOMS, Focus(suspect=("data/customers",)))
    assert told["data/customers/price"] >= sum(weights(ATOMS, Focus()).values())


@pytest.mark.parametrize(
    ("text", "probes", "seconds"), [("20", 20, None), ("90s", None, 90), ("10m", None, 600), ("2h", None, 7200)]
)
def test_a_budget_is_probes_or_time(text: str, probes: int | None, seconds: int | None) -> None:
    budget = Budget.parse(text)
    assert (budget.probes, budget.seconds) == (probes, seconds)


@pytest.mark.parametrize("text", ["", "0", "-3", "ten", "10 d", "1.5h", "9" * 40, "10m\n20"])
def test_what_is_no_budget_is_said(text: str) -> None:
    with pytest.raises(ReplayError, match="is no budget"):
        Budget.parse(text)


def test_a_spent_budget_stops_before_the_next_probe() -> None:
    budget = Budget.parse("3")
    budget.check(2)
    with pytest.raises(BudgetSpent, match="3 probes was spent"):
        budget.check(3)
    past = Budget("1s", None, 1.0, began=float("-inf"))
    with pytest.raises(BudgetSpent, match="1s was spent"):
        past.check(0)
