"""A job that does not always give the same: both ends' rates are measured, and they choose the rule (`bisect/noise`).

What is named is shown by many runs of the same mixes; where that cannot be had the verdict stays `nondeterministic`,
with the rates. Like is held against like here too: the mixes are of execution, over the inputs that BAD had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from replay.bisect.case import NOTHING, Case
from replay.bisect.counterfactual import by_chance, effect_of, execution_share
from replay.bisect.hunt import Caught, along, between_atoms, flip_pair
from replay.bisect.judge import judge
from replay.bisect.noise import Noisy, Rates, noisy_cause
from replay.bisect.probe import Probe
from replay.bisect.search import Found, Outcome, Taken, in_order
from replay.bisect.verdict import Verdict
from replay.rerun import held_against

Judge = Callable[[Probe], Outcome]

SUSPICIOUS = 6
"""Reruns of each end after which reruns that all agree, and not with the record, are no chance."""


class _NeitherEnd(Exception):
    """A mix could not run, or failed as neither end does: of such nothing is learned, and nothing is claimed."""


def by_rates(case: Case, stopped: Verdict, outcome: Judge) -> Verdict:
    """Return what rates show where `stopped` could not go on; `stopped` with the rates where they show nothing.

    Raises BudgetSpent, and what running a probe raises.
    """
    case.prober.expected = 0  # how often each mix must run is for the dice to say
    try:
        rates = _measured(case, stopped, outcome)
        if rates is None:
            return stopped.model_copy(update={"probes": case.prober.probes})
        said = _words(rates)
        case.lines.append(said)
        case.bench.progress(said)
        noisy = None if rates.rule == "inconclusive" else _searched(case, rates, outcome)
    except _NeitherEnd as neither:
        return _still(case, stopped, str(neither))
    if noisy is None:
        alike = "the two are not told apart" if rates.rule == "inconclusive" else "no change was proven to be the cause"
        return _still(case, stopped, f"{said}; {alike}")
    return _named(case, noisy, said)


def _still(case: Case, stopped: Verdict, why: str) -> Verdict:
    if stopped.verdict != "nondeterministic":
        return by_chance(case, why)
    return case.stop("nondeterministic", f"{stopped.sentence}; {why}", stopped.advice)


def _floor(case: Case) -> Taken:
    """Return what every mix takes: BAD's inputs, unless a test judges, for which inputs are a layer like any other."""
    return NOTHING if case.options.test is not None else case.inputs


def _measured(case: Case, stopped: Verdict, outcome: Judge) -> Rates | None:
    """Rerun good and today's execution in turn until their rates are clear; None where `stopped` stands as it is.

    That is where nothing lies between them, and where the reruns of an end agree after all. GOOD itself is an end
    beside those: over other inputs good execution must be sure of itself before anything is held against it.
    """
    floor, top = _floor(case), case.everything
    if floor == top:
        return None
    ends = list(dict.fromkeys([NOTHING, floor, top]))
    results: dict[Taken, list[Outcome]] = {end: [] for end in ends}
    for number in range(case.options.repeat, 1000):
        upto = [(end, repetition) for repetition in range(len(results[top]), number) for end in ends]
        for end, probe in zip((end for end, _ in upto), case.prober.repeated(upto), strict=True):
            result = outcome(probe)
            if result in ("other", "unresolved"):
                raise _NeitherEnd(f"a rerun of {case.prober.label(end)} {_failed(probe)}")
            results[end].append(result)
        rates = Rates(results[floor].count("bad"), number, results[top].count("bad"), number)
        if stopped.verdict == "outside-the-state" and number < SUSPICIOUS:
            continue
        if stopped.verdict == "outside-the-state" and _agree(case, number):
            return None
        if floor and "bad" in (*results[NOTHING], *results[floor]):
            raise _NeitherEnd(
                f"good execution itself does not always give the same, and the inputs differ: {_words(rates)}"
            )
        if rates.enough:
            return rates
    raise AssertionError("rates are enough at some time")


def _agree(case: Case, number: int) -> bool:
    """Whether the reruns of each end agree with each other."""
    for end in (NOTHING, case.everything):
        first, *others = [run for n in range(number) if (run := case.prober.done[end, n].record) is not None]
        found = [held_against(case.bench, first, other) for other in others]
        if any(difference is not None and difference.matters for difference in found):
            return False
    return True


def _failed(probe: Probe) -> str:
    return f"could not be run: {probe.trouble}" if probe.record is None else "failed as neither end did"


def _searched(case: Case, rates: Rates, outcome: Judge) -> Noisy | None:
    """Drive the search: each time it asks for a mix, one more run of it is made; none from before counts."""
    parts, requires = _items(case)
    floor = _floor(case)
    order = [name for names in in_order(list(parts), requires) for name in names]
    search = noisy_cause(order, requires, rates)
    used: dict[Taken, int] = {}
    try:
        names = next(search)
        while True:
            mix = floor.union(*(parts[name] for name in names))
            again = used.setdefault(mix, sum(1 for taken, _ in case.prober.done if taken == mix))
            used[mix] += 1
            (probe,) = case.prober.repeated([(mix, again)])
            result = outcome(probe)
            if result in ("other", "unresolved"):
                raise _NeitherEnd(f"{case.prober.label(mix)} {_failed(probe)}")
            names = search.send(result == "bad")
    except StopIteration as stop:
        found: Noisy | None = stop.value
        return found


def _items(case: Case) -> tuple[Mapping[str, Taken], Mapping[str, Taken]]:
    """Return what is searched (atoms, or whole layers) and what each requires."""
    scope = case.everything - _floor(case)
    if not case.options.drill:
        return {name: atoms for name, atoms in case.prober.layers.items() if atoms <= scope}, {}
    return {name: frozenset({name}) for name in case.prober.atoms if name in scope}, between_atoms(case, scope)


def _named(case: Case, noisy: Noisy, said: str) -> Verdict:
    """Conclude: the set breaks GOOD, and each of its members alone mends BAD."""
    scope = case.everything - _floor(case)
    mends = tuple(frozenset({member}) for member in sorted(noisy.members))
    found = Found((noisy.members,), mends, {})
    carried = along(found, between_atoms(case, scope), scope) if case.options.drill else NOTHING
    caught = Caught(found, fine=case.options.drill, carried=carried)
    effect, share = None, 1.0
    if _floor(case):
        today = case.prober.done[case.inputs, 0].record
        if today is None:
            raise AssertionError("good execution over today's inputs was measured")
        effect = effect_of(case, today)
        case.lines.append(f"good execution over today's data: {effect.sentence}")
        share = execution_share(case, today) if effect.material else 1.0
        effect = replace(effect, share=1 - share)
    case.lines += flip_pair(case, caught)
    evidence = case.evidence(found, effect, {noisy.members: share}, caught.fine, carried)
    return judge(replace(evidence, noise=said, sure=noisy.confidence))


def _words(rates: Rates) -> str:
    """Say what was measured, and what is called bad."""
    return (
        f"runs of one state differ: not as GOOD were {rates.good_bad} of {rates.good_runs} reruns of good execution "
        f"and {rates.bad_bad} of {rates.bad_runs} of BAD"
    )
