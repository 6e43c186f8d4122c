"""Searching where the ends themselves do not always give the same: measured rates choose the rule. Pure.

A run of GOOD or BAD is good or bad; how often each is bad is unknown and estimated from reruns of both ends
(Beta-Bernoulli with a uniform prior). A mix behaves like one of the two ends; which, is a posterior.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from math import exp, lgamma
from typing import Literal

from replay.bisect.knowledge import Taken
from replay.bisect.order import Requires, closed, turned

Rule = Literal["deterministic", "any-of-n", "posterior", "inconclusive"]
Running = Generator[Taken, bool, "Noisy | None"]
"""Yields the next mix to run once; is sent whether that run was bad."""

SURE = 0.95
"""Posterior from which a place on the prefix axis is taken, as a guide."""

PROVEN = 0.99
"""Posterior from which a mix counts as one end or the other while searching."""

PROOF = 0.9995
"""Posterior that each mix of the proof must reach, on runs of its own: what led the search there is no proof."""

FIRST, LAST = 12, 32
"""Reruns of each end, to measure its rate: at least, and at most where the rates are not told apart clearly."""

LEAST = 8
"""Runs of each mix of the proof, at least; of a mended one as many as GOOD had."""

OF_ITS_OWN = 0.05
"""Prior of a mix that behaves as neither end: a second cause is left in it, or only a part of one is."""

MOST = 60
"""Runs of one mix, and of one step of a search, after which it cannot be told."""

MOST_MEMBERS = 3


@dataclass(frozen=True)
class Rates:
    """How often each end was bad: counts of bad and of all reruns."""

    good_bad: int
    good_runs: int
    bad_bad: int
    bad_runs: int

    @property
    def rule(self) -> Rule:
        """Return how a mix is to be judged.

        `deterministic`: once; `any-of-n`: GOOD never failed, so of a mended mix one bad run tells;
        `posterior`: both fail at times; `inconclusive`: BAD does not fail more often than GOOD beyond chance.
        """
        if self.bad_bad == self.bad_runs and not self.good_bad:
            return "deterministic"
        if self.separation < SURE:
            return "inconclusive"
        return "posterior" if self.good_bad else "any-of-n"

    @property
    def enough(self) -> bool:
        """Whether the ends were rerun often enough: they are told apart clearly, or never will be."""
        runs = min(self.good_runs, self.bad_runs)
        hopeless = self.good_bad == self.good_runs or (runs >= FIRST and self.separation < 0.5)
        return runs >= 2 and (hopeless or runs >= LAST or (runs >= FIRST and self.separation >= PROOF))

    @property
    def separation(self) -> float:
        """Return the probability that the two ends have two rates and not one."""
        both = (self.good_bad + self.bad_bad, self.good_runs + self.bad_runs)
        one = _evidence(*both)
        two = _evidence(self.good_bad, self.good_runs) + _evidence(self.bad_bad, self.bad_runs)
        if self.bad_bad * self.good_runs <= self.good_bad * self.bad_runs:
            return 0.0
        return 1 / (1 + exp(one - two))

    def chance(self, bad: int, runs: int) -> float:
        """Return the probability that a mix with these runs behaves as BAD, both being as likely beforehand."""
        as_bad = _evidence(self.bad_bad + bad, self.bad_runs + runs) - _evidence(self.bad_bad, self.bad_runs)
        as_good = _evidence(self.good_bad + bad, self.good_runs + runs) - _evidence(self.good_bad, self.good_runs)
        return 1 / (1 + exp(min(700.0, as_good - as_bad)))

    def alike(self, bad: int, runs: int, *, as_bad: bool) -> float:
        """Return the probability that a mix with these runs has the rate of that end, and not one of its own."""
        old, total = (self.bad_bad, self.bad_runs) if as_bad else (self.good_bad, self.good_runs)
        same = _evidence(old + bad, total + runs) - _evidence(old, total)
        own = _evidence(bad, runs)
        return 1 / (1 + OF_ITS_OWN / (1 - OF_ITS_OWN) * exp(min(700.0, own - same)))


@dataclass(frozen=True)
class Noisy:
    """A set that was shown to break GOOD and, each member left out, to mend BAD; `confidence` that all of it holds."""

    members: Taken
    confidence: float
    runs: int


def noisy_cause(order: Sequence[str], requires: Requires, rates: Rates) -> Running:
    """Find one set that breaks GOOD where runs are noisy, or None: inconclusive rather than convict.

    The search may err, the proof decides: the set alone is as BAD, and BAD without any one of its members is as
    GOOD, each to `PROOF` on fresh runs, and none has a rate of its own. The confidence is the product over them.
    """
    if rates.rule == "inconclusive":
        return None
    everything, backwards = frozenset(order), turned(order, requires)
    seen: dict[Taken, tuple[int, int]] = {}

    def chance_of(mix: Taken) -> Generator[Taken, bool, float]:
        """Run a mix until it is told apart, or as often as allowed."""
        while True:
            bad, runs = seen.get(mix, (0, 0))
            chance = rates.chance(bad, runs)
            if runs and (chance >= PROVEN or chance <= 1 - PROVEN or runs >= MOST):
                return chance
            seen[mix] = (bad + (yield mix), runs + 1)

    members: Taken = frozenset()
    end = len(order)
    while len(members) < MOST_MEMBERS:
        place = yield from _located(order[:end], members, requires, rates, seen)
        if place is None:
            return None
        members |= {order[place]}
        alone = yield from chance_of(closed(members, requires))
        if alone >= PROVEN:
            break
        if alone > 1 - PROVEN or not place:
            return None
        end = place
    confidence, spent = 1.0, sum(runs for _, runs in seen.values())
    without = [everything - closed(frozenset({member}), backwards) for member in sorted(members)]
    for mix, wanted in [(closed(members, requires), True), *((mix, False) for mix in without)]:
        # That it is mended is shown as often as that GOOD is good.
        bad, runs = yield from _proven(mix, rates, LEAST if wanted else max(LEAST, rates.good_runs))
        spent += runs
        if bad and not wanted and rates.rule != "posterior":
            return None
        chance = rates.chance(bad, runs)
        if (chance if wanted else 1 - chance) < PROOF:
            return None
        confidence *= (chance if wanted else 1 - chance) * rates.alike(bad, runs, as_bad=wanted)
        if confidence < SURE:
            return None
    return Noisy(members, round(confidence, 4), spent)


def _proven(mix: Taken, rates: Rates, least: int) -> Generator[Taken, bool, tuple[int, int]]:
    """Run a mix afresh until it is told apart beyond doubt, or as often as allowed; return bad and all runs."""
    bad = runs = 0
    while runs < MOST and (runs < least or 1 - PROOF < rates.chance(bad, runs) < PROOF):
        bad, runs = bad + (yield mix), runs + 1
    return bad, runs


def _located(
    order: Sequence[str], members: Taken, requires: Requires, rates: Rates, seen: dict[Taken, tuple[int, int]]
) -> Generator[Taken, bool, int | None]:
    """Return the place of the last item needed, given the members: a noisy binary search to `SURE`.

    The posterior over places is Beta-Bernoulli: runs of prefixes before a place count for GOOD's rate, those from
    it on for BAD's. The next run is where the posterior is cut evenly (Ben-Or and Hassidim 2008).
    """
    size = len(order)
    told: dict[int, tuple[int, int]] = {}
    for _ in range(MOST + 8 * size.bit_length()):
        chances = _places(size, told, rates)
        best = max(range(size), key=lambda place: chances[place])
        if chances[best] >= SURE:
            return best
        reached, length = 0.0, 0
        while length < size - 1 and reached < 0.5:
            reached += chances[length]
            length += 1
        # Of the two prefixes about the middle, the one that cuts more evenly.
        if length > 1 and 0.5 - (reached - chances[length - 1]) < reached - 0.5:
            length -= 1
        mix = closed(frozenset(order[:length]) | members, requires)
        bad = yield mix
        old, total = told.get(length, (0, 0))
        told[length] = (old + bad, total + 1)
        old, total = seen.get(mix, (0, 0))
        seen[mix] = (old + bad, total + 1)
    return None


def _places(size: int, told: dict[int, tuple[int, int]], rates: Rates) -> list[float]:
    """Return the posterior of each place: item `place` is the first with which a prefix behaves as BAD."""
    scores = []
    for place in range(size):
        sides = rates
        for length, (bad, runs) in told.items():
            if length > place:
                sides = replace(sides, bad_bad=sides.bad_bad + bad, bad_runs=sides.bad_runs + runs)
            else:
                sides = replace(sides, good_bad=sides.good_bad + bad, good_runs=sides.good_runs + runs)
        scores.append(_evidence(sides.good_bad, sides.good_runs) + _evidence(sides.bad_bad, sides.bad_runs))
    highest = max(scores)
    weights = [exp(score - highest) for score in scores]
    whole = sum(weights)
    return [weight / whole for weight in weights]


def _evidence(bad: int, runs: int) -> float:
    """Return the log probability of these runs in this order, their rate being uniform: log B(bad + 1, good + 1)."""
    return lgamma(bad + 1) + lgamma(runs - bad + 1) - lgamma(runs + 2)
