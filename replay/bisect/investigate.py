"""The investigation: endpoints, counterfactuals, hunt, verdict (design 4.5)."""

from __future__ import annotations

from collections.abc import Callable

from replay.bisect import endpoints
from replay.bisect.case import NOTHING, Case, Options, atoms_of, first, layers_of, requires_of
from replay.bisect.effect import data_effect, distance
from replay.bisect.hunt import Caught, hunt, shares
from replay.bisect.judge import judge
from replay.bisect.probe import Probe, Prober, finished, open_journal
from replay.bisect.search import Outcome, Taken
from replay.bisect.verdict import DataEffect, Verdict
from replay.digest import canonical, of_bytes, short
from replay.errors import CompareError, ReplayError
from replay.execute import Order, Workbench
from replay.layers.release import Pair, load
from replay.record import RunRecord
from replay.rerun import ending, held_against


def investigate(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Verdict:
    """Find which change moved the outputs, and say whether retraining is the answer.

    Raises ReplayError where the two runs cannot be compared at all (other jobs, a GOOD that failed).
    """
    case = _open(bench, good, bad, options)
    stopped = endpoints.check(case)
    if stopped is not None:
        return stopped
    return _by_outputs(case) if options.test is None else _by_test(case)


def _open(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Case:
    _comparable(good, bad, options)
    pair = Pair(load(bench.store, good.state), load(bench.store, bad.state), bench.store)
    atoms = atoms_of(pair)
    layers = layers_of(atoms)
    identity = {"good": good.id, "bad": bad.id, "engine": bench.engine.name, "test": options.test_name}
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
        expected=at_most(len(atoms), len(layers), options),
    )
    return Case(bench, good, bad, prober, options, requires_of(pair))


def at_most(atoms: int, layers: int, options: Options) -> int:
    """Return how many probes a bisect takes while single changes act: ends, sweep, binary search, its proof."""
    ends = options.repeat * (2 if atoms else 1)
    sweep = 0 if layers < 2 else 2 if layers == 2 else 2 * layers
    drill = atoms.bit_length() + 3 if options.drill and atoms > layers else 0
    return ends + sweep + drill


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
    inputs = case.everything & {"inputs"}
    execution = case.everything - inputs
    references: dict[Taken, RunRecord] = {NOTHING: case.good}
    effect: DataEffect | None = None
    if inputs:
        today = case.prober.all([inputs])[0]
        if today.record is None or not today.record.ok:
            why = today.trouble or "the job failed"
            case.lines.append(f"good execution over today's data could not be had: {why}")
            return _inputs_break_the_job(case, today)
        references[inputs] = today.record
        effect = _effect(case, today.record)
        case.lines.append(f"good execution over today's data: {effect.sentence}")

    def outcome(probe: Probe) -> Outcome:
        return _compared(case, references.get(probe.taken & inputs), probe)

    if not execution:
        return judge(case.evidence(None, effect))
    scope = _scope(case, execution, inputs, outcome, references[inputs])
    if scope is None:
        return judge(case.evidence(None, effect))
    caught = hunt(case, scope, outcome)
    parts = shares(case, scope, caught, references)
    if effect is not None and effect.material:
        effect, parts = _split(case, effect, parts, references[inputs])
    return _judged(case, caught, effect, parts)


def _effect(case: Case, today: RunRecord) -> DataEffect:
    try:
        return data_effect(case.good, today, case.bench.store)
    except CompareError as error:
        return DataEffect(True, True, f"its outputs cannot be compared any more: {error.what}")


def _scope(
    case: Case, execution: Taken, inputs: Taken, outcome: Callable[[Probe], Outcome], reference: RunRecord
) -> Taken | None:
    """Return the groups to sweep, or None where execution is innocent over both data sets."""
    bad = case.prober.all([case.everything])[0]
    if outcome(bad) == "bad":
        same = "over today's data" if inputs else "over the same inputs"
        case.lines.append(f"{same}, today's execution differs from the good one: {_moved(case, reference)}")
        return case.everything
    if not inputs:
        case.lines.append("GOOD and BAD give the same outputs")
        return None
    then = case.prober.all([execution])[0]
    if outcome(then) == "bad":
        case.lines.append("today's execution differs over the good data, though not over today's")
        return execution
    case.lines.append("today's execution gives the same as good execution, over today's data and over the good data")
    return None


def _compared(case: Case, reference: RunRecord | None, probe: Probe) -> Outcome:
    """Return a probe's outcome against the run with the same inputs."""
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


def _inputs_break_the_job(case: Case, today: Probe) -> Verdict:
    """Good execution cannot read today's inputs: their schema is at fault, or nothing can be said."""
    group = case.layers["inputs"]
    failed_alike = today.record is not None and case.bad.exit_code != 0
    schema = any(change.layer == "schema" for change in group.changes)
    if today.record is not None and schema and (failed_alike or len(case.layers) == 1):
        effect = DataEffect(True, True, f"good execution fails over today's inputs with {_ended(today.record)}")
        return judge(case.evidence(None, effect))
    return case.stop(
        "inconclusive",
        f"good execution could not be run over today's data ({today.trouble or _ended(today.record)}), so execution "
        "and data cannot be told apart",
        f"the inputs differ in {group.label}; look there first with `replay diff`",
    )


def _by_test(case: Case) -> Verdict:
    """The user's test decides; inputs are then a layer like any other."""
    test = case.options.test
    if test is None:
        raise AssertionError("called without a test")

    def outcome(probe: Probe) -> Outcome:
        return "unresolved" if probe.record is None else test(probe.record)

    ends = case.prober.all([NOTHING, case.everything])
    said = [outcome(probe) for probe in ends]
    if said != ["good", "bad"]:
        raise ReplayError(
            f"the test does not tell GOOD from BAD: it calls GOOD {said[0]} and BAD {said[-1]}",
            cause="the test looks at something that did not change, or its exit codes are other than 0 good, 1 bad, "
            "125 cannot say",
            do="run the test by hand in a folder with each run's outputs",
        )
    caught = hunt(case, case.everything, outcome)
    return _judged(case, caught, None, dict.fromkeys(caught.found.breaks, 1.0 / len(caught.found.breaks or (1,))))


def _judged(case: Case, caught: Caught, effect: DataEffect | None, parts: dict[Taken, float]) -> Verdict:
    return judge(case.evidence(caught.found, effect, parts, caught.fine, caught.carried))


def _split(
    case: Case, effect: DataEffect, parts: dict[Taken, float], today: RunRecord
) -> tuple[DataEffect, dict[Taken, float]]:
    """Share the divergence out between data and execution, by how far each moved the outputs."""
    by_data = distance(case.good, today, case.bench.store)
    by_execution = distance(today, case.bad, case.bench.store)
    total = by_data + by_execution
    part = by_data / total if total else 0.5
    smaller = {members: share * (1 - part) for members, share in parts.items()}
    return DataEffect(effect.matters, effect.material, effect.sentence, part), smaller


def _moved(case: Case, reference: RunRecord) -> str:
    """Say in a line how BAD's outputs differ from those of good execution over the same inputs."""
    try:
        difference = held_against(case.bench, reference, case.bad)
    except CompareError as error:
        return error.what
    return first(difference) if difference else "not at all"


def _ended(record: RunRecord | None) -> str:
    return ending(record) if record else "no run"
