"""The search: which sets of changes break GOOD, which mend BAD. Pure; it asks and is told, it runs nothing.

A search is a generator: it yields a batch of mixes it wants to know about (each the set of items taken from
BAD) and is sent their outcomes. Whoever drives it may run a batch side by side.

Where to look is inferred (more of BAD is taken to be no better, in both directions at once); what is reported is
not: every set that is named was probed as it stands, and without each of its members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from replay.bisect.knowledge import Asking, Found, Gap, Knowledge, Outcome, Taken, drive
from replay.bisect.order import Requires, closed, in_order, turned

__all__ = ["Found", "Gap", "Outcome", "Taken", "cause", "closed", "drive", "in_order", "narrow", "sweep"]

MOST_CAUSES = 8
"""Causes after which a search stops looking for more; a gap says so."""

FEW = 4
"""Ways to mend that are all tried; of more, only as many as leave each member out once (`every` tries all)."""


@dataclass(frozen=True)
class _Way:
    """Breaking GOOD with sets of bad items, or mending BAD with sets of good ones: one search, mirrored.

    `without` is the mix that lacks one item on the other side: it decides whether that item is needed at all.
    """

    mix: Callable[[Taken], Taken]
    hit: Outcome
    miss: Outcome
    without: Callable[[Taken], Taken]


def _ways(items: Sequence[str], requires: Requires, reverted: Taken = frozenset()) -> tuple[_Way, _Way]:
    """Return both directions; what is needed is asked of BAD without `reverted`, where one cause is left."""
    everything, backwards = frozenset(items), turned(items, requires)

    def taking(chosen: Taken) -> Taken:
        return closed(chosen, requires) & everything

    def reverting(chosen: Taken) -> Taken:
        return everything - closed(chosen, backwards)

    def lacking(chosen: Taken) -> Taken:
        return reverting(chosen | reverted)

    return _Way(taking, "bad", "good", lacking), _Way(reverting, "good", "bad", taking)


def cause(
    order: Sequence[str], requires: Requires, weights: Mapping[str, float] | None = None, width: int = 1
) -> Asking[Taken]:
    """Find one minimal set that breaks GOOD: the first half of `narrow`, without its proof in the other direction."""
    known = Knowledge(tuple(order), weights or {}, width)
    return (yield from _minimal(known, order, _ways(order, requires)[0]))


def narrow(
    order: Sequence[str],
    requires: Requires,
    *,
    told: Mapping[Taken, Outcome] | None = None,
    weights: Mapping[str, float] | None = None,
    width: int = 1,
    every: bool = False,
) -> Asking[Found]:
    """Find the minimal sets among many ordered items by binary search over prefixes, in both directions.

    `order` is requirements first and all of it breaks GOOD. `told` are outcomes known already; `weights` the prior;
    `width` how many probes may run at once. What breaks is searched on GOOD; what mends is looked for among the
    sets that take something out of each cause (Reiter's hitting sets): where such a set does not mend BAD, another
    cause is left in it and is searched for next. `every` tries all of them, so that all causes there are come out.
    A set carries what it requires: mixes are consistent, members are those shown to matter.
    """
    known = Knowledge(tuple(order), weights or {}, width)
    known.outcomes |= told or {}
    breaks, mends = yield from _causes(known, order, requires, every=every)
    return Found(tuple(breaks), tuple(mends), known.outcomes, tuple(known.gaps))


def sweep(items: Sequence[str], width: int = 1) -> Asking[Found]:
    """Try every item alone in both directions, then look for sets where single ones do not suffice.

    Two probes an item (one where there are two items, because each is the other's reversal), more only
    where items act together. GOOD (nothing taken) is good and BAD (everything taken) is bad: the caller
    has shown both.
    """
    known = Knowledge(tuple(items), width=width)
    ways = _ways(items, {})
    singles = [frozenset({item}) for item in items]
    yield from known.ask([way.mix(single) for way in ways for single in singles])
    # Those seen to matter come first: their prefixes are known, and nothing is looked for among the others.
    alone = {item: known.outcomes[frozenset({item})] == "bad" for item in items}
    needed = {item: known.outcomes[ways[1].mix(frozenset({item}))] == "good" for item in items}
    order = sorted(items, key=lambda item: (not alone[item], not needed[item]))
    breaks, mends = yield from _causes(known, order, {}, every=False)
    return Found(tuple(breaks), tuple(mends), known.outcomes, tuple(known.gaps))


def _causes(
    known: Knowledge, order: Sequence[str], requires: Requires, *, every: bool
) -> Asking[tuple[list[Taken], list[Taken]]]:
    """Return the minimal sets that break GOOD and those that mend BAD."""
    breaking, mending = _ways(order, requires)
    breaks: list[Taken] = []
    rest = list(order)
    while True:
        rest = _known_first(known, rest, requires)
        members = yield from _minimal(known, rest, breaking)
        if not members:
            return breaks, []
        breaks.append((yield from _shrunk(known, members, breaking)))
        choices = hitting_sets(breaks)
        choices = choices if every or len(choices) <= FEW else _covering(choices)
        outcomes = yield from known.ask([mending.mix(choice) for choice in choices])
        left = [choice for choice, outcome in zip(choices, outcomes, strict=True) if outcome == "bad"]
        if not left:
            break
        if len(breaks) == MOST_CAUSES:
            known.gaps.append(Gap(tuple(item for item in order if item in mending.mix(left[0])), ()))
            break
        breaking, remaining = _ways(order, requires, left[0])[0], mending.mix(left[0])
        rest = [item for item in order if item in remaining]
    mends = [choice for choice, outcome in zip(choices, outcomes, strict=True) if outcome == "good"]
    if not mends:
        members = yield from _minimal(known, order[::-1], mending)
        mends = [(yield from _shrunk(known, members, mending))] if members else []
    return breaks, mends


def _known_first(known: Knowledge, order: Sequence[str], requires: Requires) -> list[str]:
    """Return the order with the smallest set that is known to break GOOD in front; every prefix stays consistent."""
    inside = frozenset(order)
    broken = [mix for mix, outcome in known.outcomes.items() if outcome == "bad" and mix <= inside]
    broken = [mix for mix in broken if closed(mix, requires) == mix]
    front = min(broken, key=lambda mix: (len(mix), sorted(mix)), default=inside)
    return [item for item in order if item in front] + [item for item in order if item not in front]


def hitting_sets(families: Sequence[Taken]) -> list[Taken]:
    """Return the minimal sets that hold something of each family, smallest first."""
    found: list[Taken] = []
    chosen = {frozenset(choice) for choice in product(*(sorted(members) for members in families))}
    for choice in sorted(chosen, key=lambda each: (len(each), sorted(each))):
        if not any(smaller <= choice for smaller in found):
            found.append(choice)
    return found


def _covering(choices: Sequence[Taken]) -> list[Taken]:
    """Return some of `choices`, so that each item in any of them is in one of these."""
    found: list[Taken] = []
    for choice in choices:
        if not choice <= frozenset().union(*found):
            found.append(choice)
    return found


def _minimal(known: Knowledge, order: Sequence[str], way: _Way) -> Asking[Taken]:
    """Return a minimal subset of `order` that hits, given that all of it does and none of it does not.

    Binary search over prefixes: the last item of the shortest hitting prefix is a member; keep it and
    search before it, until the members alone hit. About k log2(n) probes for k members (after Zeller and
    Hildebrandt's minimality and Junker's QuickXplain, with one probe a step). Empty, with a gap, where the
    answers contradict each other so that no set can be shown to hit.
    """
    members: Taken = frozenset()
    while True:
        more = yield from _next(known, order, members, way)
        members = _own(members | more, way)
        (outcome,) = yield from known.ask([way.mix(members)])
        if outcome == way.hit:
            return members
        if not more:
            known.gaps.append(Gap(tuple(order), (way.mix(members),)))
            return frozenset()


def _own(members: Taken, way: _Way) -> Taken:
    """Return the members without those that the others carry along anyway."""
    for member in sorted(members):
        if len(members) > 1 and member in _along(members - {member}, way):
            members -= {member}
    return members


def _along(chosen: Taken, way: _Way) -> Taken:
    """Return what a choice moves, itself included."""
    return way.mix(chosen) if way.hit == "bad" else way.mix(frozenset()) - way.mix(chosen)


def _shrunk(known: Knowledge, members: Taken, way: _Way) -> Asking[Taken]:
    """Leave each member out once; what hits without one did not need it."""
    if len(members) > 1:
        lesser = [members - {member} for member in sorted(members)]
        outcomes = yield from known.ask([way.mix(each) for each in lesser])
        for each, outcome in zip(lesser, outcomes, strict=True):
            if outcome == way.hit:
                return (yield from _shrunk(known, each, way))
    return members


def _next(known: Knowledge, order: Sequence[str], members: Taken, way: _Way) -> Asking[Taken]:
    """Return the last item of the shortest prefix that hits with the members; several where a gap hides which."""
    bracket = _bracket(known, order, members, way)
    along, tried = _along(members, way), set[str]()
    # A member that was only left over, and not shown to be needed, may be wrong: then only prefixes are believed.
    sure = all(known.outcomes.get(way.without(frozenset({member}))) == way.miss for member in members)
    while True:
        low, high = bracket
        inside = [item for item in order[low:high] if item not in along]
        without = {item: known.outcomes.get(way.without(frozenset({item}))) if sure else None for item in inside}
        likely = [item for item in inside if without[item] != way.hit] or inside
        shown = [item for item in inside if without[item] == way.miss]
        if len(likely) <= 1 or high - low == 1 or shown:
            return frozenset(shown[-1:] or likely)
        probing = _worth_asking(known, [item for item in likely if item not in tried], likely) if sure else []
        if probing:
            tried.update(probing)
            outcomes = yield from known.ask([way.without(frozenset({item})) for item in probing])
            needed = [item for item, outcome in zip(probing, outcomes, strict=True) if outcome == way.miss]
            if needed:
                return frozenset(needed[:1])
            continue
        narrower = yield from _halve(known, order, members, bracket, way)
        if narrower is None:
            known.gaps.append(_gap(known, order, members, bracket, way))
            return frozenset(likely)
        bracket = narrower


def _bracket(known: Knowledge, order: Sequence[str], members: Taken, way: _Way) -> tuple[int, int]:
    """Return the longest prefix that is known to miss with the members, and the shortest known to hit."""

    def at(length: int) -> Outcome | None:
        return known.implied(way.mix(frozenset(order[:length]) | members))

    high = len(order)
    while high > 1 and at(high - 1) == way.hit:
        high -= 1
    low = 0
    while low < high - 1 and at(low + 1) == way.miss:
        low += 1
    return low, high


def _worth_asking(known: Knowledge, fresh: Sequence[str], likely: Sequence[str]) -> list[str]:
    """Return the items to leave out one by one, where that tells as much as halving: it is half of their proof."""
    if not fresh:
        return []
    weight = {item: known.weights.get(item, 1.0) for item in likely}
    heaviest = max(reversed(fresh), key=lambda item: weight[item])
    if weight[heaviest] * 3 < sum(weight.values()):
        return []
    others = [item for item in reversed(fresh) if item != heaviest]
    return [heaviest, *others[: min(known.width, len(likely) - 1) - 1]]


def _halve(
    known: Knowledge, order: Sequence[str], members: Taken, bracket: tuple[int, int], way: _Way
) -> Asking[tuple[int, int] | None]:
    """Return a narrower bracket, by prefixes that cut its weight evenly; None where none has a clear outcome."""
    low, high = bracket
    lengths = list(range(low + 1, high))

    def mix(length: int) -> Taken:
        return way.mix(frozenset(order[:length]) | members)

    while lengths:
        cuts = _cuts(known, order, members, (low, high), lengths, way)
        outcomes = yield from known.ask([mix(length) for length in cuts])
        told = dict(zip(cuts, outcomes, strict=True))
        hits = [length for length in cuts if told[length] == way.hit]
        end = min(hits, default=high)
        start = max((length for length in cuts if told[length] == way.miss and length < end), default=low)
        if (start, end) != bracket:
            return start, end
        lengths = [length for length in lengths if length not in cuts]
    return None


def _cuts(
    known: Knowledge,
    order: Sequence[str],
    members: Taken,
    bracket: tuple[int, int],
    lengths: Sequence[int],
    way: _Way,
) -> list[int]:
    """Return the lengths (as many as may run at once) that cut the bracket into parts of like weight."""
    low, high = bracket
    before = {low: 0.0}
    for length in range(low + 1, high + 1):
        item = order[length - 1]
        out = item in members or known.outcomes.get(way.without(frozenset({item}))) == way.hit
        before[length] = before[length - 1] + (0.0 if out else known.weights.get(item, 1.0))
    parts = min(known.width, len(lengths)) + 1
    middle = (low + high) / 2
    cuts: list[int] = []
    for number in range(1, parts):
        aim = before[high] * number / parts
        free = [length for length in lengths if length not in cuts]
        cuts.append(min(free, key=lambda n: (abs(before[n] - aim), abs(n - middle), n)))
    return sorted(cuts)


def _gap(known: Knowledge, order: Sequence[str], members: Taken, bracket: tuple[int, int], way: _Way) -> Gap:
    low, high = bracket
    mixes = [way.mix(frozenset(order[:length]) | members) for length in range(low + 1, high)]
    failed = tuple(mix for mix in mixes if known.outcomes.get(mix) in ("other", "unresolved"))
    return Gap(tuple(order[low:high]), failed)
