"""What became of the values of a column, in a few words: from which mean to which, by what, and how far it shifted.

Pure rules on Arrow arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from replay.compare.distribution import Shift, shift
from replay.compare.text import figure
from replay.layers.cell_shares import NUMBER, Cells, void
from replay.layers.contract_changes import Partners, quoted
from replay.layers.sheet import Sheet
from replay.state import Change

if TYPE_CHECKING:
    import pyarrow as pa

ALL_BUT = 0.99
"""Share of the cells that must follow one rule (times 1.12, plus 30) for it to be named."""

ROUNDING = 0.005
"""How far a cell may be off a rule: half a unit of the second decimal, as amounts of money are rounded."""

NAMED = 3


def moved(cells: Cells, mask: pa.Array) -> tuple[str, str]:
    """Return what the cells under `mask` were and what they became, for people."""
    import pyarrow.compute as pc

    count, whole = pc.sum(mask).as_py(), len(mask) - mask.null_count
    many = f"all {whole:,} cells" if count == whole else f"{count:,} of {whole:,} cells"
    before, after = (numbers(side.filter(mask)) for side in (cells.good, cells.bad))
    if count == before.null_count or before.null_count + after.null_count:
        first = pc.index(mask, True).as_py()
        one, other = (_told(side[first].as_py()) for side in (cells.good, cells.bad))
        return one, f"{other} in row {first + 1}; {many}"
    mean, mean2 = pc.mean(before).as_py(), pc.mean(after).as_py()
    percent = f" ({(mean2 / mean - 1) * 100:+.3g} %)" if mean * mean2 > 0 else ""
    rule = _rule(before, after)
    told = f"mean {figure(mean2)}{percent}{rule}{psi(cells.good, cells.bad)}; {many}"
    return f"mean {figure(mean)}", told


def detailed(change: Change, part: str, cells: Cells, mask: pa.Array) -> Change:
    """Return the change of a column's `nulls` or `type` with what became of the cells under `mask`.

    Of nulls, the one value that stands in their place (`-1`); of cells of another type, how they are written now or,
    where these are other numbers, what they became.
    """
    import pyarrow.compute as pc

    if part == "nulls":
        pairs = ((cells.good, cells.bad), (cells.bad, cells.good))
        sides = [_instead(mine, pc.and_(mask, void(others))) for mine, others in pairs]
    else:
        sides = _renumbered(Cells(cells.good.filter(mask), cells.bad.filter(mask)))
    before, after = (f"{text}{more}" for text, more in zip((change.before, change.after), sides, strict=True))
    return change.model_copy(update={"before": before, "after": after})


def _instead(cells: pa.Array, mask: pa.Array) -> str:
    """Name the one value that half of these cells or more have where the other side has nothing, "" without one."""
    import pyarrow.compute as pc

    found = cells.filter(mask)
    (most,) = pc.mode(found.dictionary_encode().indices, 1).to_pylist() if len(found) > 1 else [None]
    if most is None or most["count"] * 2 < len(found):
        return ""
    value = found.dictionary_encode().dictionary[most["mode"]].as_py()
    return "" if value is None else f" ({quoted(str(value))} in {most['count']:,} of these cells)"


def _renumbered(cells: Cells) -> list[str]:
    """Say what numbers were and became; of the same numbers, and of anything else, how the first is written."""
    import pyarrow.compute as pc

    sides = [numbers(side) for side in (cells.good, cells.bad)]
    if any(side.null_count for side in sides) or sides[0].equals(sides[1]):
        examples = [side[0].as_py() for side in (cells.good, cells.bad)]
        blank = not any(str(example).strip() for example in examples if example is not None)
        alike = str(examples[0]) == str(examples[1])
        return ["", ""] if blank or alike else [f", as {_told(example)}" for example in examples]
    return [f", {text}" for text in moved(cells, pc.is_valid(sides[0]))]


def psi(good: pa.Array, bad: pa.Array) -> str:
    """Return how far the distribution of a column shifted, "" where it did not."""
    found = _shift(good, bad)
    return f", PSI {found.psi:.2f}" if found.shifted else ""


def shifts(sheets: tuple[Sheet, Sheet], pairs: Sequence[Partners]) -> str:
    """Name the columns of two tables of different rows whose distribution shifted most, "" where none did."""
    found = {pair.step: _shift(sheets[0].columns[pair.here], sheets[1].columns[pair.there]) for pair in pairs}
    far = sorted((step for step in found if found[step].shifted), key=lambda step: -found[step].psi)
    return ", ".join(f"{step} shifted, PSI {found[step].psi:.2f}" for step in far[:NAMED])


def numbers(cells: pa.Array) -> pa.Array:
    """Return cells as float64, null where a cell is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_large_string(cells.type):
        is_number = pc.match_substring_regex(cells, NUMBER)
        return pc.utf8_trim_whitespace(pc.if_else(is_number, cells, None)).cast(pa.float64())
    numeric = pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type)
    return cells.cast(pa.float64(), safe=False) if numeric else pa.nulls(len(cells), pa.float64())


def _shift(good: pa.Array, bad: pa.Array) -> Shift:
    import pyarrow as pa

    sides = (numbers(good), numbers(bad))
    if any(side.null_count * 2 > len(side) for side in sides):
        sides = (good, bad)
    return shift(*(pa.chunked_array([side]) for side in sides))


def _rule(before: pa.Array, after: pa.Array) -> str:
    """Return the one factor or sum that turns the cells before into those after, "" where there is none."""
    import pyarrow.compute as pc

    for sign, ratio in (("x", True), ("+", False)):
        with_value = pc.not_equal(before, 0.0)
        steps = pc.divide(after, pc.if_else(with_value, before, None)) if ratio else pc.subtract(after, before)
        if steps.null_count == len(steps):
            continue
        step = float(f"{pc.quantile(steps, 0.5)[0].as_py():.3g}")
        expected = pc.multiply(before, step) if ratio else pc.add(before, step)
        near = pc.less_equal(pc.abs(pc.subtract(after, expected)), pc.add(ROUNDING, pc.multiply(pc.abs(after), 1e-4)))
        if pc.mean(near.cast("float64")).as_py() >= ALL_BUT:
            return f", each {sign} {step:g}" if ratio or step > 0 else f", each - {-step:g}"
    return ""


def _told(cell: object) -> str:
    return "nothing" if cell is None else quoted(str(cell))
