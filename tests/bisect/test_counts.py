"""How many probes an answer costs, on problems whose answer is known. Every answer is checked to be exact."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping

import pytest

from replay.bisect.search import Outcome, Taken, drive, narrow
from tests.bisect.problems import (
    Oracle,
    Problem,
    flat,
    layer_by_layer,
    layered,
    locks,
    made_up_locks,
    to_the_answer,
    with_proof,
)


def mean(problems: Iterable[Problem], search: Callable[[Problem], Oracle]) -> float:
    oracles = [search(problem) for problem in problems]
    assert not sum(oracle.unresolved for oracle in oracles), "every mix asked for can run"
    return statistics.mean(len(oracle.asked) for oracle in oracles)


@pytest.mark.parametrize(
    ("size", "together", "at_most"),
    [(32, 1, 6.5), (32, 2, 11.5), (32, 3, 16.5), (128, 1, 8.5), (128, 2, 15.5), (128, 3, 23)],
)
def test_probes_to_the_exact_answer(size: int, together: int, at_most: float) -> None:
    assert mean(flat(size, together, limit=200), to_the_answer) <= at_most


@pytest.mark.parametrize(("size", "together", "at_most"), [(32, 1, 6.5), (32, 2, 13.6), (128, 1, 8.5), (128, 2, 17.7)])
def test_probes_with_the_proof_in_both_directions(size: int, together: int, at_most: float) -> None:
    """The single culprit's proof costs half a probe: leaving it out of BAD also ends the search for it."""
    assert mean(flat(size, together, limit=200), with_proof) <= at_most


@pytest.mark.parametrize(("kind", "at_most"), [("one", 21), ("pair", 28), ("across", 30), ("two", 28)])
def test_probes_among_85_changes_in_six_layers_sweep_and_proof_included(kind: str, at_most: float) -> None:
    assert mean(layered(kind, limit=150), layer_by_layer) <= at_most


@pytest.mark.parametrize(("together", "at_most"), [(1, 9), (2, 16.2)])
def test_probes_on_a_graph_of_requirements_none_of_them_unresolvable(together: int, at_most: float) -> None:
    assert mean(locks(*made_up_locks(), together, limit=150), to_the_answer) <= at_most


def test_independent_causes_cost_little_more_each() -> None:
    items = tuple(f"p{number:02}" for number in range(32))
    problems = [Problem(items, (frozenset({a}), frozenset({b}))) for a in items[::3] for b in items[1::5] if a != b]
    assert mean(problems, with_proof) <= 16


def test_several_at_once_take_fewer_rounds() -> None:
    items = tuple(f"p{number:03}" for number in range(128))

    def rounds(item: str, width: int) -> int:
        oracle = Oracle(Problem(items, (frozenset({item}),)))
        batches = []

        def answer(mixes: list[Taken]) -> Mapping[Taken, Outcome]:
            batches.append(mixes)
            return oracle(mixes)

        found = drive(narrow(items, {}, width=width), answer)
        assert found.breaks == found.mends == (frozenset({item}),)
        assert max(map(len, batches)) <= width
        return len(batches)

    assert sum(rounds(item, 4) for item in items[::5]) <= 0.75 * sum(rounds(item, 1) for item in items[::5])


def test_a_suspect_that_did_it_is_found_in_two_probes() -> None:
    items = tuple(f"p{number:03}" for number in range(128))
    oracle = Oracle(Problem(items, (frozenset({"p077"}),)))
    found = drive(narrow(items, {}, weights={"p077": 128.0}), oracle)
    assert found.breaks == (frozenset({"p077"}),)
    assert len(oracle.asked) == 2


def test_every_way_to_mend_comes_out_where_it_is_asked_for() -> None:
    """Two causes that share a member: the hitting sets are the shared one, or the other two."""
    oracle = Oracle(Problem(tuple("abcdefgh"), (frozenset("ab"), frozenset("ac"))))
    found = drive(narrow(tuple("abcdefgh"), {}, every=True), oracle)
    assert set(found.breaks) == {frozenset("ab"), frozenset("ac")}
    assert set(found.mends) == {frozenset("a"), frozenset("bc")}
