"""Every trap of comparing two tables of scores, one a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from replay.compare.difference import Difference
from replay.compare.tables import compare_tables
from replay.errors import CompareError
from replay.record import OutputSpec

KEYED = OutputSpec(path="scores.csv", key=("id",))
UNKEYED = OutputSpec(path="scores.csv")


def column(good: Any, bad: Any, noise: Mapping[str, float] | None = None, **spec: Any) -> Difference | None:
    """Compare one column `x` under the keys 0, 1, 2, …"""
    tables = [pa.table({"id": range(len(values)), "x": values}) for values in (good, bad)]
    return compare_tables("scores", *tables, OutputSpec(path="scores.csv", key=("id",), **spec), noise)


def kinds(difference: Difference | None) -> list[str]:
    return [child.kind for child in difference.children] if difference else []


def only(difference: Difference | None) -> Difference:
    assert difference is not None
    assert len(difference.children) == 1, difference.lines()
    return difference.children[0]


def test_equal_tables_have_no_difference() -> None:
    table = pa.table({"id": [1, 2], "score": [0.5, None], "plan": ["a", None]})
    assert compare_tables("scores", table, table, KEYED) is None


def test_nan_equals_nan() -> None:
    assert column([float("nan"), 1.0], [float("nan"), 1.0]) is None


def test_nan_against_null_is_a_finding_of_nulls() -> None:
    found = only(column([float("nan"), 1.0], pa.array([None, 1.0])))
    assert found.kind == "nulls"
    assert found.numbers["became_null"] == 1


def test_nan_against_a_number_is_a_changed_cell_without_a_huge_figure() -> None:
    found = only(column([float("nan"), 1.0, 2.0], [3.0, 1.0, 2.5]))
    assert (found.kind, found.numbers["changed"], found.numbers["not_finite"]) == ("cells", 2, 1)
    assert found.numbers["largest_absolute"] == 0.5
    assert "1 to or from NaN or infinity (id=0: nan -> 3.0)" in found.sentence


def test_negative_zero_equals_zero_in_a_value_and_in_a_key() -> None:
    assert column([-0.0, 1.0], [0.0, 1.0]) is None
    good, bad = (pa.table({"id": [zero, 1.0], "x": [1, 2]}) for zero in (-0.0, 0.0))
    assert compare_tables("scores", good, bad, KEYED) is None


def test_a_value_that_became_null_is_never_a_numeric_difference() -> None:
    difference = column([10.0, 20.0, None], pa.array([None, 20.5, 7.0]))
    assert kinds(difference) == ["nulls", "cells"]
    assert difference is not None
    nulls, cells = difference.children
    assert (nulls.numbers["became_null"], nulls.numbers["stopped_being_null"]) == (1, 1)
    assert (cells.numbers["changed"], cells.numbers["largest_absolute"]) == (1, 0.5)


def test_whole_numbers_beyond_2_to_53_are_exact() -> None:
    found = only(column([2**53, 1], [2**53 + 1, 1]))
    assert (found.kind, found.numbers["largest_absolute"]) == ("cells", 1.0)
    assert "9007199254740992 -> 9007199254740993" in found.sentence


def test_the_ends_of_the_integers_are_exact() -> None:
    good, bad = pa.array([2**64 - 1, 0], pa.uint64()), pa.array([2**64 - 2, 0], pa.uint64())
    assert only(column(good, bad)).numbers["largest_absolute"] == 1.0
    assert only(column([-(2**63)], [2**63 - 1])).numbers["largest_absolute"] == float(2**64)


def test_an_instant_is_the_same_in_any_unit_and_zone() -> None:
    moment = datetime(2024, 3, 31, 12, tzinfo=UTC)
    good = pa.array([moment], pa.timestamp("s", "UTC"))
    bad = pa.array([moment.astimezone(timezone(timedelta(hours=2)))], pa.timestamp("ns", "Europe/Berlin"))
    assert column(good, bad) is None


def test_an_instant_outside_the_finer_units_range_is_compared_all_the_same() -> None:
    good = pa.array([datetime(9999, 1, 1)], pa.timestamp("s"))
    bad = pa.array([datetime(2024, 1, 1)], pa.timestamp("ns"))
    assert only(column(good, bad)).kind == "cells"


def test_a_moved_instant_says_by_how_many_seconds() -> None:
    good, bad = (pa.array([datetime(2024, 1, 1, hour)], pa.timestamp(unit)) for hour, unit in ((1, "ms"), (2, "us")))
    assert only(column(good, bad)).numbers["largest_seconds"] == 3600.0


def test_a_lost_zone_is_a_change_of_type() -> None:
    good, bad = (pa.array([datetime(2024, 1, 1)], pa.timestamp("us", zone)) for zone in ("UTC", None))
    found = only(column(good, bad))
    assert (found.kind, found.numbers) == ("type", {"good": "timestamp with zone", "bad": "timestamp"})


def test_a_dictionary_column_equals_plain_text() -> None:
    assert column(pa.array(["a", None, "b"]).dictionary_encode(), pa.array(["a", None, "b"], pa.large_string())) is None


def test_whole_numbers_that_became_text_with_equal_digits_are_a_change_of_type_alone() -> None:
    found = only(column([1, 2], ["1", "2"]))
    assert found.kind == "type"
    assert found.sentence == "x: type int64 -> string; the values read the same"


def test_leading_zeros_are_no_number() -> None:
    assert kinds(column([7], ["007"])) == ["type", "cells"]


def test_fractions_that_became_text_are_compared_as_numbers() -> None:
    assert kinds(column([0.5, 1.0], ["0.50", "1"])) == ["type"]


def test_whole_numbers_that_became_floats_are_a_change_of_type_alone() -> None:
    assert kinds(column([1, 2, 2**53 + 2], [1.0, 2.0, float(2**53 + 2)])) == ["type"]


def test_decimals_are_exact_whatever_their_scale() -> None:
    good = pa.array([Decimal("1.10"), Decimal("12345678901234567890.12")], pa.decimal128(38, 2))
    bad = pa.array([Decimal("1.1000"), Decimal("12345678901234567890.1201")], pa.decimal128(38, 4))
    difference = column(good, bad)
    assert kinds(difference) == ["type", "cells"]
    assert difference is not None
    assert difference.children[1].numbers["changed"] == 1


def test_a_column_without_any_value_has_no_type_to_change() -> None:
    assert kinds(column(pa.nulls(2), pa.array([1.0, None]))) == ["nulls"]


def test_truth_values_that_became_numbers_are_a_change_of_type_alone() -> None:
    assert kinds(column([True, False], [1, 0])) == ["type"]


def test_nested_cells_are_compared_by_value() -> None:
    assert column([[1.0, -0.0], [2.0]], [[1.0, 0.0], [2.0]]) is None
    assert kinds(column([{"a": 1}], [{"a": 2}])) == ["cells"]


def test_cells_report_count_share_and_the_largest_differences_with_their_rows() -> None:
    found = only(column([100.0, 1.0, 5.0, 6.0], [110.0, 2.0, 5.0, 6.0]))
    assert (found.numbers["changed"], found.numbers["share"]) == (2, 0.5)
    assert found.numbers["largest_absolute_at"] == {"row": "id=0", "good": "100.0", "bad": "110.0"}
    assert found.numbers["largest_relative_at"] == {"row": "id=1", "good": "1.0", "bad": "2.0"}
    assert found.sentence == (
        "x: 2 of 4 cells changed (50 %); largest absolute difference 10 at id=0 (100.0 -> 110.0); "
        "largest relative difference 100 % at id=1 (1.0 -> 2.0)"
    )


def test_a_declared_tolerance_makes_noise_and_is_named() -> None:
    found = only(column([1.0, 2.0, 3.0], [1.0 + 2.3e-16, 2.0, 3.0 + 5e-16], rtol="1e-9"))
    assert found.kind == "noise"
    assert not found.matters
    assert found.sentence == "x: 2 cells differ, all within rtol 1e-9; largest 4.44e-16"


def test_the_tolerance_is_atol_plus_rtol_times_the_good_value() -> None:
    assert kinds(column([100.0], [101.0], atol="0.5", rtol="0.005")) == ["noise"]
    assert kinds(column([100.0], [101.01], atol="0.5", rtol="0.005")) == ["cells"]


def test_a_cell_beyond_the_tolerance_is_counted_apart_from_those_within() -> None:
    found = only(column([1.0, 2.0], [1.0000001, 3.0], atol="0.001"))
    assert (found.kind, found.numbers["changed"], found.numbers["within_tolerance"]) == ("cells", 1, 1)
    assert found.sentence.endswith("1 more differ within atol 0.001")


def test_the_measured_noise_floor_speaks_for_itself() -> None:
    found = only(column([1.0, 2.0], [1.05, 2.0], noise={"x": 0.1}))
    assert found.kind == "noise"
    assert "the noise floor measured between repeats (0.1)" in found.sentence
    assert kinds(column([1.0, 2.0], [1.15, 2.0], noise={"x": 0.1})) == ["cells"]


def test_text_is_noise_only_as_far_as_repeats_change_as_large_a_share() -> None:
    good, bad = ["a"] * 10, ["a"] * 8 + ["b"] * 2
    assert kinds(column(good, bad, noise={"x": 0.2})) == ["noise"]
    assert kinds(column(good, bad, noise={"x": 0.1}))[0] == "cells"


def test_no_tolerance_forgives_nan_or_null() -> None:
    assert kinds(column([1.0], [float("nan")], atol="1e9", noise={"x": 1e9})) == ["cells"]
    assert kinds(column([1.0], pa.array([None], pa.float64()), atol="1e9", noise={"x": 1e9})) == ["nulls"]


@pytest.mark.parametrize("text", ["lots", "-1", "nan", "inf", ""])
def test_a_tolerance_that_is_no_number_is_an_error(text: str) -> None:
    with pytest.raises(CompareError, match="atol"):
        column([1.0], [2.0], atol=text)


def test_a_decision_says_how_many_flipped_from_which_to_which() -> None:
    found = only(column(["no"] * 8 + ["yes"] * 2, ["no"] * 6 + ["yes"] * 3 + ["no"], decision="x"))
    assert found.kind == "decision"
    assert found.sentence == "x: 3 of 10 decisions flipped (30 %): no -> yes 2, yes -> no 1"
    assert found.numbers["flips"] == [
        {"from": "no", "to": "yes", "count": 2},
        {"from": "yes", "to": "no", "count": 1},
    ]


def test_a_flip_is_forgiven_by_no_declared_tolerance() -> None:
    assert kinds(column([0, 1, 0], [1, 1, 0], decision="x", atol="5")) == ["decision"]


def test_rows_added_and_removed_are_named_by_key() -> None:
    good = pa.table({"id": ["a", "b", "c"], "x": [1, 2, 3]})
    bad = pa.table({"id": ["b", "c", "d"], "x": [2, 3, 4]})
    found = only(compare_tables("scores", good, bad, KEYED))
    assert found.kind == "rows"
    assert found.sentence == "1 row removed (id=a), 1 row added (id=d): 3 -> 3 rows"


def test_common_rows_leaves_out_what_is_on_one_side_only() -> None:
    good = pa.table({"id": ["a", "b", "c"], "x": [1, 2, 3]})
    bad = pa.table({"id": ["d", "c", "b"], "x": [4, 3, 2]})
    assert kinds(compare_tables("scores", good, bad, KEYED, common_rows=True)) == ["order"]


def test_another_order_of_the_same_rows_does_not_matter() -> None:
    good = pa.table({"id": ["a", "b", "c"], "x": [1, 2, 3]})
    difference = compare_tables("scores", good, good.take([2, 0, 1]), KEYED)
    assert kinds(difference) == ["order"]
    assert difference is not None
    assert not difference.matters


def test_another_order_of_the_columns_does_not_matter() -> None:
    good = pa.table({"id": ["a"], "x": [1], "y": [2]})
    assert kinds(compare_tables("scores", good, good.select(["y", "id", "x"]), KEYED)) == ["order"]


def test_columns_added_and_removed() -> None:
    good, bad = pa.table({"id": [1], "x": [1], "y": [1]}), pa.table({"id": [1], "y": [1], "z": [1]})
    difference = compare_tables("scores", good, bad, KEYED)
    assert difference is not None
    assert [(child.name, child.kind) for child in difference.children] == [("x", "column"), ("z", "column")]
    assert difference.matters


def test_null_keys_are_joined_as_equal() -> None:
    good, bad = pa.table({"id": ["a", None], "x": [1, 2]}), pa.table({"id": [None, "a"], "x": [3, 1]})
    difference = compare_tables("scores", good, bad, KEYED)
    assert kinds(difference) == ["order", "cells"]
    assert difference is not None
    assert "id=(null)" in difference.children[1].sentence


def test_a_key_of_two_columns() -> None:
    spec = OutputSpec(path="x", key=("day", "id"))
    good = pa.table({"day": [1, 1, 2, None], "id": ["a", None, "a", "a"], "x": [1, 2, 3, 4]})
    bad = pa.table({"day": [None, 2, 1, 1], "id": ["a", "a", None, "a"], "x": [4, 30, 2, 1]})
    difference = compare_tables("scores", good, bad, spec)
    assert kinds(difference) == ["order", "cells"]
    assert difference is not None
    assert "day=2, id=a (3 -> 30)" in difference.children[1].sentence


def test_a_key_that_became_text_still_joins_and_says_so() -> None:
    good, bad = pa.table({"id": [1, 2], "x": [1, 2]}), pa.table({"id": ["1", "2"], "x": [1, 2]})
    assert kinds(compare_tables("scores", good, bad, KEYED)) == ["type"]


def test_a_repeated_key_is_an_error_that_names_it() -> None:
    good, bad = pa.table({"id": ["a", "b"], "x": [1, 2]}), pa.table({"id": ["b", "b"], "x": [1, 2]})
    with pytest.raises(CompareError, match=r"scores \(bad\) has 1 key more than once: id=b"):
        compare_tables("scores", good, bad, KEYED)


def test_a_repeated_null_key_is_an_error_too() -> None:
    table = pa.table({"id": pa.array([None, None], pa.string()), "x": [1, 2]})
    with pytest.raises(CompareError, match=r"id=\(null\)"):
        compare_tables("scores", table, table, KEYED)


def test_a_missing_key_is_an_error_that_lists_the_columns() -> None:
    good, bad = pa.table({"id": [1], "x": [1]}), pa.table({"customer": [1], "x": [1]})
    with pytest.raises(CompareError, match="has no column id") as error:
        compare_tables("scores", good, bad, KEYED)
    assert "customer, x" in error.value.do


def test_a_column_twice_is_an_error() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
    with pytest.raises(CompareError, match="has the column id 2 times"):
        compare_tables("scores", twice, twice, UNKEYED)


def test_common_rows_need_a_key() -> None:
    table = pa.table({"x": [1]})
    with pytest.raises(CompareError, match="has no key"):
        compare_tables("scores", table, table, UNKEYED, common_rows=True)


def test_without_a_key_rows_are_compared_by_position() -> None:
    good, bad = pa.table({"x": [1, 2, 3], "y": ["a", "b", "c"]}), pa.table({"x": [1, 2, 4], "y": ["a", "b", "c"]})
    found = only(compare_tables("scores", good, bad, UNKEYED))
    assert found.numbers["examples"] == [{"row": "row 3", "good": "3", "bad": "4"}]


def test_without_a_key_the_same_rows_in_another_order_are_known_as_such() -> None:
    good = pa.table({"x": [1, 2, None, 2], "y": [float("nan"), 1.0, 2.0, 3.0]})
    assert kinds(compare_tables("scores", good, good.take([3, 0, 2, 1]), UNKEYED)) == ["order"]


def test_without_a_key_and_with_other_counts_rows_are_a_multiset() -> None:
    good = pa.table({"x": [1, 1, 1, 2], "y": ["a", "a", "a", "b"]})
    bad = pa.table({"x": [3, 1], "y": ["c", "a"]})
    found = only(compare_tables("scores", good, bad, UNKEYED))
    assert (found.kind, found.numbers["removed"], found.numbers["added"]) == ("rows", 3, 1)
    assert "x=1, y=a; x=1, y=a; x=2, y=b" in found.sentence


def test_tables_without_rows() -> None:
    empty, full = pa.table({"id": pa.array([], pa.int64()), "x": pa.nulls(0)}), pa.table({"id": [1], "x": ["a"]})
    for spec in (KEYED, UNKEYED):
        assert compare_tables("scores", empty, empty, spec) is None
        assert kinds(compare_tables("scores", empty, full, spec)) == ["rows"]
        assert kinds(compare_tables("scores", full, empty, spec)) == ["rows"]


def test_a_shifted_distribution_is_a_finding_of_its_own() -> None:
    good, bad = [i / 1000 for i in range(1000)], [i / 1000 + 0.3 for i in range(1000)]
    difference = column(good, bad)
    assert kinds(difference) == ["cells", "distribution"]
    assert difference is not None
    assert difference.children[1].numbers["ks"] == pytest.approx(0.301)


def test_changed_cells_that_keep_the_distribution_say_nothing_of_it() -> None:
    good = [i / 1000 for i in range(1000)]
    assert kinds(column(good, good[::-1])) == ["cells"]


def test_hostile_names_and_values_reach_no_terminal() -> None:
    name = "x\x1b[31m\n\u202e"
    good, bad = (
        pa.table({"id": ["a\n\x07"], name: ["1\r"]}),
        pa.table({"id": ["a\n\x07"], name: ["\x1b]0;own\x07" * 50]}),
    )
    difference = compare_tables("sco\nres", good, bad, KEYED)
    assert difference is not None
    assert all(line.isprintable() for line in difference.lines())
    assert max(map(len, difference.lines())) < 400


def test_the_tree_is_a_json_document() -> None:
    difference = column([1.0, float("inf"), None, 4.0], pa.array([float("nan"), 2.0, 3.0, None]))
    assert difference is not None
    json.dumps(difference.as_json(), allow_nan=False)


TWICE = pa.table({"id": ["a", "b", "b", "c"], "x": [1, 2, 3, 4]})


def duplicates(bad: pa.Table, how: str) -> Difference | None:
    spec = OutputSpec.model_validate({"path": "x", "key": ("id",), "on_duplicates": how})
    return compare_tables("scores", TWICE, bad, spec)


def test_repeated_keys_may_be_numbered_and_matched_in_order() -> None:
    assert duplicates(TWICE, "number") is None
    found = only(duplicates(TWICE.set_column(1, "x", pa.array([1, 2, 9, 4])), "number"))
    assert "id=b, occurrence=2 (3 -> 9)" in found.sentence
    fewer = only(duplicates(TWICE.slice(0, 2).append_column("y", pa.array([1, 1])).drop_columns(["y"]), "number"))
    assert fewer.sentence == "2 rows removed (id=b, occurrence=2; id=c, occurrence=1): 4 -> 2 rows"


def test_repeated_keys_may_be_left_out_and_are_told() -> None:
    found = duplicates(TWICE.set_column(1, "x", pa.array([1, 7, 8, 5])), "skip")
    assert kinds(found) == ["order", "cells"]
    assert found is not None
    assert found.children[0].sentence == "left out: 2 and 2 rows of 1 key there more than once"
    assert found.children[1].numbers["changed"] == 1
    assert kinds(duplicates(TWICE.slice(0, 2), "skip")) == ["rows", "rows"]


def test_without_repeated_keys_nothing_changes() -> None:
    table = pa.table({"id": [1, 2], "x": [1, 2]})
    for how in ("number", "skip"):
        spec = OutputSpec.model_validate({"path": "x", "key": ("id",), "on_duplicates": how})
        assert compare_tables("scores", table, table, spec) is None


def test_two_thousand_columns() -> None:
    names = [f"c{i}" for i in range(2000)]
    good = pa.table({"id": [1, 2], **{name: [1.0, 2.0] for name in names}})
    bad = good.set_column(1000, names[999], pa.array([1.0, 5.0]))
    assert only(compare_tables("scores", good, bad, KEYED)).name == "c999"
