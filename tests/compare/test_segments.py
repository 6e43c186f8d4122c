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


def customers(key: list[str]) -> list[tuple[str, pa.Table]]:
    table = pa.table(
        {"id": [f"{i}" for i in reversed(range(500))], "plan": [PLANS[i % 4] for i in reversed(range(500))]}
    )
    return [("customers", table)] if set(key) <= set(table.column_names) else []


def test_the_column_that_tells_the_flips_may_be_the_inputs() -> None:
    flipped = {i for i in range(400) if PLANS[i % 4] == "One year" and i % 3}
    sides = [scores(rows).drop_columns(["contract"]) for rows in (set[int](), flipped)]
    difference = compare_tables("scores", *sides, SPEC, inputs=customers)
    where = "all of them where customers/plan = One year (25 % of the rows)"
    assert decision(difference).sentence.endswith(where)
    assert decision(difference).numbers["segment"]["source"] == "customers"
    assert difference is not None
    assert difference.headline.endswith(where)


def test_an_output_that_tells_it_as_well_is_asked_first() -> None:
    flipped = {i for i in range(400) if PLANS[i % 4] == "One year" and i % 3}
    difference = compare_tables("scores", scores(set()), scores(flipped), SPEC, inputs=customers)
    assert "where contract = One year" in decision(difference).sentence


def test_an_input_without_the_key_tells_nothing() -> None:
    flipped = {i for i in range(400) if PLANS[i % 4] == "One year"}
    sides = [
        scores(rows).drop_columns(["contract"]).rename_columns(["no", "paperless", "churn"])
        for rows in (set[int](), flipped)
    ]
    difference = compare_tables("scores", *sides, OutputSpec(path="x", key=("no",), decision="churn"), inputs=customers)
    assert "segment" not in decision(difference).numbers
