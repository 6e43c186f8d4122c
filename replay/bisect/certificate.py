"""The certificate: what a verdict rests on is run once more before anything is named (design 4.5, step 6)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, zip_longest

from replay.bisect.case import NOTHING, Case
from replay.bisect.hunt import Caught, between_atoms
from replay.bisect.order import turned
from replay.bisect.probe import Probe
from replay.bisect.search import Outcome, Taken, closed

MOST = 12
"""Mixes that are run again at most: of more causes than that the first are."""

ROUNDS = 2
"""How often they are run again where several changes are said to act together, or answers speak against each other.

That is rare in jobs and common in coins; a single change is run again once."""


def contradicted(case: Case, caught: Caught, scope: Taken, outcome: Callable[[Probe], Outcome]) -> str | None:
    """Run the mixes that decided once more, those that broke and those that did not in turn.

    Return what came out otherwise than the first time, None where everything agreed. A job that is told by a coin
    passes two reruns of each end often enough; it does not pass these as well.
    """
    mixes = _decisive(case, caught, scope)
    against = _against_each_other(caught, case)
    wanted = [(mix, 1) for mix in mixes]
    if against or any(len(members) > 1 for members in caught.found.breaks):
        ends = [(end, case.options.repeat + number) for number in range(ROUNDS) for end in (scope, NOTHING)]
        again = [(mix, number + 1) for number in range(ROUNDS) for mix in dict.fromkeys([*against, *mixes])]
        wanted = [*ends, *again]
    for mix, repetition in wanted:
        (probe,) = case.prober.repeated([(mix, repetition)])
        (first,) = case.prober.all([mix])
        before, after = outcome(first), outcome(probe)
        if before != after:
            return f"{case.prober.label(mix)} was {before} at first and {after} when it was run again"
    if mixes:
        case.lines.append(f"what decided was run again, and agreed: {len(mixes)} mixes")
    return None


def _against_each_other(caught: Caught, case: Case) -> list[Taken]:
    """Return mixes of which one is bad and one that takes still more is good: faults that cancel, or chance."""
    known = {mix if caught.fine else case.atoms_in(mix): result for mix, result in caught.found.outcomes.items()}
    bad = [mix for mix, result in known.items() if result == "bad"]
    good = [mix for mix, result in known.items() if result == "good"]
    pairs = [(one, other) for one in bad for other in good if one < other]
    return list(dict.fromkeys(mix for pair in pairs[: MOST // 2] for mix in pair))


def _decisive(case: Case, caught: Caught, scope: Taken) -> list[Taken]:
    """Return what breaks, what mends, and each of them without one of its members, as far as they were run."""
    requires = between_atoms(case, scope)
    needed = turned(scope, requires)
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
