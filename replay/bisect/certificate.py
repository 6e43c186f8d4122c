"""The certificate: what a verdict rests on is run once more before anything is named (design 4.5, step 6)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, zip_longest

from replay.bisect.case import NOTHING, Case
from replay.bisect.hunt import Caught, backwards, between_atoms
from replay.bisect.probe import Probe
from replay.bisect.search import Outcome, Taken, closed

MOST = 12
"""Mixes that are run again at most: of more causes than that the first are."""


def contradicted(case: Case, caught: Caught, scope: Taken, outcome: Callable[[Probe], Outcome]) -> str | None:
    """Run the mixes that decided once more, those that broke and those that did not in turn.

    Return what came out otherwise than the first time, None where everything agreed. A job that is told by a coin
    passes two reruns of each end often enough; it does not pass these as well.
    """
    mixes = _decisive(case, caught, scope)
    for again in case.prober.repeated([(mix, 1) for mix in mixes]):
        before, after = outcome(case.prober.done[again.taken, 0]), outcome(again)
        if before != after:
            return f"{case.prober.label(again.taken)} was {before} at first and {after} when it was run again"
    if mixes:
        case.lines.append(f"what decided was run again, and agreed: {len(mixes)} mixes")
    return None


def _decisive(case: Case, caught: Caught, scope: Taken) -> list[Taken]:
    """Return what breaks, what mends, and each of them without one of its members, as far as they were run."""
    requires = between_atoms(case, scope)
    needed = backwards(requires, scope)
    broken = [closed(part, requires) for members in caught.found.breaks for part in _parts(case, caught, members)]
    mended = [scope - closed(part, needed) for members in caught.found.mends for part in _parts(case, caught, members)]
    turns = chain.from_iterable(zip_longest(broken, mended, fillvalue=NOTHING))
    ends = (NOTHING, scope)
    known = [mix for mix in dict.fromkeys(turns) if mix not in ends and (mix, 0) in case.prober.done]
    return known[:MOST]


def _parts(case: Case, caught: Caught, members: Taken) -> list[Taken]:
    atoms = {member: frozenset({member}) if caught.fine else case.atoms_in(frozenset({member})) for member in members}
    parts = [members, *(members - {member} for member in sorted(members) if len(members) > 1)]
    return [NOTHING.union(*(atoms[member] for member in part)) for part in parts]
