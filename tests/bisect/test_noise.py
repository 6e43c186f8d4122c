"""Noise: thousands of simulated problems with flaky ends, and never a confident wrong verdict."""

from __future__ import annotations

import random

import pytest

from replay.bisect.knowledge import Taken
from replay.bisect.noise import Noisy, Rates, noisy_cause


def measured(dice: random.Random, good: float, bad: float, runs: int) -> Rates:
    return Rates(
        sum(dice.random() < good for _ in range(runs)), runs, sum(dice.random() < bad for _ in range(runs)), runs
    )


def searched(
    dice: random.Random, order: list[str], causes: list[Taken], rates: tuple[float, float], runs: int = 12
) -> Noisy | None:
    """Search a world whose runs are bad with the one rate or the other."""
    search = noisy_cause(order, {}, measured(dice, *rates, runs))
    try:
        mix = next(search)
        while True:
            rate = rates[any(members <= mix for members in causes)]
            mix = search.send(dice.random() < rate)
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize(
    ("rates", "rule"),
    [
        (Rates(0, 2, 2, 2), "deterministic"),
        (Rates(0, 10, 6, 10), "any-of-n"),
        (Rates(2, 20, 16, 20), "posterior"),
        (Rates(4, 10, 6, 10), "inconclusive"),
        (Rates(9, 10, 1, 10), "inconclusive"),
    ],
)
def test_the_measured_rates_choose_the_rule(rates: Rates, rule: str) -> None:
    assert rates.rule == rule


def test_where_good_never_fails_a_mix_is_good_after_enough_good_runs() -> None:
    assert Rates(0, 20, 10, 20).enough == 7
    assert Rates(0, 20, 20, 20).enough == 2


def test_more_bad_runs_make_a_mix_likelier_bad() -> None:
    rates = Rates(2, 20, 16, 20)
    chances = [rates.chance(bad, 6) for bad in range(7)]
    assert chances == sorted(chances)
    assert chances[0] < 0.01 < 0.99 < chances[-1]


@pytest.mark.parametrize("rates", [(0.0, 1.0), (0.0, 0.5), (0.05, 0.9), (0.1, 0.7), (0.3, 0.7), (0.4, 0.6)])
@pytest.mark.parametrize("together", [1, 2])
def test_no_confident_wrong_verdict(rates: tuple[float, float], together: int) -> None:
    dice = random.Random(f"{rates} {together}")
    right = wrong = 0
    for _ in range(250):
        order = [f"p{number:02}" for number in range(dice.choice((4, 9, 16)))]
        cause = frozenset(dice.sample(order, together))
        found = searched(dice, order, [cause], rates)
        right += found is not None and found.members == cause
        wrong += found is not None and found.members != cause
    assert not wrong
    if rates in ((0.0, 1.0), (0.05, 0.9)):
        assert right >= 150, "clear rates are told apart"


def test_more_reruns_of_the_ends_tell_more() -> None:
    """GOOD never fails, BAD every second time: after 40 reruns of each end most causes are named, and none wrongly."""
    dice = random.Random(4)
    order = [f"p{number:02}" for number in range(16)]
    causes = [frozenset({dice.choice(order)}) for _ in range(100)]
    found = [searched(dice, order, [cause], (0.0, 0.5), runs=40) for cause in causes]
    named = [(each.members, cause) for each, cause in zip(found, causes, strict=True) if each is not None]
    assert all(members == cause for members, cause in named)
    assert len(named) >= 80


def test_two_independent_causes_are_not_taken_for_one() -> None:
    """Reverting either does not mend BAD: the proof fails, and nothing is said."""
    dice = random.Random(5)
    for _ in range(250):
        order = [f"p{number:02}" for number in range(9)]
        one, other = dice.sample(order, 2)
        assert searched(dice, order, [frozenset({one}), frozenset({other})], (0.05, 0.9)) is None


def test_ends_that_behave_alike_convict_nobody() -> None:
    """The change has no effect; the job is flaky."""
    dice = random.Random(6)
    order = [f"p{number:02}" for number in range(9)]
    assert all(searched(dice, order, [frozenset({"none"})], (0.4, 0.4)) is None for _ in range(500))
