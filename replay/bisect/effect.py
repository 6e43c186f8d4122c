"""What today's data does under good execution, and how far each layer moves the outputs."""

from __future__ import annotations

from replay.bisect.verdict import DataEffect
from replay.errors import CompareError
from replay.movement import divergence_of, emptied, key_overlap, shift_of
from replay.outputs import Noise, compare_outputs
from replay.record import RunRecord
from replay.store.base import Store

SAME_ROWS = 0.5
"""From this share of common keys on, two runs speak of the same customers and are compared row by row."""

MATERIAL = 0.05
"""Mean movement of the outputs (in standard deviations, or share of cells) from which data is a cause of its own."""


def data_effect(good: RunRecord, today: RunRecord, store: Store, noise: Noise | None = None) -> DataEffect:
    """Compare good execution over the good data with good execution over today's.

    Row by row where both hold the same rows; by distribution where today's rows are new, because then
    every row differs and none of that is drift. Of an output without rows neither tells anything: its job is broken.
    """
    if gone := emptied(good.outputs, today.outputs, store):
        return DataEffect(True, True, f"no row is left in {', '.join(gone[:3])}", broke=True)
    overlap = key_overlap(good.outputs, today.outputs, store)
    found = shift_of(good.outputs, today.outputs, store)
    shifts = {name: shift for name, shift in found.items() if shift.shifted}
    moved = "; ".join(f"distribution of {name} shifted, PSI {shifts[name].psi:.2f}" for name in list(shifts)[:3])
    if overlap is not None and overlap < SAME_ROWS:
        said = moved or "no output's distribution moved"
        return DataEffect(bool(shifts), bool(shifts), f"{1 - overlap:.0%} of the rows are new; {said}")
    difference = compare_outputs(good.outputs, today.outputs, store, noise, common_rows=overlap is not None)
    matters = difference is not None and difference.matters
    if not matters:
        return DataEffect(bool(shifts), bool(shifts), moved or "the outputs of the rows that both have are equal")
    distance = divergence_of(good.outputs, today.outputs, store)
    said = difference.headline if difference else ""
    return DataEffect(True, bool(shifts) or distance >= MATERIAL, moved or said)


def distance(one: RunRecord, other: RunRecord, store: Store) -> float:
    """Return how far apart two runs' outputs are: 0 equal, 1 as far as it goes.

    Row by row on the same rows, else by the largest distance of distributions (Kolmogorov-Smirnov). Outputs
    that cannot be compared any more are as far apart as it goes.
    """
    try:
        overlap = key_overlap(one.outputs, other.outputs, store)
        if overlap is None or overlap >= SAME_ROWS:
            return divergence_of(one.outputs, other.outputs, store)
        shifts = shift_of(one.outputs, other.outputs, store).values()
    except CompareError:
        return 1.0
    return max((shift.ks if shift.ks is not None else min(1.0, shift.psi) for shift in shifts), default=0.0)
