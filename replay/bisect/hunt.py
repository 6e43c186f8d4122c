"""Sweep the changed layers, then go down inside the guilty ones (design 4.5, steps 3 to 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from replay.bisect.case import NOTHING, Case, held_together
from replay.bisect.effect import distance
from replay.bisect.focus import weights
from replay.bisect.order import turned
from replay.bisect.search import Found, Outcome, Taken, closed, drive, in_order, narrow, sweep
from replay.digest import short
from replay.record import RunRecord

Answer = Callable[[list[Taken]], dict[Taken, Outcome]]
"""Runs mixes of atoms and says what came of each."""


@dataclass(frozen=True)
class Caught:
    """What the hunt found: sets of layers, or (`fine`) of atoms, and what went along with them."""

    found: Found
    fine: bool = False
    carried: Taken = NOTHING


def hunt(case: Case, scope: Taken, answer: Answer) -> Caught:
    """Find what breaks GOOD and mends BAD among the atoms of `scope`, all of which together break it."""
    coarse = _sweep(case, scope, answer)
    guilty = case.atoms_in(coarse.guilty)
    if not case.options.drill or len(guilty) == len(coarse.guilty):
        return Caught(coarse)
    # What the sweep showed of whole layers is told: what was cleared as a whole is not looked at one by one.
    return drill(case, scope, answer, {case.atoms_in(layers): result for layers, result in coarse.outcomes.items()})


def drill(case: Case, scope: Taken, answer: Answer, told: Mapping[Taken, Outcome] | None = None) -> Caught:
    """Find what breaks GOOD and mends BAD among the atoms of `scope`, given outcomes that are known already."""
    requires = between_atoms(case, scope)
    order = [name for atoms in in_order([n for n in case.prober.atoms if n in scope], requires) for name in atoms]
    likely = weights(case.prober.atoms, case.options.focus)
    width, every = case.options.jobs, case.options.every
    asked = narrow(order, requires, told=told, weights=likely, width=width, every=every)
    found = drive(asked, _telling(case, order, answer, told or {}))
    carried = along(found, requires, scope)
    if len(found.breaks) > 1:
        # Several causes: each is also left out of BAD once, so that the shares rest on both directions.
        needed = turned(scope, requires)
        case.prober.all([scope - closed(members, needed) for members in found.breaks])
    if carried:
        case.lines.append("taken or reverted along, because one requires the other: " + ", ".join(sorted(carried)))
    _tell(case, found, scope)
    return Caught(found, fine=True, carried=carried)


def _telling(case: Case, order: Sequence[str], answer: Answer, told: Mapping[Taken, Outcome]) -> Answer:
    """Return the answer that also says which atoms may still be the cause, were it a single one."""
    seen = {mix: outcome for mix, outcome in told.items() if outcome in ("good", "bad")}

    def telling(mixes: list[Taken]) -> dict[Taken, Outcome]:
        found = answer(mixes)
        seen.update({mix: outcome for mix, outcome in found.items() if outcome in ("good", "bad")})
        left = [name for name in order if all((name in mix) == (result == "bad") for mix, result in seen.items())]
        if left:
            named = f": {', '.join(left)}" if len(left) <= 2 else ""
            case.bench.progress(f"still suspected: {len(left)} of {len(order)} changes{named}")
        return found

    return telling


def flip_pair(case: Case, caught: Caught) -> list[str]:
    """Return a line that names two states that differ in one culprit alone, both of which were run."""
    for members in caught.found.breaks[:1]:
        atoms = members if caught.fine else case.atoms_in(members)
        flipped = closed(atoms, between_atoms(case, case.everything))
        probes = [case.prober.done.get((taken, 0)) for taken in (NOTHING, flipped)]
        states = [short(probe.state) for probe in probes if probe is not None]
        if len(set(states)) == 2:
            return [f"flip pair: {states[0]} is good, {states[1]} is bad: it is {case.prober.label(flipped)}"]
    return []


def shares(
    case: Case, scope: Taken, caught: Caught, reference: Callable[[Taken], RunRecord | None]
) -> dict[Taken, float]:
    """Return the part of the divergence that each set found has.

    The mean of what it adds to GOOD alone and of what reverting it alone takes off BAD, each over the whole
    divergence: for two sets the Shapley value, for more its usual approximation. `reference` is the run that a
    mix is held against.
    """
    requires = between_atoms(case, scope)
    needed = turned(scope, requires)

    def moved(taken: Taken) -> float | None:
        probe, like = case.prober.done.get((taken, 0)), reference(taken)
        if probe is None or probe.record is None or like is None:
            return None
        return distance(like, probe.record, case.bench.store)

    found: dict[Taken, float] = {}
    whole = moved(scope) or 0.0
    there = moved(scope - case.inputs) or whole
    for members in caught.found.breaks:
        atoms = members if caught.fine else case.atoms_in(members)
        alone, without = moved(closed(atoms, requires)), moved(scope - closed(atoms, needed))
        parts = [alone / there] if alone is not None and there else []
        parts += [(whole - without) / whole] if without is not None and whole else []
        found[members] = sum(parts) / len(parts) if parts else 0.0
    return found


def _sweep(case: Case, scope: Taken, answer: Answer) -> Found:
    items = [name for name, atoms in case.prober.layers.items() if atoms <= scope]
    if len(items) == 1:
        only = frozenset(items)
        case.lines.append(f"{items[0]} is all that differs: taking it is BAD, reverting it is GOOD")
        return Found((only,), (only,), {})

    def by_layer(mixes: list[Taken]) -> dict[Taken, Outcome]:
        known = answer([case.atoms_in(mix) for mix in mixes])
        return {mix: known[case.atoms_in(mix)] for mix in mixes}

    found = drive(sweep(items), by_layer)
    if cleared := [item for item in items if item not in found.guilty]:
        case.bench.progress(f"cleared: {', '.join(cleared)}")
    for layers, result in found.outcomes.items():
        if layers and layers != frozenset(items):
            case.lines.append(f"{case.prober.label(case.atoms_in(layers))}: {result}")
    return found


def between_atoms(case: Case, scope: Taken) -> dict[str, Taken]:
    """Return the requirements of changes as requirements of the atoms that hold them."""
    return held_together(case.prober.atoms, case.requires, scope)


def along(found: Found, requires: Mapping[str, Taken], scope: Taken) -> Taken:
    """Return what goes along with the sets found because one requires the other."""
    needed = turned(scope, requires)
    along = [closed(members, requires) for members in found.breaks]
    along += [closed(members, needed) for members in found.mends]
    return NOTHING.union(*along) - found.guilty


def _tell(case: Case, found: Found, scope: Taken) -> None:
    for mix, result in found.outcomes.items():
        if mix and mix != scope:
            line = f"{case.prober.label(mix)}: {result}"
            if line not in case.lines:
                case.lines.append(line)
