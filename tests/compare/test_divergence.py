"""How far an output moved, as one number."""

from __future__ import annotations

import pyarrow as pa
import pytest

from replay.compare.divergence import bytes_divergence, divergence, document_divergence, scales
from replay.record import Allowed, OutputSpec

KEYED = OutputSpec(path="x", key=("id",))
UNKEYED = OutputSpec(path="x")


def test_equal_tables_are_at_zero_in_any_order() -> None:
    table = pa.table({"id": [1, 2, 3], "x": [1.0, None, float("nan")], "t": ["a", None, "c"]})
    for spec in (KEYED, UNKEYED):
        assert divergence(table, table.take([2, 0, 1]), spec) == 0.0


def test_a_number_counts_in_standard_deviations_and_at_most_one() -> None:
    good = pa.table({"id": [1, 2], "x": [0.0, 2.0]})  # standard deviation 1
    assert divergence(good, pa.table({"id": [1, 2], "x": [0.5, 2.0]}), KEYED) == pytest.approx(0.25)
    assert divergence(good, pa.table({"id": [1, 2], "x": [1e9, 2.0]}), KEYED) == pytest.approx(0.5)
    assert divergence(good, pa.table({"id": [1, 2], "x": [0.5, 2.0]}), KEYED, {"x": 2.0}) == pytest.approx(0.125)


def test_everything_else_counts_zero_or_one() -> None:
    good = pa.table({"id": [1, 2, 3, 4], "x": ["a", "b", None, "d"]})
    other = pa.table({"id": [1, 2, 3, 4], "x": ["a", "B", "c", None]})
    assert divergence(good, other, KEYED) == 0.75


def test_nan_and_null_against_a_number_count_one() -> None:
    good = pa.table({"id": [1, 2], "x": [1.0, 2.0]})
    assert divergence(good, pa.table({"id": [1, 2], "x": pa.array([None, float("nan")])}), KEYED) == 1.0


def test_rows_and_columns_on_one_side_only_count_in_every_cell() -> None:
    good = pa.table({"id": [1, 2], "x": [1, 2], "y": [1, 2]})
    assert divergence(good, pa.table({"id": [1, 3], "x": [1, 2], "y": [1, 2]}), KEYED) == pytest.approx(2 / 3)
    assert divergence(good, good.select(["id", "x"]), KEYED) == 0.5
    assert divergence(good, good.slice(0, 0), KEYED) == 1.0


def test_without_a_key_rows_without_an_equal_count() -> None:
    good = pa.table({"x": [1, 2, 3]})
    assert divergence(good, pa.table({"x": [3, 1, 2, 4]}), UNKEYED) == pytest.approx(1 / 4)


def test_a_constant_column_has_the_scale_one() -> None:
    assert scales(pa.table({"x": [5.0, 5.0], "t": ["a", "b"]})) == {"x": 1.0}


def test_tables_without_rows() -> None:
    empty = pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.int64())})
    assert divergence(empty, empty, KEYED) == 0.0
    assert divergence(empty, empty.select(["id"]), KEYED) == 1.0


def test_a_part_of_the_changes_has_a_part_of_the_divergence() -> None:
    good = pa.table({"id": range(100), "x": [float(i) for i in range(100)], "y": [float(i) for i in range(100)]})
    one = good.set_column(1, "x", pa.array([i + 3.0 for i in range(100)]))
    both = one.set_column(2, "y", pa.array([i + 1.0 for i in range(100)]))
    assert divergence(good, one, KEYED) / divergence(good, both, KEYED) == pytest.approx(0.75)


def test_documents_count_by_leaf() -> None:
    good = {"a": 1, "b": {"c": 2, "d": [3, 4]}}
    assert document_divergence(good, good) == 0.0
    assert document_divergence(good, {"a": 1, "b": {"c": 2, "d": [3, 5]}}) == 0.25
    assert document_divergence(good, {"a": 1}) == 0.75
    assert document_divergence(good, None) == 1.0


def test_opaque_bytes_are_equal_or_not() -> None:
    assert (bytes_divergence(b"a", b"a"), bytes_divergence(b"a", b"b")) == (0.0, 1.0)


def test_what_a_tolerance_forgives_is_no_divergence_of_a_document() -> None:
    spec = OutputSpec(path="out/metrics.json", places={"run.seconds": Allowed(atol="1")})
    good = {"auc": 0.75, "run": {"seconds": 3.1}}

    assert document_divergence(good, {"auc": 0.5, "run": {"seconds": 3.6}}, spec) == 0.5
    assert document_divergence(good, {"auc": 0.75, "run": {"seconds": 9.6}}, spec) == 0.5
