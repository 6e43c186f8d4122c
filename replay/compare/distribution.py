"""Whether the distribution of a column shifted: PSI and the Kolmogorov-Smirnov statistic. Pure, on pyarrow arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.text import figure
from replay.compare.values import Pair, as_float, as_text, unify

if TYPE_CHECKING:
    import pyarrow as pa

SHIFTED = 0.1
"""PSI from which a shift is worth a look (Siddiqi, Credit Risk Scorecards, 2006: below 0.1 no significant change)."""

RARE = 3.719
"""Standard deviations that a normal variable exceeds once in ten thousand."""

CATEGORIES = 20
"""The most frequent categories of the baseline that get a bin of their own; the rest share one."""


@dataclass(frozen=True)
class Shift:
    """How far a column's distribution moved.

    `psi` in nats (0 for none); `expected` is what PSI shows by chance alone; `ks` the largest distance
    between the two cumulative distributions (0 to 1), None for anything but numbers. `shifted` needs
    `psi >= threshold`.
    """

    psi: float
    ks: float | None
    expected: float
    threshold: float
    shifted: bool
    sentence: str

    @property
    def numbers(self) -> dict[str, float | None]:
        """The figures, for a report."""
        return {"psi": self.psi, "ks": self.ks, "expected": self.expected, "threshold": self.threshold}


def shift(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Shift:
    """Return how the distribution of `bad` moved from that of `good`; the lengths may differ, nulls are a bin.

    Numbers and instants: deciles of `good`. Everything else: its most frequent categories. Where either
    side has no rows nothing can be said, and `shifted` is False.
    """
    if not len(good) or not len(bad):
        return Shift(0.0, None, 0.0, SHIFTED, False, "no rows on one side: no distribution to compare")
    pair = _comparable(good, bad)
    if pair.kind == "other":
        before, after = _categories(pair)
        ks = None
    else:
        before, after = _deciles(pair)
        ks = ks_statistic(pair.good, pair.bad)
    value, bins = psi(before, after)
    chance = 1 / len(good) + 1 / len(bad)
    expected = (bins - 1) * chance
    threshold = max(expected + SHIFTED, _chi_square(bins - 1) * chance)
    shifted = value >= threshold
    also = "" if ks is None else f", KS {figure(ks)}"
    verdict = "distribution shifted" if shifted else "distribution kept"
    sentence = f"{verdict}: PSI {figure(value)} (by chance {figure(expected)}, a shift from {figure(threshold)}){also}"
    return Shift(value, ks, expected, threshold, shifted, sentence)


def can_shift(moved: int, n: int, m: int) -> bool:
    """Return whether a column of n and then m values, `moved` of them changed, removed or added, can be `shifted`.

    Each of these moves at most one observation out of a bin and one into another, so the shares p and q of all
    bins part by at most 2 moved / min(n, m) in sum, and |ln(q / p)| is at most ln(2 max(n, m)), half an observation
    being the least a bin holds. A PSI below their product cannot reach the threshold.
    """
    if not n or not m:
        return False
    return 2 * moved / min(n, m) * math.log(2 * max(n, m)) >= SHIFTED


def psi(before: Sequence[int], after: Sequence[int]) -> tuple[float, int]:
    """Return the Population Stability Index of two histograms over the same bins, and the bins that count.

    PSI = sum((q - p) * ln(q / p)) with p, q the shares of a bin (Siddiqi 2006; the symmetrised
    Kullback-Leibler divergence, Jeffreys 1946). A bin that is empty on one side holds half an observation
    instead, so that the logarithm exists; one that is empty on both is left out.

    Small samples: under no change PSI is about (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom
    (Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University 2018), so its
    mean is (bins - 1)(1/n + 1/m). `shift` asks for 0.1 above that mean, and for more than chance gives once in
    ten thousand columns.
    """
    n, m = sum(before), sum(after)
    used = [(max(b, 0.5) / n, max(a, 0.5) / m) for b, a in zip(before, after, strict=True) if b or a]
    return sum((q - p) * math.log(q / p) for p, q in used), len(used)


def ks_statistic(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> float | None:
    """Return the two-sample Kolmogorov-Smirnov statistic, sup |F_good - F_bad|, of two number columns.

    Exact, ties included (Hodges 1958): a walk over all values in order, counted in whole numbers. Nulls and
    NaN take no part; None where they leave a side empty.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sides = [pa.concat_arrays([*_present(side).chunks, pa.array([], pa.float64())]) for side in (good, bad)]
    n, m = len(sides[0]), len(sides[1])
    if not n or not m:
        return None
    both = pa.concat_arrays(sides)
    order = pc.array_sort_indices(both)
    ordered = both.take(order)
    step = pc.if_else(pc.less(order, n), pa.scalar(m, pa.int64()), pa.scalar(-n, pa.int64()))
    walk = pc.cumulative_sum(step)
    last_of_tie = pa.concat_arrays([pc.not_equal(ordered[1:], ordered[:-1]), pa.array([True])])
    highest: int = pc.max(pc.abs(walk.filter(last_of_tie))).as_py()
    return highest / (n * m)


def table_shifts(good: pa.Table, bad: pa.Table, names: Sequence[str]) -> Mapping[str, Shift]:
    """Return the shift of the columns `names`, which both tables have."""
    return {name: shift(good[name], bad[name]) for name in names}


def _chi_square(freedom: int) -> float:
    """Return what a chi-square exceeds once in ten thousand (Wilson and Hilferty 1931; RARE in a normal)."""
    if freedom < 1:
        return 0.0
    spread = 2 / (9 * freedom)
    return freedom * float((1 - spread + RARE * math.sqrt(spread)) ** 3)


def _comparable(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Pair:
    """Return two columns of unlike lengths in one type: numbers as float64, the rest as text."""
    pair = unify(good, bad)
    convert = as_text if pair.kind == "other" else as_float
    return Pair(convert(pair.good), convert(pair.bad), pair.kind)


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return column.filter(pc.and_not(pc.is_valid(column), pc.fill_null(pc.is_nan(column), True)))


def _deciles(pair: Pair) -> tuple[list[int], list[int]]:
    """Return both histograms over the deciles of the good side; a value that fills a decile is a bin of its own."""
    import pyarrow.compute as pc

    good, bad = _present(pair.good), _present(pair.bad)
    edges = [e for e in pc.quantile(good, [i / 10 for i in range(1, 10)]).to_pylist() if e is not None]
    cuts = [(edge, strict) for edge in sorted(set(edges)) for strict in _cuts(edges.count(edge))]
    sides = []
    for present, column in ((good, pair.good), (bad, pair.bad)):
        below = [pc.sum((pc.less if strict else pc.less_equal)(present, edge)).as_py() or 0 for edge, strict in cuts]
        bounds = [0, *below, len(present)]
        counts = [high - low for low, high in itertools.pairwise(bounds)]
        sides.append([*counts, len(column) - len(present)])
    return sides[0], sides[1]


def _cuts(times: int) -> tuple[bool, ...]:
    return (True, False) if times > 1 else (False,)


def _categories(pair: Pair) -> tuple[list[int], list[int]]:
    """Return both histograms over the good side's most frequent categories, the others, and null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pair.good.drop_null().value_counts()
    categories = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    order = pc.select_k_unstable(categories, CATEGORIES, [("count", "descending"), ("value", "ascending")])
    top = categories["value"].take(order).combine_chunks()
    sides = []
    for column in (pair.good, pair.bad):
        places = pc.index_in(column.drop_null(), value_set=top)
        counts = {item["values"]: item["counts"] for item in places.value_counts().to_pylist()}
        named = [counts.get(place, 0) for place in range(len(top))]
        sides.append([*named, counts.get(None, 0), column.null_count])
    return sides[0], sides[1]
