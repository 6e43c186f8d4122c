"""Whether the distribution of a column shifted: PSI, Kolmogorov-Smirnov, Wasserstein, Jensen-Shannon. Pure."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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

    `psi` in nats (0 for none); `expected` is what PSI shows by chance alone. Of numbers and instants: `ks` is the
    largest distance between the two cumulative distributions (0 to 1), `p` the chance of one as large under no
    change, `wasserstein` how far the values moved on average, in their own unit (seconds for instants). Of
    everything else: `js`, the Jensen-Shannon divergence in bits (0 to 1). None where it does not apply. `shifted`
    needs `psi >= threshold`: it goes by the size of the effect, because a million rows make any p small.
    """

    psi: float
    ks: float | None
    expected: float
    threshold: float
    shifted: bool
    sentence: str
    p: float | None = None
    wasserstein: float | None = None
    js: float | None = None

    @property
    def numbers(self) -> dict[str, float | None]:
        """The figures, for a report."""
        names = ("psi", "ks", "p", "wasserstein", "js", "expected", "threshold")
        return {name: getattr(self, name) for name in names}


def shift(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Shift:
    """Return how the distribution of `bad` moved from that of `good`; the lengths may differ, nulls are a bin.

    Numbers and instants: deciles of `good`. Everything else: its most frequent categories. Where either
    side has no rows nothing can be said, and `shifted` is False.
    """
    if not len(good) or not len(bad):
        return Shift(0.0, None, 0.0, SHIFTED, False, "no rows on one side: no distribution to compare")
    pair = _comparable(good, bad)
    ks = p = moved = js = None
    if pair.kind == "other":
        before, after = _categories(pair)
        js = jensen_shannon(pair.good, pair.bad)
    else:
        walk = walk_of(pair.good, pair.bad)
        before, after = _deciles(pair, walk)
        if walk is not None:
            ks, p, moved = walk.ks, walk.p, walk.wasserstein * pair.tick
    value, bins = psi(before, after)
    chance = 1 / len(good) + 1 / len(bad)
    expected = (bins - 1) * chance
    threshold = max(expected + SHIFTED, _chi_square(bins - 1) * chance)
    shifted = value >= threshold
    named = (("KS", ks), ("Wasserstein", moved), ("Jensen-Shannon", js))
    also = "".join(f", {name} {figure(number)}" for name, number in named if number is not None)
    verdict = "distribution shifted" if shifted else "distribution kept"
    sentence = f"{verdict}: PSI {figure(value)} (by chance {figure(expected)}, a shift from {figure(threshold)}){also}"
    return Shift(value, ks, expected, threshold, shifted, sentence, p, moved, js)


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


@dataclass(frozen=True)
class Walk:
    """All present values of both sides in order, and what one walk along them tells. `n` and `m` are their numbers.

    `good` and `bad` are the sides' values in order; `apart` is n * m * |F_good - F_bad| after each of all the
    `ordered` values, in whole numbers and so exact, ties included (Hodges 1958).
    """

    n: int
    m: int
    good: pa.Array
    bad: pa.Array
    ordered: pa.Array
    apart: pa.Array

    @property
    def ks(self) -> float:
        """The two-sample Kolmogorov-Smirnov statistic, sup |F_good - F_bad|."""
        import pyarrow as pa
        import pyarrow.compute as pc

        last_of_tie = pa.concat_arrays([pc.not_equal(self.ordered[1:], self.ordered[:-1]), pa.array([True])])
        highest = pc.max(self.apart.filter(last_of_tie)).as_py()
        return float(highest / (self.n * self.m))

    @property
    def p(self) -> float:
        """How likely a KS as large is under no change: Kolmogorov's limit with Stephens' correction (1970)."""
        root = math.sqrt(self.n * self.m / (self.n + self.m))
        reach = (root + 0.12 + 0.11 / root) * self.ks
        if reach < 0.2:
            return 1.0
        terms = ((1.0 if k % 2 else -1.0) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
        return min(1.0, max(0.0, 2 * sum(terms)))

    @property
    def wasserstein(self) -> float:
        """The Wasserstein distance of order 1, the integral of |F_good - F_bad|; infinities take no part."""
        import pyarrow.compute as pc

        steps = pc.subtract(self.ordered[1:], self.ordered[:-1])
        area = pc.multiply(steps, self.apart[:-1].cast("float64"))
        finite = area.filter(pc.is_finite(area))
        return float(pc.sum(finite).as_py() or 0.0) / (self.n * self.m)


def walk_of(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Walk | None:
    """Sort two number columns together; nulls and NaN take no part. None where they leave a side empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sides = [pa.concat_arrays([*_present(side).chunks, pa.array([], pa.float64())]) for side in (good, bad)]
    n, m = len(sides[0]), len(sides[1])
    if not n or not m:
        return None
    both = pa.concat_arrays(sides)
    order = pc.array_sort_indices(both)
    ordered = both.take(order)
    first = pc.less(order, n)
    steps = pc.if_else(first, pa.scalar(m, pa.int64()), pa.scalar(-n, pa.int64()))
    parts = (ordered.filter(first), ordered.filter(pc.invert(first)))
    return Walk(n, m, *parts, ordered, pc.abs(pc.cumulative_sum(steps)))


def ks_statistic(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> float | None:
    """Return the two-sample Kolmogorov-Smirnov statistic of two number columns; None where a side has none."""
    walk = walk_of(good, bad)
    return None if walk is None else walk.ks


def jensen_shannon(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> float:
    """Return the Jensen-Shannon divergence of all categories (null is one), in bits: 0 for equal shares, at most 1.

    The mean of the Kullback-Leibler divergences of both sides from their midpoint (Lin 1991).
    """
    sides = []
    for column in (good, bad):
        counted = column.value_counts()
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        sides.append({value: times / len(column) for value, times in pairs})
    both = [(sides[0].get(value, 0.0), sides[1].get(value, 0.0)) for value in {**sides[0], **sides[1]}]
    terms = (share * math.log2(2 * share / (p + q)) for p, q in both for share in (p, q) if share)
    return min(1.0, max(0.0, math.fsum(terms) / 2))


def table_shifts(good: pa.Table, bad: pa.Table, names: Sequence[str]) -> Mapping[str, Shift]:
    """Return the shift of the columns `names`, which both tables have."""
    with ThreadPoolExecutor() as threads:  # sorting lets other threads run
        return dict(zip(names, threads.map(lambda name: shift(good[name], bad[name]), names), strict=True))


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
    return Pair(convert(pair.good), convert(pair.bad), pair.kind, pair.tick)


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return column.filter(pc.and_not(pc.is_valid(column), pc.fill_null(pc.is_nan(column), True)))


def _deciles(pair: Pair, walk: Walk | None) -> tuple[list[int], list[int]]:
    """Return both histograms over the deciles of the good side; a value that fills a decile is a bin of its own."""
    good, bad = (walk.good, walk.bad) if walk is not None else (_ordered(pair.good), _ordered(pair.bad))
    edges = _tenths(good)
    cuts = [(edge, strict) for edge in sorted(set(edges)) for strict in _cuts(edges.count(edge))]
    sides = []
    for ordered, column in ((good, pair.good), (bad, pair.bad)):
        below = [
            (bisect_left if strict else bisect_right)(ordered, edge, key=lambda value: value.as_py())
            for edge, strict in cuts
        ]
        bounds = [0, *below, len(ordered)]
        counts = [high - low for low, high in itertools.pairwise(bounds)]
        sides.append([*counts, len(column) - len(ordered)])
    return sides[0], sides[1]


def _ordered(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    present = pa.concat_arrays([*_present(column).chunks, pa.array([], pa.float64())])
    return present.take(pc.array_sort_indices(present))


def _tenths(ordered: pa.Array) -> list[float]:
    """Return the deciles of values in order, linear between two neighbours; none of none."""
    if not len(ordered):
        return []
    found = []
    for tenth in range(1, 10):
        place, rest = divmod(tenth * (len(ordered) - 1), 10)
        low, high = (ordered[min(place + step, len(ordered) - 1)].as_py() for step in (0, 1))
        found.append(low if not rest or low == high else low + (high - low) * rest / 10)
    return [edge for edge in found if not math.isnan(edge)]


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
