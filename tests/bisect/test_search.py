"""The search on problems whose answer is known: exact sets, few probes, nothing claimed over a gap."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

import pytest

from replay.bisect.search import Found, Outcome, Taken, closed, drive, in_order, narrow, sweep

LAYERS = ("inputs", "pipeline", "model", "runtime", "access")


def causes(*sets: Iterable[str]) -> Callable[[Taken], Outcome]:
    """A world in which a mix is bad where it holds all of one of these sets."""
    wanted = [frozenset(members) for members in sets]
    return lambda taken: "bad" if any(members <= taken for members in wanted) else "good"


class World:
    """Answers a search and counts what it was asked."""

    def __init__(self, outcome: Callable[[Taken], Outcome]) -> None:
        self.outcome = outcome
        self.asked: list[Taken] = []

    def __call__(self, mixes: list[Taken]) -> Mapping[Taken, Outcome]:
        self.asked += mixes
        return {mix: self.outcome(mix) for mix in mixes}


def search(items: Iterable[str], outcome: Callable[[Taken], Outcome]) -> tuple[Found, World]:
    world = World(outcome)
    return drive(sweep(tuple(items)), world), world


def sets(*members: Iterable[str]) -> set[Taken]:
    return {frozenset(each) for each in members}


def test_one_cause_breaks_good_and_its_reversal_mends_bad() -> None:
    found, _ = search(LAYERS, causes(["runtime"]))
    assert set(found.breaks) == set(found.mends) == sets(["runtime"])


def test_two_that_act_only_together_break_as_a_pair_and_either_mends() -> None:
    found, _ = search(LAYERS, causes(["runtime", "pipeline"]))
    assert set(found.breaks) == sets(["runtime", "pipeline"])
    assert set(found.mends) == sets(["runtime"], ["pipeline"])


def test_two_independent_causes_each_break_and_only_both_mend() -> None:
    found, _ = search(LAYERS, causes(["model"], ["pipeline"]))
    assert set(found.breaks) == sets(["model"], ["pipeline"])
    assert set(found.mends) == sets(["model", "pipeline"])


def test_a_pair_beside_a_single_cause() -> None:
    found, _ = search(LAYERS, causes(["model"], ["runtime", "access"]))
    assert set(found.breaks) == sets(["model"], ["runtime", "access"])
    assert all(mend & members for mend in found.mends for members in found.breaks)


def test_two_layers_cost_two_probes_because_each_is_the_others_reversal() -> None:
    _, world = search(("pipeline", "runtime"), causes(["pipeline"]))
    assert len(world.asked) == 2


def test_single_causes_cost_two_probes_an_item_and_one_look_at_the_rest() -> None:
    for number in (3, 4, 5):
        _, world = search(LAYERS[:number], causes([LAYERS[0]]))
        assert len(world.asked) <= 2 * number + 2


def test_nothing_is_asked_twice_and_the_ends_never() -> None:
    _, world = search(LAYERS, causes(["inputs", "access"]))
    assert len(world.asked) == len(set(world.asked))
    assert frozenset() not in world.asked
    assert frozenset(LAYERS) not in world.asked


def test_what_could_not_run_is_a_gap_and_no_guilt() -> None:
    """b and c must move together: every mix that splits them cannot run."""

    def outcome(taken: Taken) -> Outcome:
        return "unresolved" if len(taken & {"b", "c"}) == 1 else causes(["c"])(taken)

    found, _ = search("abcd", outcome)
    assert found.breaks == (frozenset("bc"),)
    assert [set(gap.items) for gap in found.gaps] == [{"b", "c"}] * len(found.gaps)
    assert found.gaps


def test_a_mix_that_fails_in_its_own_way_is_not_bad() -> None:
    found, _ = search("abc", lambda taken: "other" if taken == frozenset("b") else causes("a")(taken))
    assert set(found.breaks) == sets("a")


@pytest.mark.parametrize("seed", range(300))
def test_random_worlds_come_out_exactly(seed: int) -> None:
    """Any one to three disjoint causes among up to nine items are found, and nothing else."""
    dice = random.Random(seed)
    items = "abcdefghi"[: dice.randint(2, 9)]
    pool = list(items)
    dice.shuffle(pool)
    wanted = []
    while pool and len(wanted) < dice.randint(1, 3):
        size = min(dice.choice((1, 1, 2, 3)), len(pool))
        wanted.append([pool.pop() for _ in range(size)])
    found, world = search(items, causes(*wanted))
    assert set(found.breaks) == sets(*wanted)
    assert found.mends
    for mend in found.mends:
        assert world.outcome(frozenset(items) - mend) == "good"
        assert all(world.outcome(frozenset(items) - mend | {member}) == "bad" for member in mend), "not minimal"


def chain(*links: tuple[str, str]) -> dict[str, Taken]:
    """Requirements written as pairs: the first requires the second."""
    return {item: frozenset(other for first, other in links if first == item) for item, _ in links}


def deep(
    items: Iterable[str], outcome: Callable[[Taken], Outcome], requires: Mapping[str, Taken] | None = None
) -> tuple[Found, World]:
    world = World(outcome)
    order = [item for atom in in_order(tuple(items), requires or {}) for item in atom]
    return drive(narrow(order, requires or {}), world), world


ITEMS = [f"p{number:03}" for number in range(128)]


def test_one_of_128_costs_about_log2() -> None:
    for culprit in (ITEMS[0], ITEMS[63], ITEMS[127]):
        found, world = deep(ITEMS, causes([culprit]))
        assert found.breaks == found.mends == (frozenset({culprit}),)
        assert len(world.asked) <= 10


def test_a_pair_of_128() -> None:
    found, world = deep(ITEMS, causes([ITEMS[5], ITEMS[90]]))
    assert found.breaks == (frozenset({ITEMS[5], ITEMS[90]}),)
    assert set(found.mends) == sets([ITEMS[5]], [ITEMS[90]])
    assert len(world.asked) <= 20


def test_two_independent_of_128() -> None:
    found, _ = deep(ITEMS, causes([ITEMS[5]], [ITEMS[90]]))
    assert set(found.breaks) == sets([ITEMS[5]], [ITEMS[90]])
    assert found.mends == (frozenset({ITEMS[5], ITEMS[90]}),)


def test_what_is_required_goes_along_and_is_not_blamed() -> None:
    """pandas needs the new numpy; the old pytz may only go once pandas has gone."""
    requires = chain(("pandas", "numpy"), ("pytz", "pandas"))

    def outcome(taken: Taken) -> Outcome:
        assert not ("pandas" in taken and "numpy" not in taken), "an environment that no installer would make"
        assert not ("pytz" in taken and "pandas" not in taken)
        return causes(["pandas"])(taken)

    found, _ = deep(["pytz", "pandas", "numpy", "six", "idna"], outcome, requires)
    assert found.breaks == found.mends == (frozenset({"pandas"}),)


def test_requirements_come_first_and_circles_are_one() -> None:
    requires = chain(("a", "b"), ("b", "c"), ("c", "b"), ("d", "a"))
    assert in_order("dabc", requires) == [("b", "c"), ("a",), ("d",)]
    assert closed(frozenset("d"), requires) == frozenset("dabc")


@pytest.mark.parametrize("seed", range(200))
def test_random_worlds_with_requirements_are_never_split(seed: int) -> None:
    """Every mix asked for is consistent, and the one cause is among what is found, alone."""
    dice = random.Random(seed)
    items = [f"p{number:02}" for number in range(dice.randint(2, 40))]
    links = [(a, b) for a in items for b in items if a > b and dice.random() < 0.05]
    requires = chain(*links)
    culprit = dice.choice(items)

    def outcome(taken: Taken) -> Outcome:
        assert all(other in taken for item in taken for other in requires.get(item, ())), "inconsistent"
        return causes([culprit])(taken)

    found, world = deep(items, outcome, requires)
    assert found.breaks == found.mends == (frozenset({culprit}),)
    assert len(world.asked) <= len(items).bit_length() + 3
