"""The design's tables: what was found, what is said of it, and what is advised."""

from __future__ import annotations

import pytest

from replay.bisect.judge import judge, to_mend
from replay.bisect.search import Found, Gap
from replay.bisect.verdict import DataEffect, Evidence, Group, Verdict, confidence
from replay.state import Change

ID = "sha256:" + "0" * 64


def group(name: str, *changes: str) -> Group:
    return Group(name, tuple(Change(name=change, before="a", after="b") for change in changes))


GROUPS = {
    "inputs": group("inputs", "data/customers"),
    "pipeline": group("pipeline", "pipeline/score.py"),
    "model": group("model", "model/churn.json"),
    "runtime": group("runtime", "runtime/packages/pandas", "runtime/packages/numpy", "runtime/env/TZ"),
}
SCHEMA = GROUPS | {"inputs": group("inputs", "schema/customers/tariff/categories", "data/customers")}


def verdict(
    breaks: list[str] | None = None,
    mends: list[str] | None = None,
    data: DataEffect | None = None,
    groups: dict[str, Group] = GROUPS,
    gaps: tuple[Gap, ...] = (),
) -> Verdict:
    """The verdict on sets written as `pipeline+runtime`."""
    found = None
    if breaks or mends:
        sets = [tuple(frozenset(text.split("+")) for text in texts or ()) for texts in (breaks, mends)]
        found = Found(sets[0], sets[1], {}, gaps)
    shares = dict.fromkeys(found.breaks if found else (), 1.0)
    return judge(Evidence(ID, ID, groups, found, data, shares, executions=8, inputs=groups.get("inputs")))


INNOCENT = DataEffect(False, False, "equal")
MOVED = DataEffect(True, True, "PSI 0.5")
LITTLE = DataEffect(True, False, "one cell")


def test_one_cause_reproduces_alone_and_mends_alone() -> None:
    found = verdict(["pipeline"], ["pipeline"])
    assert found.verdict == "execution-state-drift"
    assert found.culprits[0].changes == ("pipeline/score.py",)
    assert "reverting it alone mends it" in found.sentence
    assert "within the recorded layers" in found.sentence
    assert not found.retrain
    assert "runtime" in found.cleared


def test_two_that_act_together_are_one_culprit() -> None:
    found = verdict(["pipeline+runtime"], ["pipeline", "runtime"])
    assert [c.relation for c in found.culprits] == ["together"]
    assert found.culprits[0].changes == ("pipeline/score.py", "runtime")
    assert "reverting either mends it" in found.sentence
    assert found.advice.startswith("restore or adjust pipeline/score.py or runtime;")


def test_of_two_that_act_together_one_may_be_all_that_mends() -> None:
    found = verdict(["pipeline+runtime"], ["pipeline"])
    assert found.sentence.startswith("it takes pipeline/score.py and runtime together; reverting pipeline/score.py")
    assert found.advice.startswith("restore or adjust pipeline/score.py and runtime;")


def test_two_independent_causes_are_two_and_neither_mends_alone() -> None:
    found = verdict(["pipeline", "runtime"], ["pipeline+runtime"])
    assert [c.mends for c in found.culprits] == [False, False]
    assert found.sentence.startswith("2 independent causes; revert all of them")


def test_a_model_alone_is_a_model_change() -> None:
    assert verdict(["model"], ["model"]).verdict == "model-change"
    assert verdict(["model", "pipeline"], ["model+pipeline"]).verdict == "execution-state-drift"


def test_data_alone_calls_for_retraining_only_when_it_moved_enough() -> None:
    assert verdict(data=MOVED).verdict == "data-drift"
    assert verdict(data=MOVED).retrain
    assert verdict(data=LITTLE).verdict == "data-drift"
    assert not verdict(data=LITTLE).retrain
    assert verdict(data=INNOCENT).verdict == "no-difference"


def test_a_changed_contract_is_execution_and_never_retrained_away() -> None:
    found = verdict(data=MOVED, groups=SCHEMA)
    assert found.verdict == "execution-state-drift"
    assert found.culprits[0].changes == ("schema/customers/tariff/categories",)
    assert not found.retrain


def test_both_means_mend_first() -> None:
    found = verdict(["pipeline"], ["pipeline"], MOVED)
    assert found.verdict == "both"
    assert found.advice.startswith("mend pipeline/score.py first")
    assert not found.retrain


def test_data_that_moved_a_little_is_no_second_cause() -> None:
    assert verdict(["pipeline"], ["pipeline"], LITTLE).verdict == "execution-state-drift"


@pytest.mark.parametrize(("breaks", "mends"), [(["pipeline"], ["runtime"]), (["pipeline"], []), ([], ["pipeline"])])
def test_directions_that_contradict_each_other_convict_nobody(breaks: list[str], mends: list[str]) -> None:
    found = verdict(breaks, mends)
    assert found.verdict == "inconclusive"
    assert not found.culprits
    assert found.confidence == 0


def test_a_gap_is_said() -> None:
    found = verdict(["pipeline+runtime"], ["pipeline+runtime"], gaps=(Gap(("pipeline", "runtime"), ()),))
    assert "not told apart: pipeline/score.py, runtime" in found.gaps[0]


def test_a_group_is_called_by_what_its_changes_share() -> None:
    assert group("runtime", "runtime/packages/a", "runtime/packages/b").label == "runtime/packages"
    assert group("runtime", "runtime/packages/a", "runtime/env/b").label == "runtime"
    assert group("inputs", "schema/c/x/type", "schema/c/x/nulls", "data/c").label == "schema/c/x"


def test_confidence_claims_no_more_than_was_run() -> None:
    assert confidence(0) == 0.5
    assert confidence(8) == 0.9


def test_the_document_has_the_names_of_the_design() -> None:
    culprit = verdict(["pipeline"], ["pipeline"]).document()["culprits"][0]  # type: ignore[index]
    assert culprit["from"] == {"pipeline/score.py": "a"}
    assert culprit["to"] == {"pipeline/score.py": "b"}


def test_several_changes_under_one_name_are_told_one_by_one() -> None:
    tied = group("atom", "schema/customers/format", "schema/customers/fee/type", "data/customers")

    assert tied.label == "schema/customers"
    assert tied.side("schema/customers", after=False) == "format: a; fee/type: a"


def test_the_advice_says_what_a_column_was() -> None:
    assert to_mend("schema/customers/fee/type", "float") == "schema/customers/fee/type (it was float)"
    assert to_mend("schema/customers/fee/nulls", "no nulls") == "schema/customers/fee/nulls (it had no nulls)"
    renamed = to_mend("schema/customers/plan/categories", "3 categories", "+ 'gold' (9 rows), - 'Gold'")
    assert renamed == "schema/customers/plan/categories (+ 'gold' (9 rows), - 'Gold')"
    assert to_mend("schema/customers/fee/added", None) == "schema/customers/fee/added"
    told = to_mend("runtime/base", "python:3.9 (979a0fc7c330), Debian 11, Python 3.9.2; apt 2.2.4, bash 5.1")
    assert told == "runtime/base (it was python:3.9 (979a0fc7c330), Debian 11, Python 3.9.2)"


def test_what_goes_together_is_cleared_by_each_name_and_not_by_what_the_names_share() -> None:
    """A guilty package beside an innocent base with a package built for it: `runtime` was not cleared."""
    tied = Group(
        "runtime/base + runtime/packages/numpy",
        (Change(name="runtime/base"), Change(name="runtime/packages/numpy")),
        inseparable=True,
    )
    found = verdict(["phones"], ["phones"], groups={"phones": group("phones", "runtime/packages/phones"), "tied": tied})

    assert found.cleared == ("runtime/base", "runtime/packages/numpy")
    assert tied.label == "runtime/base + runtime/packages/numpy"
    assert tied.layer == "runtime"


def test_what_a_culprit_was_taken_and_reverted_with_stands_beside_it() -> None:
    groups = {name: group(name, f"runtime/packages/{name}") for name in ("adapter", "library", "engine")}
    requires = {"adapter": frozenset({"library"}), "library": frozenset({"engine"})}
    members = frozenset({"library"})
    found = judge(Evidence(ID, ID, groups, Found((members,), (members,), {}), requires=requires, executions=8))

    assert found.sentence.startswith(
        "runtime/packages/library causes it: taken with runtime/packages/engine it reproduces it, "
        "and reverting it with runtime/packages/adapter mends it"
    )
