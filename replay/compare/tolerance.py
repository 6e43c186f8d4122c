"""When a difference is no more than noise: a declared tolerance, or the floor measured between repeats. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replay.compare.difference import Difference
from replay.errors import CompareError
from replay.record import OutputSpec

MARGIN = 2.0
"""A floor seen in a few repeats is a lower bound of the noise; it is doubled before it excuses anything."""

WHOLE = ""
"""The place of opaque content in a noise floor: it has no columns and no paths."""


@dataclass(frozen=True)
class Tolerance:
    """What is forgiven in one column or at one path.

    A number may move by `atol + rtol * |good value|` (the rule of numpy.isclose, the good side being the
    reference) or by `floor`, the largest absolute difference between repeats. For anything but numbers
    `floor` is the share of cells that changed between repeats. `atol` and `rtol` keep the declared text.
    """

    atol: str | None = None
    rtol: str | None = None
    floor: float = 0.0

    @classmethod
    def of(cls, spec: OutputSpec, noise: Mapping[str, float] | None, place: str) -> Tolerance:
        """Return what holds at `place` (a column or path). Raises CompareError where a tolerance is no number."""
        own = spec.allowed(place)
        for field, text in (("atol", own.atol), ("rtol", own.rtol)):
            _check(field, text)
        return cls(own.atol, own.rtol, (noise or {}).get(place, 0.0))

    def exact(self) -> Tolerance:
        """Return the same without the declared part: a decision is never forgiven by atol or rtol."""
        return Tolerance(floor=self.floor)

    @property
    def declared(self) -> bool:
        """Whether the user declared one."""
        return self.atol is not None or self.rtol is not None

    @property
    def absolute(self) -> float:
        """`atol` as a number, 0 where none was declared."""
        return float(self.atol or 0)

    @property
    def relative(self) -> float:
        """`rtol` as a number, 0 where none was declared."""
        return float(self.rtol or 0)

    def allows(self, good: float, difference: float) -> bool:
        """Whether one number may have moved by `difference` (absolute) from `good`."""
        return (self.declared and difference <= self.absolute + self.relative * abs(good)) or (
            0 < difference <= self.floor
        )

    def words(self, by_declared: bool, by_floor: bool) -> str:
        """Return which tolerance spoke, for a sentence."""
        declared = [f"{name} {text}" for name, text in (("atol", self.atol), ("rtol", self.rtol)) if text is not None]
        spoke = [" + ".join(declared)] if by_declared else []
        if by_floor:
            spoke.append(f"the noise floor measured between repeats ({self.floor:.3g})")
        return " or ".join(spoke)


def noise_floor(repeats: Iterable[Difference | None]) -> dict[str, dict[str, float]]:
    """Return what differs between repeats of the very same state: output -> column or path -> floor.

    `repeats` are comparisons of such repeats, made by `compare_outputs`. The floor is `MARGIN` times the
    largest that was seen: an absolute difference for numbers, a share of the cells (at most 1) for the rest.
    Nulls, rows, columns and types that differ between repeats are never noise.
    """
    floors: dict[str, dict[str, float]] = {}
    for repeat in repeats:
        if repeat is not None:
            _collect(repeat, repeat.name, floors)
    return floors


def _collect(finding: Difference, parent: str, floors: dict[str, dict[str, float]]) -> None:
    if finding.kind == "bytes":
        floors.setdefault(finding.name, {})[WHOLE] = 1.0
        return
    if "spread" in finding.numbers:
        _raise(floors, parent, finding.name, finding.numbers["spread"])
    for place, seen in finding.numbers.get("unlisted", {}).items():
        _raise(floors, finding.name, place, seen)
    for child in finding.children:
        _collect(child, finding.name, floors)


def _raise(floors: dict[str, dict[str, float]], output: str, place: str, seen: float) -> None:
    places = floors.setdefault(output, {})
    places[place] = max(places.get(place, 0.0), MARGIN * seen)


def _check(field: str, text: str | None) -> None:
    try:
        fine = text is None or (math.isfinite(float(text)) and float(text) >= 0)
    except ValueError:
        fine = False
    if not fine:
        raise CompareError(
            f"The tolerance {field} = {text!r} is not a number of 0 or more",
            cause="a typing error in replay.toml or on the command line",
            do=f'write a decimal number, for example {field} = "1e-9"',
        )
