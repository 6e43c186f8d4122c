"""What a search asks and what it is told: outcomes, what follows from them, and what was found. Pure."""

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
    `outcomes` holds every answer it was given. Each set was probed as it stands; none is inferred.
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
class Knowledge:
    """The answers so far, with the endpoints: nothing taken is good, everything taken is bad.

    `weights` is the prior: how likely each item is a culprit beside the others (1 where it is not named).
    """

    items: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    width: int = 1
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

    def implied(self, mix: Taken) -> Outcome | None:
        """Return what `mix` should be if more of BAD never mends: a guide for where to look, never a claim.

        None where nothing is implied, or where the answers so far contradict each other on it.
        """
        bad = any(outcome == "bad" and known <= mix for known, outcome in self.outcomes.items())
        good = any(outcome == "good" and mix <= known for known, outcome in self.outcomes.items())
        if bad == good:
            return None
        return "bad" if bad else "good"


def drive(search: Asking[T], answer: Callable[[list[Taken]], Mapping[Taken, Outcome]]) -> T:
    """Run a search to its end, answering its batches with `answer`."""
    try:
        batch = next(search)
        while True:
            batch = search.send(answer(batch))
    except StopIteration as stop:
        result: T = stop.value
        return result
