"""The investigation: endpoints, counterfactuals, sweep, verdict (design 4.5, steps 1 to 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from replay.bisect.effect import data_effect, distance
from replay.bisect.probe import Probe, Prober, finished, open_journal
from replay.bisect.search import Found, Outcome, Taken, drive, sweep
from replay.bisect.verdict import DataEffect, Evidence, Group, Verdict, judge, settled
from replay.compare.difference import Difference
from replay.digest import canonical, of_bytes, short
from replay.errors import CompareError, ReplayError
from replay.execute import Order, Workbench
from replay.layers.release import Release, changes, keep, load
from replay.record import RunRecord
from replay.rerun import held_against, host_differences
from replay.state import INPUTS, LAYERS

Test = Callable[[RunRecord], Outcome]
"""A user's own word on a run: good, bad, or unresolved."""

NOTHING: Taken = frozenset()


@dataclass(frozen=True)
class Options:
    """How to investigate. `repeat`: executions of each endpoint; `sweep`: name the layer, not only the verdict."""

    jobs: int = 1
    repeat: int = 2
    fresh: bool = False
    resume: bool = False
    sweep: bool = True
    test: Test | None = None
    test_name: str = ""


@dataclass
class Case:
    """An investigation under way."""

    bench: Workbench
    good: RunRecord
    bad: RunRecord
    prober: Prober
    options: Options
    lines: list[str] = field(default_factory=list)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The changed layers."""
        return self.prober.groups

    @property
    def everything(self) -> Taken:
        """All groups: taking them is BAD."""
        return frozenset(self.groups)

    def not_held(self) -> tuple[str, ...]:
        """Return what no probe could hold fixed, with the reason."""
        held: dict[str, str] = {}
        for probe in self.prober.done.values():
            held |= probe.record.not_held if probe.record else {}
        return tuple(f"{name}: {reason}" for name, reason in sorted(held.items()))


def investigate(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Verdict:
    """Find which changed layer moved the outputs, and say whether retraining is the answer.

    Raises ReplayError where the two runs cannot be compared at all (other jobs, a GOOD that failed).
    """
    case = _open(bench, good, bad, options)
    stopped = _endpoints(case)
    if stopped is not None:
        return stopped
    if options.test is not None:
        return _by_test(case)
    return _by_outputs(case)


def groups_of(good: Release, bad: Release) -> dict[str, Group]:
    """Return the changed layers as groups; schema and data are one, because they are one snapshot."""
    found = changes(good, bad)
    groups = {}
    for name in ("inputs", *(layer for layer in LAYERS if layer not in INPUTS)):
        own = tuple(change for change in found if change.layer in (INPUTS if name == "inputs" else (name,)))
        if own:
            groups[name] = Group(name, own)
    return groups


def _open(bench: Workbench, good: RunRecord, bad: RunRecord, options: Options) -> Case:
    _comparable(good, bad, options)
    release_good, release_bad = load(bench.store, good.state), load(bench.store, bad.state)
    groups = groups_of(release_good, release_bad)
    identity = {"good": good.id, "bad": bad.id, "engine": bench.engine.name, "test": options.test_name}
    journal = open_journal(bench, short(of_bytes(canonical(identity))))
    before = finished(journal)
    if options.resume and not before:
        raise ReplayError(
            "there is nothing to resume for these two runs",
            cause="no bisect of them was begun in this store with this engine and this test",
            do="leave out --resume",
        )
    if before and options.resume:
        bench.progress(f"resuming: {len(before)} probes had ended, none of them runs again")
    order = Order(
        outputs={name: output.spec for name, output in good.outputs.items()}, limits=good.limits, reason="probe"
    )
    expected = 2 * options.repeat + (2 * len(groups) if options.sweep else 2)
    prober = Prober(
        bench=bench,
        good=release_good,
        bad=release_bad,
        groups=groups,
        order=order,
        journal=journal,
        jobs=options.jobs,
        fresh=options.fresh,
        expected=expected,
    )
    return Case(bench, good, bad, prober, options)


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


def _endpoints(case: Case) -> Verdict | None:
    """Rerun both endpoints, interleaved. Return the verdict that ends it here, or None to go on."""
    sides = [NOTHING, case.everything] if case.groups else [NOTHING]
    wanted = [(side, repetition) for repetition in range(case.options.repeat) for side in sides]
    probes = case.prober.repeated(wanted)
    for probe in probes:
        if probe.record is None:
            name = "GOOD" if probe.taken == NOTHING else "BAD"
            return _stop(
                case,
                "inconclusive",
                f"{name} could not be run again: {probe.trouble}",
                "mend that, then bisect again; nothing is claimed without a rerun of both ends",
            )
    recorded = [(case.good, _records(probes, NOTHING), "GOOD")]
    if case.groups:
        recorded.append((case.bad, _records(probes, case.everything), "BAD"))
    for record, repeats, name in recorded:
        stopped = _reproduces(case, record, repeats, name)
        if stopped is not None:
            return stopped
        case.lines.append(f"{name} reproduces its record in {len(repeats)} of {len(repeats)} reruns")
    return None if case.groups else _same_state(case)


def _records(probes: list[Probe], side: Taken) -> list[RunRecord]:
    return [probe.record for probe in probes if probe.taken == side and probe.record is not None]


def _reproduces(case: Case, recorded: RunRecord, repeats: list[RunRecord], name: str) -> Verdict | None:
    """Return a verdict where a state does not give its recorded outputs; None where it does."""
    differing = [held_against(case.bench, recorded, repeat) for repeat in repeats]
    if not any(difference is not None and difference.matters for difference in differing):
        return None
    among = [held_against(case.bench, repeats[0], repeat) for repeat in repeats[1:]]
    shown = next(d for d in differing if d is not None and d.matters)
    if any(difference is not None and difference.matters for difference in among):
        return _stop(
            case,
            "nondeterministic",
            f"the job is nondeterministic: {name} differs between reruns of the very same state ({_first(shown)})",
            "fix its seeds (PYTHONHASHSEED, random_state, thread counts) or declare a tolerance, then bind again",
        )
    hosts = host_differences(recorded.host, repeats[0].host)
    where = "; hosts differ: " + "; ".join(hosts[:4]) if hosts else "; the hosts are alike"
    return _stop(
        case,
        "outside-the-state",
        f"the cause lies outside the recorded layers: {name} does not reproduce its record, although its reruns "
        f"agree with each other ({_first(shown)}){where}",
        "look at what is not held: " + ("; ".join(case.not_held()) or "nothing is known not to be held"),
    )


def _same_state(case: Case) -> Verdict:
    difference = held_against(case.bench, case.good, case.bad)
    if difference is None or not difference.matters:
        return judge(_evidence(case, None, None))
    hosts = host_differences(case.good.host, case.bad.host)
    return _stop(
        case,
        "outside-the-state",
        f"both runs are bound to one state and their outputs differ ({_first(difference)}): not in the recorded "
        "state; nondeterminism or host" + (": " + "; ".join(hosts[:4]) if hosts else ""),
        "rerun both with `replay rerun --repeat 5`; look at what is not held: " + "; ".join(case.not_held()),
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
        return judge(_evidence(case, None, effect))
    scope = _scope(case, execution, inputs, outcome, references[inputs])
    if scope is None:
        return judge(_evidence(case, None, effect))
    found = _sweep(case, scope, outcome)
    shares = _shares(case, scope, found, references)
    if effect is not None and effect.material:
        effect, shares = _split(case, effect, shares, references[inputs])
    return judge(_evidence(case, found, effect, shares))


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


def _sweep(case: Case, scope: Taken, outcome: Callable[[Probe], Outcome]) -> Found:
    def answer(mixes: list[Taken]) -> dict[Taken, Outcome]:
        probes = case.prober.all(mixes)
        return {probe.taken: outcome(probe) for probe in probes}

    items = [name for name in case.groups if name in scope]
    if len(items) == 1:
        only = frozenset(items)
        case.lines.append(f"{items[0]} is all that differs: taking it is BAD, reverting it is GOOD")
        return Found((only,), (only,), {NOTHING: "good", only: "bad"})
    found = drive(sweep(items), answer)
    for taken, result in found.outcomes.items():
        if taken and taken != scope:
            case.lines.append(f"{_named(taken, scope)}: {result}")
    return found


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
    group = case.groups["inputs"]
    failed_alike = today.record is not None and case.bad.exit_code != 0
    schema = any(change.layer == "schema" for change in group.changes)
    if today.record is not None and schema and (failed_alike or len(case.groups) == 1):
        effect = DataEffect(True, True, f"good execution fails over today's inputs with {_end(today.record)}")
        return judge(_evidence(case, None, effect))
    return _stop(
        case,
        "inconclusive",
        f"good execution could not be run over today's data ({today.trouble or _end(today.record)}), so execution "
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
    found = _sweep(case, case.everything, outcome)
    shares = dict.fromkeys(found.guilty, 1.0)
    return judge(_evidence(case, found, None, shares))


def _shares(case: Case, scope: Taken, found: Found, references: Mapping[Taken, RunRecord]) -> dict[str, float]:
    """Return each group's share of the divergence.

    The mean of what it adds to GOOD alone and of what reverting it alone takes off BAD, each over the whole
    divergence on the same data: for two groups the Shapley value, for more its usual approximation.
    """
    store, inputs = case.bench.store, case.everything & {"inputs"}

    def moved(taken: Taken) -> float | None:
        probe, reference = case.prober.done.get((taken, 0)), references.get(taken & inputs)
        if probe is None or probe.record is None or reference is None:
            return None
        return distance(reference, probe.record, store)

    shares: dict[str, float] = {}
    whole = moved(scope) or 0.0
    for name in scope & found.guilty:
        alone, without = moved(frozenset({name})), moved(scope - {name})
        there = moved(scope - inputs) or whole
        parts = [alone / there] if alone is not None and there else []
        parts += [(whole - without) / whole] if without is not None and whole else []
        shares[name] = sum(parts) / len(parts) if parts else 0.0
    return shares


def _split(
    case: Case, effect: DataEffect, shares: dict[str, float], today: RunRecord
) -> tuple[DataEffect, dict[str, float]]:
    """Share the divergence out between data and execution, by how far each moved the outputs."""
    by_data = distance(case.good, today, case.bench.store)
    by_execution = distance(today, case.bad, case.bench.store)
    total = by_data + by_execution
    part = by_data / total if total else 0.5
    smaller = {name: share * (1 - part) for name, share in shares.items()}
    return DataEffect(effect.matters, effect.material, effect.sentence, part), smaller


def _evidence(
    case: Case, found: Found | None, effect: DataEffect | None, shares: Mapping[str, float] | None = None
) -> Evidence:
    return Evidence(
        good=case.good.state,
        bad=case.bad.state,
        groups=case.groups,
        found=found,
        data=effect,
        shares=shares or {},
        executions=sum(1 for probe in case.prober.done.values() if probe.record is not None),
        lines=tuple(case.lines),
        not_held=case.not_held(),
        probes=case.prober.probes,
        fix=_fix(case, found),
    )


def _fix(case: Case, found: Found | None) -> str | None:
    """Return the state that is BAD with the culprits reverted; it was run and it was good."""
    if found is None or not found.mends:
        return None
    smallest = min(found.mends, key=lambda mend: (len(mend), sorted(mend)))
    mended = case.everything - smallest
    return keep(case.prober.release(mended), case.bench.store) if (mended, 0) in case.prober.done else None


def _stop(case: Case, kind: str, sentence: str, advice: str) -> Verdict:
    return settled(_evidence(case, None, None), kind, sentence, advice)  # type: ignore[arg-type]


def _moved(case: Case, reference: RunRecord) -> str:
    """Say in a line how BAD's outputs differ from those of good execution over the same inputs."""
    try:
        difference = held_against(case.bench, reference, case.bad)
    except CompareError as error:
        return error.what
    return _first(difference) if difference else "not at all"


def _named(taken: Taken, scope: Taken) -> str:
    inverse = scope - taken
    if len(taken) <= len(inverse):
        return f"GOOD with {' and '.join(sorted(taken))} from BAD"
    return f"BAD with {' and '.join(sorted(inverse))} from GOOD"


def _first(difference: Difference) -> str:
    leaf = difference
    if leaf.kind == "group" and leaf.children:
        leaf = next((child for child in leaf.children if child.matters), leaf.children[0])
    return leaf.sentence


def _end(record: RunRecord | None) -> str:
    if record is None:
        return "no run"
    return f"exit code {record.exit_code}" if record.ended == "exit" else record.ended
