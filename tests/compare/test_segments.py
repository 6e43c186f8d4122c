"""Where a change sits."""

from __future__ import annotations

import pyarrow as pa

from replay.compare.difference import Difference
from replay.compare.tables import compare_tables
from replay.record import OutputSpec

SPEC = OutputSpec(path="x", key=("id",), decision="churn")
PLANS = ["Monthly", "One year", "Two year", "Two year"]


def scores(flipped: set[int], rows: int = 400) -> pa.Table:
    return pa.table(
        {
            "id": range(rows),
            "contract": [PLANS[i % 4] for i in range(rows)],
            "paperless": [i % 3 == 0 for i in range(rows)],
            "churn": [int(i in flipped) for i in range(rows)],
        }
    )


def decision(difference: Difference | None) -> Difference:
    assert difference is not None
    return next(child for child in difference.children if child.kind == "decision")


def test_the_flips_lie_in_one_contract() -> None:
    flipped = {i for i in range(400) if PLANS[i % 4] == "Two year" and i % 5 == 3}
    found = decision(compare_tables("scores", scores(set()), scores(flipped), SPEC))
    assert found.sentence.endswith("0 -> 1 40; all of them where contract = Two year (50 % of the rows)")
    assert found.numbers["segment"] == {"column": "contract", "value": "Two year", "held": 1.0, "of_all": 0.5}


def test_most_of_them_are_told_as_a_share() -> None:
    flipped = {i for i in range(400) if i % 4 == 1 and i < 380} | {4, 8, 12, 16, 20}
    assert (
        "95 % of them where contract = One year (25 % of the rows)"
        in decision(compare_tables("scores", scores(set()), scores(flipped), SPEC)).sentence
    )


def test_flips_everywhere_and_few_flips_lie_nowhere() -> None:
    for flipped in ({i for i in range(400) if i % 7 == 0}, {2, 6}):
        found = decision(compare_tables("scores", scores(set()), scores(flipped), SPEC))
        assert "segment" not in found.numbers


def test_without_a_decision_the_column_that_changed_most_is_explained() -> None:
    good = scores(set()).append_column("score", pa.array([1.0] * 400))
    bad = scores(set()).append_column("score", pa.array([1.0 + (i % 4 == 0) for i in range(400)]))
    difference = compare_tables("scores", good, bad, OutputSpec(path="x", key=("id",)))
    assert difference is not None
    assert difference.children[0].sentence.endswith("; all of them where contract = Monthly (25 % of the rows)")
