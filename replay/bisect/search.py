"""The search: which sets of changes break GOOD, which mend BAD. Pure; it asks and is told, it runs nothing.

A search is a generator: it yields a batch of mixes it wants to know about (each the set of items taken from
BAD) and is sent their outcomes. Whoever drives it may run a batch side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
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
