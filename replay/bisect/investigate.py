"""The investigation: endpoints, counterfactuals, hunt, verdict (design 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from replay.bisect import endpoints
from replay.bisect.budget import BudgetSpent
from replay.bisect.case import NOTHING, Case, Options, atoms_of, clock_change, layers_of, requires_of
from replay.bisect.certificate import contradicted
from replay.bisect.counterfactual import (
    answering,
    broken,
    by_chance,
    effect_of,
    execution_share,
    over_inputs,
    parts_of,
    told_apart,
)
from replay.bisect.flaky import by_rates
from replay.bisect.focus import focused
from replay.bisect.hunt import Answer, Caught, flip_pair, hunt, shares
from replay.bisect.imported import imported
from replay.bisect.judge import judge
from replay.bisect.plan import Plan, plan
from replay.bisect.probe import Probe, Prober, finished, open_journal
from replay.bisect.search import Outcome, Taken
from replay.bisect.verdict import CLOCK, DataEffect, Group, Verdict
from replay.digest import canonical, of_bytes, short
from replay.errors import CompareError, ReplayError
from replay.execute import Order, Workbench
from replay.history import origins
from replay.layers.release import Pair, fetch, load, workspace
from replay.record import RunRecord
from replay.references.base import Ground
from replay.rerun import RECORDED, held_against, noise_of, noise_words
from replay.store.base import Store


def investigate(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Verdict:
    """Find which change moved the outputs, and say whether retraining is the answer.

    Raises ReplayError where the two runs cannot be compared at all (other jobs, a GOOD that failed).
    """
    if options.noise:
        clock = RECORDED if options.hold_clock else None
        bench = replace(bench, noise=noise_of(bench, good, options.noise, clock))
    case = _open(bench, good, bad, options)
    if options.noise:
        case.lines.append(noise_words(bench.noise, options.noise))
    if bad.started < good.started:
        case.lines.append("BAD ran before GOOD: if they were swapped, read from and to the other way round")
    try:
        found = endpoints.check(case) or (_by_outputs(case) if options.test is None else _by_test(case))
        chance = found.verdict in ("nondeterministic", "outside-the-state")
        return by_rates(case, found, _judging(case)) if chance else found
    except BudgetSpent as spent:
        return case.stop("inconclusive", f"{spent.what}, and no cause is shown yet", spent.do)


def _open(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Case:
    _comparable(good, bad, options)
    for run in (good, bad):
        fetch(load(bench.store, run.state), Ground(bench.root, bench.environ), bench.store)
    pair = pair_of(bench.store, good, bad, options.history)
    options = replace(options, focus=replace(options.focus, imported=imported(pair)))
    held = options.hold_clock and _holdable(bench, pair)
    atoms = _between(bench, pair, good, bad, options, held=held)
    layers = layers_of(atoms)
    requires = {**requires_of(pair), CLOCK: NOTHING}
    ahead = plan(atoms, requires, options)
    bench.progress(f"at most {len(ahead.steps)} probes while single changes act, {ahead.words(good, bad)}")
    identity = {"good": good.id, "bad": bad.id, "engine": bench.engine.name, "test": options.test_name}
    identity |= {} if options.hold_clock else {"clock": "now"}
    journal = open_journal(bench, short(of_bytes(canonical(identity))))
    before = finished(journal)
    if options.resume and not before:
        raise ReplayError(
            "there is nothing to resume for these two runs",
            cause="no bisect of them was begun in this store with this engine and this test",
            do="leave out --resume",
        )
    if options.resume:
        bench.progress(f"resuming: {len(before)} probes had ended, none of them runs again")
    outputs = {name: output.spec for name, output in good.outputs.items()}
    prober = Prober(
        bench=bench,
        pair=pair,
        atoms=atoms,
        layers=layers,
        order=Order(outputs=outputs, limits=good.limits, reason="probe"),
        journal=journal,
        jobs=options.jobs,
        fresh=options.fresh,
        expected=len(ahead.steps),
        budget=options.budget,
        clocks=(good.clock_began, bad.clock_began) if held else None,
        ends=frozenset({good.exit_code, bad.exit_code}),
    )
    return Case(bench, good, bad, prober, options, requires)


def planned(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> tuple[Plan, dict[str, Group]]:
    """Return what `investigate` would probe, and the changes between the two runs; nothing runs."""
    _comparable(good, bad, options)
    pair = pair_of(bench.store, good, bad, options.history)
    atoms = _between(bench, pair, good, bad, options, held=options.hold_clock and _holdable(bench, pair))
    return plan(atoms, {**requires_of(pair), CLOCK: NOTHING}, options), atoms


def _between(
    bench: Workbench, pair: Pair, good: RunRecord, bad: RunRecord, options: Options, *, held: bool
) -> dict[str, Group]:
    clock = clock_change(good, bad) if held else None
    if not pair.changes and clock and _alike(bench, good, bad):
        clock = None  # one state and the same outputs: nothing is left for a clock to explain
    return focused(atoms_of(pair, clock), options.focus)


def _holdable(bench: Workbench, pair: Pair) -> bool:
    """Whether the clock can be held here in every mix: on both bases."""
    needs = [workspace(release).base for release in (pair.good, pair.bad)]
    for base in needs:
        try:
            if base is None or "clock" in bench.engine.not_held(base):
                return False
        except ReplayError:
            return False  # the base is not here: the endpoints say so
    return True


def _alike(bench: Workbench, good: RunRecord, bad: RunRecord) -> bool:
    difference = held_against(bench, good, bad)
    return difference is None or not difference.matters


def pair_of(store: Store, good: RunRecord, bad: RunRecord, history: Path | None) -> Pair:
    """Return the two releases and what lies between them, with the commits that brought it where they are known."""
    sides = load(store, good.state), load(store, bad.state)
    known = origins(history, (good.provenance, bad.provenance), sides, store) if history else {}
    return Pair(*sides, store, known, (good.provenance.base, bad.provenance.base))


def _comparable(good: RunRecord, bad: RunRecord, options: Options) -> None:
    if good.job != bad.job or good.outputs.keys() != bad.outputs.keys():
        raise ReplayError(
            f"these are runs of different jobs: {good.job} ({', '.join(good.outputs)}) and {bad.job} "
            f"({', '.join(bad.outputs)})",
            cause="one of the two references names another job's run, or the outputs were declared anew in between",
            do="`replay log` lists runs with their jobs",
        )
    if not good.ok and options.test is None:
        raise ReplayError(
            f"GOOD ({short(good.id)}) did not end well itself",
            cause="the job failed or left an output unwritten in that run, so there is nothing good to compare with",
            do="name a run that ended with exit code 0; `replay log` lists them",
        )


def _by_outputs(case: Case) -> Verdict:
    """Like with like: every mix is held against good execution over the same inputs."""
    inputs, execution = case.inputs, case.everything - case.inputs
    effect, today = None, case.good
    if inputs:
        probe = case.prober.all([inputs])[0]
        if probe.record is None or not probe.record.ok:
            why = probe.trouble or "the job failed"
            case.lines.append(f"good execution over today's data could not be had: {why}")
            return broken(case, probe)
        today = probe.record
        effect = effect_of(case, today)
        case.lines.append(f"good execution over today's data: {effect.sentence}")
    scope = _scope(case, execution, today) if execution else None
    caught = hunt(case, scope, _over_like_inputs(case)) if scope is not None else None
    if scope and caught and (doubt := contradicted(case, caught, scope, partial(_compared, case))):
        return by_chance(case, doubt)
    parts = shares(case, scope, caught, case.reference) if scope is not None and caught is not None else {}
    if effect is None or not (effect.material or (effect.matters and caught is None)):
        return _judged(case, caught, effect, parts)
    if caught is not None:
        part = execution_share(case, today)
        parts = {members: share * part for members, share in parts.items()}
        effect = replace(effect, share=1 - part)
    moved = told_apart(case, today)
    if moved is not None:
        if doubt := contradicted(case, moved, case.inputs, over_inputs(case, today)):
            return by_chance(case, doubt)
        parts |= parts_of(case, moved, effect)
    return _judged(case, caught, effect, parts, moved)


def _over_like_inputs(case: Case) -> Answer:
    """Return the answer that holds each mix against good execution over the inputs it has."""

    def answer(mixes: list[Taken]) -> dict[Taken, Outcome]:
        asked = [mix for mix in mixes if not mix <= case.inputs]
        references = [mix & case.inputs for mix in asked if mix & case.inputs]
        probes = case.prober.all(list(dict.fromkeys([*references, *asked])))
        found = {probe.taken: _compared(case, probe) for probe in probes}
        # Good execution is what the others are held against.
        return {mix: found[mix] if mix in asked else "good" for mix in mixes}

    return answer


def _scope(case: Case, execution: Taken, today: RunRecord) -> Taken | None:
    """Return the atoms to look at, or None where execution is innocent over both data sets."""
    bad = case.prober.all([case.everything])[0]
    if _compared(case, bad) == "bad":
        same = "over today's data" if case.inputs else "over the same inputs"
        case.lines.append(f"{same}, today's execution differs from the good one: {_moved(case, today)}")
        return case.everything
    if not case.inputs:
        case.lines.append("GOOD and BAD give the same outputs")
        return None
    then = case.prober.all([execution])[0]
    if _compared(case, then) == "bad":
        case.lines.append("today's execution differs over the good data, though not over today's")
        return execution
    case.lines.append("today's execution gives the same as good execution, over today's data and over the good data")
    return None


def _compared(case: Case, probe: Probe) -> Outcome:
    """Return a probe's outcome against the run with the same inputs."""
    reference = case.reference(probe.taken)
    if probe.record is None or reference is None:
        return "unresolved"
    if not probe.record.ok and not reference.ok:
        return "good"
    if probe.record.exit_code != 0 or probe.record.ended != "exit":
        alike = (probe.record.exit_code, probe.record.ended) == (case.bad.exit_code, case.bad.ended)
        return "bad" if alike else "other"
    try:
        difference = held_against(case.bench, reference, probe.record)
    except CompareError:
        # What cannot be read as a table any more is BAD's behaviour where BAD wrote the very same, and no one's else.
        return "bad" if probe.record.outputs == case.bad.outputs else "other"
    return "bad" if difference is not None and difference.matters else "good"


def _judging(case: Case) -> Callable[[Probe], Outcome]:
    """Return who says what came of a probe: the user's test, else the run with the same inputs."""
    test = case.options.test
    if test is None:
        return partial(_compared, case)
    return lambda probe: "unresolved" if probe.record is None else test(probe.record)


def _by_test(case: Case) -> Verdict:
    """The user's test decides; inputs are then a layer like any other."""
    outcome = _judging(case)
    ends = case.prober.all([NOTHING, case.everything])
    said = [outcome(probe) for probe in ends]
    if said != ["good", "bad"]:
        raise ReplayError(
            f"the test does not tell GOOD from BAD: it calls GOOD {said[0]} and BAD {said[-1]}",
            cause="the test looks at something that did not change, or its exit codes are other than 0 good, 1 bad, "
            "125 cannot say",
            do="run the test by hand in a folder with each run's outputs",
        )
    caught = hunt(case, case.everything, answering(case, outcome))
    if doubt := contradicted(case, caught, case.everything, outcome):
        return by_chance(case, doubt)
    return _judged(case, caught, None, dict.fromkeys(caught.found.breaks, 1.0 / len(caught.found.breaks or (1,))))


def _judged(
    case: Case,
    caught: Caught | None,
    effect: DataEffect | None,
    parts: dict[Taken, float],
    moved: Caught | None = None,
) -> Verdict:
    shown = caught or moved
    if shown is not None:
        case.lines += flip_pair(case, shown)
    evidence = case.evidence(
        found=caught.found if caught else None,
        effect=effect,
        shares=parts,
        fine=caught.fine if caught else False,
        carried=(caught.carried if caught else NOTHING) | (moved.carried if moved else NOTHING),
        moved=moved.found if moved else None,
    )
    return judge(evidence)


def _moved(case: Case, reference: RunRecord) -> str:
    """Say in a line how BAD's outputs differ from those of good execution over the same inputs."""
    try:
        difference = held_against(case.bench, reference, case.bad, explain=True)
    except CompareError as error:
        return error.what
    return difference.headline if difference else "not at all"
