"""Noise: thousands of simulated problems with flaky ends, and never a confident wrong verdict."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from replay.bisect.knowledge import Taken
from replay.bisect.noise import Noisy, Rates, noisy_cause


def measured(dice: random.Random, good: float, bad: float) -> Rates:
    rates = Rates(0, 0, 0, 0)
    while not rates.enough:
        seen = rates.good_bad + (dice.random() < good), rates.bad_bad + (dice.random() < bad)
        rates = Rates(seen[0], rates.good_runs + 1, seen[1], rates.bad_runs + 1)
    return rates


def searched(dice: random.Random, order: list[str], causes: list[Taken], rates: tuple[float, float]) -> Noisy | None:
    """Search a world whose runs are bad with the one rate or the other."""
    return told(dice, order, rates, lambda mix: rates[any(members <= mix for members in causes)])


def told(
    dice: random.Random, order: list[str], rates: tuple[float, float], rate: Callable[[Taken], float]
) -> Noisy | None:
    """Search a world that says how often a mix is bad."""
    search = noisy_cause(order, {}, measured(dice, *rates))
    try:
        mix = next(search)
        while True:
            mix = search.send(dice.random() < rate(mix))
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


def test_the_ends_are_rerun_until_their_rates_are_clear_or_never_will_be() -> None:
    assert Rates(2, 2, 1, 2).enough, "GOOD never gives its own outputs: there is no rate to tell from"
    assert not Rates(0, 6, 6, 6).enough
    assert Rates(0, 12, 11, 12).enough
    assert not Rates(0, 12, 6, 12).enough
    assert Rates(0, 28, 14, 28).enough
    assert Rates(6, 12, 6, 12).enough, "hopeless"
    assert Rates(3, 32, 10, 32).enough, "as many as there may be"


def test_a_mix_that_is_bad_now_and_then_has_a_rate_of_its_own() -> None:
    """Half a cause, or a second one: it is neither as GOOD nor as BAD."""
    rates = Rates(0, 20, 20, 20)
    assert rates.alike(0, 12, as_bad=False) > 0.95
    assert rates.alike(12, 12, as_bad=True) > 0.95
    assert rates.alike(20, 54, as_bad=False) < 0.2
    assert rates.alike(30, 54, as_bad=True) < 0.2


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
        assert right >= (125 if together == 1 else 75), "clear rates are told apart"


def test_a_coin_of_bad_s_is_told_from_a_good_that_never_fails() -> None:
    """GOOD never fails, BAD every second time: most causes are named, and none wrongly."""
    dice = random.Random(4)
    order = [f"p{number:02}" for number in range(16)]
    causes = [frozenset({dice.choice(order)}) for _ in range(100)]
    found = [searched(dice, order, [cause], (0.0, 0.5)) for cause in causes]
    named = [(each.members, cause) for each, cause in zip(found, causes, strict=True) if each is not None]
    assert all(members == cause for members, cause in named)
    assert len(named) >= 60


def _worst(rates: dict[str, float], mix: Taken) -> float:
    return max((rates.get(item, 0.0) for item in mix), default=0.0)


def test_a_second_cause_that_acts_every_other_time_is_not_overlooked() -> None:
    """Taking the sure one breaks GOOD; without it BAD is bad at times: that is not mended, so nothing is named."""
    dice = random.Random(7)
    named = 0
    for _ in range(500):
        order = [f"p{number:02}" for number in range(4)]
        sure, coin = dice.sample(order, 2)
        world = {sure: 1.0, coin: 0.5}
        rate = partial(_worst, world)
        named += told(dice, order, (0.0, 1.0), rate) is not None
    assert named <= 2


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
