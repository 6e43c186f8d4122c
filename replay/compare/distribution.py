"""Whether the distribution of a column shifted: PSI, Kolmogorov-Smirnov, Wasserstein, Jensen-Shannon. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.counted import Counted, counted
from replay.compare.text import figure
from replay.compare.values import Pair, as_float, as_text, unify
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

SHIFTED = 0.1
"""PSI from which a shift is worth a look (Siddiqi, Credit Risk Scorecards, 2006: below 0.1 no significant change)."""

RARE = 3.719
"""Standard deviations that a normal variable exceeds once in ten thousand."""

AT_ONCE = 2
"""Columns looked at side by side. Counting is on all cores already; the second column fills its pauses. More of them
take longer, because each holds some 100 MB for a million rows."""

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


def shifted_from(spec: OutputSpec) -> float:
    """Return the PSI from which a column of this output counts as shifted."""
    return SHIFTED if spec.psi is None else float(spec.psi)


def shift(good: pa.ChunkedArray, bad: pa.ChunkedArray, least: float = SHIFTED) -> Shift:
    """Return how the distribution of `bad` moved from that of `good`; the lengths may differ, nulls are a bin.

    Numbers and instants: deciles of `good`. Everything else: its most frequent categories. Where either
    side has no rows nothing can be said, and `shifted` is False. `least` is the PSI above chance that is a shift.
    """
    if not len(good) or not len(bad):
        return Shift(0.0, None, 0.0, least, False, "no rows on one side: no distribution to compare")
    pair = _comparable(good, bad)
    ks = p = moved = js = None
    found = counted(pair)
    if pair.kind == "other":
        before, after = _categories(found)
        js = jensen_shannon(found)
    else:
        before, after = _deciles(found)
        if all(found.sizes):
            ks, p, moved = found.ks, found.p, found.wasserstein * pair.tick
    value, bins = psi(before, after)
    chance = 1 / len(good) + 1 / len(bad)
    expected = (bins - 1) * chance
    threshold = max(expected + least, _chi_square(bins - 1) * chance)
    shifted = value >= threshold
    named = (("KS", ks), ("Wasserstein", moved), ("Jensen-Shannon", js))
    also = "".join(f", {name} {figure(number)}" for name, number in named if number is not None)
    verdict = "distribution shifted" if shifted else "distribution kept"
    sentence = f"{verdict}: PSI {figure(value)} (by chance {figure(expected)}, a shift from {figure(threshold)}){also}"
    return Shift(value, ks, expected, threshold, shifted, sentence, p, moved, js)


def can_shift(moved: int, n: int, m: int, least: float = SHIFTED) -> bool:
    """Return whether a column of n and then m values, `moved` of them changed, removed or added, can be `shifted`.

    Each of these moves at most one observation out of a bin and one into another, so the shares p and q of all
    bins part by at most 2 moved / min(n, m) in sum, and |ln(q / p)| is at most ln(2 max(n, m)), half an observation
    being the least a bin holds. A PSI below their product cannot reach the threshold.
    """
    if not n or not m:
        return False
    return 2 * moved / min(n, m) * math.log(2 * max(n, m)) >= least


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


def jensen_shannon(found: Counted) -> float:
    """Return the Jensen-Shannon divergence of all categories (null is one), in bits: 0 for equal shares, at most 1.

    The mean of the Kullback-Leibler divergences of both sides from their midpoint (Lin 1991).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shares = []
    for side, missing in zip((found.good, found.bad), found.missing, strict=True):
        counts = pa.concat_arrays([side, pa.array([missing], pa.int64())])
        shares.append(pc.divide(counts.cast("float64"), float(pc.sum(counts).as_py())))
    middle = pc.add(*shares)
    total = 0.0
    for share in shares:
        held = pc.greater(share, 0.0)
        part = share.filter(held)
        ratio = pc.divide(pc.multiply(part, 2.0), middle.filter(held))
        total += pc.sum(pc.multiply(part, pc.log2(ratio))).as_py()
    return min(1.0, max(0.0, round(total / 2, 12)))  # the order of summing is by chance


def table_shifts(good: pa.Table, bad: pa.Table, names: Sequence[str], least: float = SHIFTED) -> Mapping[str, Shift]:
    """Return the shift of the columns `names`, which both tables have."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(zip(names, threads.map(lambda name: shift(good[name], bad[name], least), names), strict=True))


def _chi_square(freedom: int) -> float:
    """Return what a chi-square exceeds once in ten thousand (Wilson and Hilferty 1931; RARE in a normal)."""
    if freedom < 1:
        return 0.0
    spread = 2 / (9 * freedom)
    return freedom * float((1 - spread + RARE * math.sqrt(spread)) ** 3)


def _comparable(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Pair:
    """Return two columns of unlike lengths in one type: numbers as float64 without -0.0, the rest as text or truth."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pair = unify(good, bad)
    if pa.types.is_boolean(pair.good.type):
        return pair
    if pair.kind == "other":
        return Pair(as_text(pair.good), as_text(pair.bad), pair.kind)
    return Pair(pc.add(as_float(pair.good), 0.0), pc.add(as_float(pair.bad), 0.0), pair.kind, pair.tick)


def _deciles(found: Counted) -> tuple[list[int], list[int]]:
    """Return both histograms over the deciles of the good side; a value that fills a decile is a bin of its own."""
    edges = found.tenths()
    cuts = [(edge, strict) for edge in sorted(set(edges)) for strict in _cuts(edges.count(edge))]
    below = [(0, 0), *(found.under(edge, strict=strict) for edge, strict in cuts), found.sizes]
    bins = [(high[0] - low[0], high[1] - low[1]) for low, high in itertools.pairwise(below)]
    before, after = zip(*bins, found.missing, strict=True)
    return list(before), list(after)


def _cuts(times: int) -> tuple[bool, ...]:
    return (True, False) if times > 1 else (False,)


def _categories(found: Counted) -> tuple[list[int], list[int]]:
    """Return both histograms over the good side's most frequent categories, the others, and null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.table({"value": found.values, "good": found.good, "bad": found.bad}).filter(pc.greater(found.good, 0))
    order = pc.select_k_unstable(table, CATEGORIES, [("good", "descending"), ("value", "ascending")])
    top = table.take(order)
    sides = []
    for name, side, missing in zip(("good", "bad"), (found.good, found.bad), found.missing, strict=True):
        named = top[name].to_pylist()
        sides.append([*named, (pc.sum(side).as_py() or 0) - sum(named), missing])
    return sides[0], sides[1]
