"""The search: which sets of changes break GOOD, which mend BAD. Pure; it asks and is told, it runs nothing.

A search is a generator: it yields a batch of mixes it wants to know about (each the set of items taken from
BAD) and is sent their outcomes. Whoever drives it may run a batch side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, TypeVar

Outcome = Literal["good", "bad", "other", "unresolved"]
"""Of a probe: as GOOD; not as GOOD; failed in a way neither endpoint does; could not run."""

Taken = frozenset[str]
T = TypeVar("T")
Asking = Generator[list[Taken], Mapping[Taken, Outcome], T]


@dataclass(frozen=True)
class Gap:
    """Items that could not be told apart, because every mix between them did not run."""

    items: tuple[str, ...]
    failed: tuple[Taken, ...]


@dataclass(frozen=True)
class Found:
    """What a search found.

    `breaks`: minimal sets of bad items that break GOOD; `mends`: minimal sets of good items that mend BAD.
    `outcomes` holds every answer it was given.
    """

    breaks: tuple[Taken, ...]
    mends: tuple[Taken, ...]
    outcomes: Mapping[Taken, Outcome]
    gaps: tuple[Gap, ...] = ()

    @property
    def guilty(self) -> Taken:
        """Every item of any set found."""
        return frozenset().union(*self.breaks, *self.mends)


@dataclass
class _Knowledge:
    """The answers so far, with the endpoints: nothing taken is good, everything taken is bad."""

    items: tuple[str, ...]
    outcomes: dict[Taken, Outcome] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outcomes[frozenset()] = "good"
        self.outcomes[frozenset(self.items)] = "bad"

    def ask(self, mixes: Sequence[Taken]) -> Asking[list[Outcome]]:
        """Learn the outcomes of `mixes`; what is known is not asked again."""
        unknown = [mix for mix in dict.fromkeys(mixes) if mix not in self.outcomes]
        if unknown:
            answers = yield unknown
            self.outcomes.update({mix: answers[mix] for mix in unknown})
        return [self.outcomes[mix] for mix in mixes]


@dataclass(frozen=True)
class _Direction:
    """Breaking GOOD with sets of bad items, or mending BAD with sets of good ones: one search, mirrored."""

    mix: Callable[[Taken], Taken]
    hit: Outcome
    miss: Outcome


Requires = Mapping[str, frozenset[str]]
"""Item to the items that must be taken from BAD whenever it is."""


def in_order(items: Sequence[str], requires: Requires) -> list[tuple[str, ...]]:
    """Return the items requirements first, those that require each other as one.

    Every prefix of the order is then a consistent mix. Strongly connected components after Tarjan (1972),
    which come out in that very order; otherwise the given order is kept.
    """
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(item: str) -> None:
        numbers[item] = lowest[item] = len(numbers)
        stack.append(item)
        for other in sorted(requires.get(item, frozenset()) & frozenset(items)):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[item] = min(lowest[item], lowest[other])
        if lowest[item] == numbers[item]:
            start = stack.index(item)
            found.append(tuple(sorted(stack[start:])))
            del stack[start:]

    for item in items:
        if item not in numbers:
            visit(item)
    return found


def closed(chosen: Taken, requires: Requires) -> Taken:
    """Return `chosen` with all that it requires, and what that requires."""
    pending, found = list(chosen), set(chosen)
    while pending:
        for other in requires.get(pending.pop(), frozenset()) - found:
            found.add(other)
            pending.append(other)
    return frozenset(found)


def narrow(order: Sequence[str], requires: Requires) -> Asking[Found]:
    """Find the minimal sets among many ordered items by binary search over prefixes, in both directions.

    `order` is requirements first and all of it breaks GOOD. What breaks is searched on GOOD; what mends is
    looked for among the sets that take something out of each cause, and searched on BAD where none of
    those does. A set carries what it requires: mixes are consistent, members are those shown to matter.
    """
    everything = frozenset(order)
    required_by = {item: frozenset(o for o in order if item in requires.get(o, frozenset())) for item in order}
    known = _Knowledge(tuple(order))
    breaking = _Direction(lambda chosen: closed(chosen, requires) & everything, "bad", "good")
    mending = _Direction(lambda chosen: everything - closed(chosen, required_by), "good", "bad")
    breaks: list[Taken] = []
    rest = list(order)
    outcome: Outcome = "bad"
    while rest and outcome == "bad":
        joint = yield from minimal(known, rest, breaking)
        breaks.append(joint)
        # What drags a culprit along breaks GOOD by that alone: it says nothing of its own.
        rest = [item for item in rest if not closed(frozenset({item}), requires) & joint]
        (outcome,) = yield from known.ask([breaking.mix(frozenset(rest))])
    candidates = [frozenset(choice) for choice in product(*(sorted(members) for members in breaks))]
    outcomes = yield from known.ask([mending.mix(each) for each in candidates])
    mends = [each for each, result in zip(candidates, outcomes, strict=True) if result == "good"]
    if not mends:
        mends = [(yield from minimal(known, order[::-1], mending))]
    return Found(tuple(breaks), tuple(dict.fromkeys(mends)), known.outcomes, tuple(known.gaps))


def sweep(items: Sequence[str]) -> Asking[Found]:
    """Try every item alone in both directions, then look for sets where single ones do not suffice.

    Two probes an item (one where there are two items, because each is the other's reversal), more only
    where items act together. GOOD (nothing taken) is good and BAD (everything taken) is bad: the caller
    has shown both.
    """
    everything = frozenset(items)
    known = _Knowledge(tuple(items))
    breaking = _Direction(lambda chosen: chosen, "bad", "good")
    mending = _Direction(lambda chosen: everything - chosen, "good", "bad")
    singles = [frozenset({item}) for item in items]
    yield from known.ask([*singles, *(everything - single for single in singles)])
    breaks = yield from _all_sets(known, items, breaking)
    mends = yield from _all_sets(known, items, mending)
    return Found(tuple(breaks), tuple(mends), known.outcomes, tuple(known.gaps))


def _all_sets(known: _Knowledge, items: Sequence[str], way: _Direction) -> Asking[list[Taken]]:
    """Return the minimal sets that hit: single items first, then joint ones among those that remain."""
    singles = [frozenset({item}) for item in items]
    outcomes = yield from known.ask([way.mix(single) for single in singles])
    found = [single for single, outcome in zip(singles, outcomes, strict=True) if outcome == way.hit]
    rest = [item for item in items if frozenset({item}) not in found]
    while len(rest) > 1:
        (outcome,) = yield from known.ask([way.mix(frozenset(rest))])
        if outcome != way.hit:
            break
        joint = yield from minimal(known, rest, way)
        found.append(joint)
        rest = [item for item in rest if item not in joint]
    return found


def minimal(known: _Knowledge, order: Sequence[str], way: _Direction) -> Asking[Taken]:
    """Return a minimal subset of `order` that hits, given that all of it does and none of it does not.

    Binary search over prefixes: the last item of the shortest hitting prefix is a member; keep it and
    search before it, until the members alone hit. About k log2(n) probes for k members (after Zeller and
    Hildebrandt's minimality and Junker's QuickXplain, with one probe a step).
    """
    members: Taken = frozenset()
    end = len(order)
    while True:
        low, high = 0, end
        while high - low > 1:
            step = yield from _decide(known, order, members, (low, high), way)
            if step is None:
                known.gaps.append(_gap(known, order, members, (low, high), way))
                break
            middle, hits = step
            low, high = (low, middle) if hits else (middle, high)
        members |= frozenset(order[low:high])
        (outcome,) = yield from known.ask([way.mix(members)])
        if outcome == way.hit or low == 0:
            return members
        end = low


def _decide(
    known: _Knowledge, order: Sequence[str], members: Taken, bounds: tuple[int, int], way: _Direction
) -> Asking[tuple[int, bool] | None]:
    """Return a prefix length inside the bounds that has a clear outcome, the middle first; None if none has."""
    low, high = bounds
    middle = (low + high) // 2
    for length in sorted(range(low + 1, high), key=lambda n: (abs(n - middle), n)):
        (outcome,) = yield from known.ask([way.mix(frozenset(order[:length]) | members)])
        if outcome in (way.hit, way.miss):
            return length, outcome == way.hit
    return None


def _gap(known: _Knowledge, order: Sequence[str], members: Taken, bounds: tuple[int, int], way: _Direction) -> Gap:
    low, high = bounds
    mixes = [way.mix(frozenset(order[:length]) | members) for length in range(low + 1, high)]
    failed = tuple(mix for mix in mixes if known.outcomes.get(mix) in ("other", "unresolved"))
    return Gap(tuple(order[low:high]), failed)


def drive(search: Asking[T], answer: Callable[[list[Taken]], Mapping[Taken, Outcome]]) -> T:
    """Run a search to its end, answering its batches with `answer`."""
    try:
        batch = next(search)
        while True:
            batch = search.send(answer(batch))
    except StopIteration as stop:
        result: T = stop.value
        return result
