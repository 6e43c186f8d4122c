"""Distribution shift: what moves, what is chance."""

from __future__ import annotations

import random
from typing import Any, Literal

import pyarrow as pa
import pytest
from pydantic import ValidationError

from replay.compare import counted
from replay.compare.distribution import can_shift, psi, shift
from replay.compare.tables import compare_tables
from replay.compare.values import Pair
from replay.record import OutputSpec


def array(values: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def normal(count: int, mean: float, seed: int) -> pa.ChunkedArray:
    random_ = random.Random(seed)
    return array([random_.gauss(mean, 1) for _ in range(count)])


def slow_ks(good: list[float], bad: list[float]) -> float:
    def at(values: list[float], x: float) -> float:
        return sum(v <= x for v in values) / len(values)

    return max(abs(at(good, x) - at(bad, x)) for x in good + bad)


def test_psi_of_two_histograms() -> None:
    # 0.1 ln(0.6/0.5) of the first bin, and 0.1 ln(0.5/0.4) of the second
    value, bins = psi([50, 50], [60, 40])
    assert value == pytest.approx(0.1 * 0.1823216 + 0.1 * 0.2231436, abs=1e-6)
    assert bins == 2


def test_an_empty_bin_counts_half_an_observation_and_two_empty_ones_nothing() -> None:
    assert psi([10, 0, 0], [5, 5, 0]) == psi([10, 0], [5, 5])
    assert psi([10, 0], [5, 5])[0] > 0


@pytest.mark.parametrize("seed", range(20))
def test_ks_is_exact_with_ties(seed: int) -> None:
    random_ = random.Random(seed)
    good = [float(random_.randint(0, 9)) for _ in range(random_.randint(1, 40))]
    bad = [float(random_.randint(2, 12)) for _ in range(random_.randint(1, 40))]
    assert shift(array(good), array(bad)).ks == pytest.approx(slow_ks(good, bad))


def test_the_same_distribution_is_kept_at_every_sample_size() -> None:
    for count in (20, 100, 1000, 20_000):
        for seed in range(10):
            found = shift(normal(count, 0, seed), normal(count, 0, seed + 100))
            assert not found.shifted, (count, seed, found.sentence)


def test_small_samples_are_corrected() -> None:
    found = shift(normal(50, 0, 1), normal(50, 0, 2))
    assert found.psi > 0.1  # a threshold of 0.1 alone would cry wolf
    assert found.expected == pytest.approx(9 * (1 / 50 + 1 / 50))
    assert not found.shifted


def test_a_moved_mean_is_a_shift() -> None:
    found = shift(normal(5000, 0, 1), normal(3000, 0.5, 2))
    assert found.shifted
    assert found.ks == pytest.approx(0.197, abs=0.03)  # 2 * Phi(0.25) - 1
    assert found.sentence.startswith("distribution shifted: PSI 0.")


def test_a_constant_that_became_another_is_a_shift_either_way() -> None:
    for moved in (-1.0, 1.0):
        found = shift(array([0.0] * 500), array([moved] * 500))
        assert (found.shifted, found.ks) == (True, 1.0)


def test_an_atom_that_moved_within_its_decile_is_a_shift() -> None:
    tail = [float(i) for i in range(1, 401)]
    assert shift(array([0.0] * 600 + tail), array([-0.1] * 600 + tail)).shifted


def test_new_nulls_are_a_shift_of_numbers_and_of_text() -> None:
    numbers = [float(i) for i in range(1000)]
    assert shift(array(numbers), array([*numbers[:700], *[None] * 300])).shifted
    assert shift(array(["a", "b"] * 500), array([*["a", "b"] * 350, *[None] * 300])).shifted


def test_a_new_category_is_a_shift() -> None:
    found = shift(array(["a", "b"] * 500), array(["a", "b", "new"] * 300))
    assert (found.shifted, found.ks) == (True, None)


def test_identifiers_have_no_distribution_to_shift() -> None:
    assert not shift(array([f"C{i}" for i in range(1000)]), array([f"D{i}" for i in range(1000)])).shifted


def test_columns_of_other_types_are_compared_all_the_same() -> None:
    assert not shift(array(list(range(100))), array([float(i) for i in range(100)])).shifted
    assert shift(array([True, False] * 100), array([False] * 200)).shifted
    assert not shift(pa.chunked_array([pa.nulls(10)]), pa.chunked_array([pa.nulls(20)])).shifted


def test_nothing_is_said_where_a_side_has_no_rows() -> None:
    found = shift(array([1.0]), pa.chunked_array([], pa.float64()))
    assert (found.shifted, found.ks) == (False, None)
    assert "no rows" in found.sentence


def slow_wasserstein(good: list[float], bad: list[float]) -> float:
    """The mean distance of the values in order, each side repeated to a common length."""
    left, right = sorted(good * len(bad)), sorted(bad * len(good))
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)


@pytest.mark.parametrize("seed", range(20))
def test_wasserstein_is_the_mean_way_of_the_values(seed: int) -> None:
    random_ = random.Random(seed)
    good = [random_.randint(0, 9) / 2 for _ in range(random_.randint(1, 12))]
    bad = [random_.gauss(3, 2) for _ in range(random_.randint(1, 12))]
    assert shift(array(good), array(bad)).wasserstein == pytest.approx(slow_wasserstein(good, bad))


def test_instants_move_by_seconds() -> None:
    good, bad = (pa.chunked_array([pa.array([day], pa.date32())]) for day in (1, 3))
    assert shift(good, bad).wasserstein == 2 * 86400.0


def test_jensen_shannon_goes_from_equal_to_nothing_in_common() -> None:
    assert shift(array(["a", "b", None]), array([None, "b", "a"])).js == pytest.approx(0.0)
    assert shift(array(["a"] * 10), array(["b"] * 5)).js == pytest.approx(1.0)
    # half of the mass moved from one category to a new one: 1 - H((3/4, 1/4)) + H(1/2, 1/2) / 2, in bits
    assert shift(array(["a", "a"]), array(["a", "b"])).js == pytest.approx(0.3112781)


def test_a_million_rows_make_every_p_small_and_no_shift_of_it() -> None:
    good = pa.chunked_array([pa.array(range(1_000_000), pa.float64())])
    bad = pa.chunked_array([pa.array(range(4000, 1_004_000), pa.float64())])
    found = shift(good, bad)
    assert found.p is not None
    assert found.p < 1e-6
    assert not found.shifted


def test_p_is_that_of_the_limit() -> None:
    found = shift(array([float(i) for i in range(100)]), array([float(i + 10) for i in range(100)]))
    assert (found.ks, found.p) == (pytest.approx(0.1), pytest.approx(0.68, abs=0.02))


def test_infinities_take_no_part_in_the_way() -> None:
    assert shift(array([0.0, float("inf")]), array([1.0, float("inf")])).wasserstein == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(20))
def test_no_column_shifts_that_cannot(seed: int) -> None:
    random_ = random.Random(seed)
    rows = random_.randint(200, 5000)
    good = [random_.choice("abcdefgh") for _ in range(rows)]
    moved = random_.randint(0, rows // 20)
    bad = [f"new{random_.randint(0, 3)}" if row < moved else value for row, value in enumerate(good)]
    assert can_shift(moved, rows, rows) or not shift(array(good), array(bad)).shifted


@pytest.mark.parametrize("kind", ["number", "other"])
def test_the_database_counts_as_memory_does(kind: Literal["number", "other"]) -> None:
    random_ = random.Random(1)
    choices: list[Any] = [None, float("nan"), 0.0, -1.5, float("inf"), float("-inf"), *range(9)]
    sides = [array([random_.choice(choices) for _ in range(n)]).cast("float64") for n in (500, 300)]
    if kind == "other":
        sides = [side.cast(pa.large_string()) for side in sides]
    tables = [count(Pair(sides[0], sides[1], kind)) for count in (counted._by_database, counted._in_memory)]
    rows = [list(zip(*(column.to_pylist() for column in table.columns), strict=True)) for table in tables]
    if kind == "number":  # in order; null and NaN, which have no place in it, are left out later
        rows = [[row for row in side if row[0] is not None and row[0] == row[0]] for side in rows]
        assert rows[0] == rows[1]
    assert sorted(map(repr, rows[0])) == sorted(map(repr, rows[1]))


def test_the_psi_that_is_a_shift_can_be_declared() -> None:
    tables = [pa.table({"id": range(4000), "x": normal(4000, mean, seed)}) for mean, seed in ((0, 1), (0.5, 2))]
    for least, told in ((None, True), ("0.05", True), ("0.6", False)):
        found = compare_tables("scores", *tables, OutputSpec(path="x", key=("id",), psi=least))
        assert found is not None
        assert any(child.kind == "distribution" for child in found.children) == told


@pytest.mark.parametrize("wrong", ["", "much", "-1", "nan", "1e999999x"])
def test_a_psi_that_is_no_number_is_no_declaration(wrong: str) -> None:
    with pytest.raises(ValidationError):
        OutputSpec(path="x", psi=wrong)
