"""Good execution over today's data: does the data matter, and which column of it (design 4.5, step 2)?"""

from __future__ import annotations

from collections.abc import Callable

from replay.bisect.case import NOTHING, Case
from replay.bisect.certificate import contradicted
from replay.bisect.effect import data_effect, distance
from replay.bisect.hunt import Answer, Caught, drill, shares
from replay.bisect.judge import judge
from replay.bisect.probe import Probe
from replay.bisect.search import Outcome, Taken
from replay.bisect.verdict import DataEffect, Verdict
from replay.errors import CompareError
from replay.record import RunRecord
from replay.rerun import ending


def effect_of(case: Case, today: RunRecord) -> DataEffect:
    """Return what today's data does to the outputs of good execution."""
    try:
        return data_effect(case.good, today, case.bench.store, case.bench.noise)
    except CompareError as error:
        return DataEffect(True, True, f"its outputs cannot be compared any more: {error.what}")


def told_apart(case: Case, today: RunRecord) -> Caught | None:
    """Find which changes of the inputs move the outputs of good execution, or make it fail as `today` did.

    None where the inputs cannot be told apart: one change, or only whole layers were asked for.
    """
    if len(case.inputs) < 2 or not case.options.drill:
        return None

    return drill(case, case.inputs, answering(case, over_inputs(case, today)))


def over_inputs(case: Case, today: RunRecord) -> Callable[[Probe], Outcome]:
    """Return the judge of good execution over a part of today's inputs: does it do what it does over all of them?"""

    def outcome(probe: Probe) -> Outcome:
        if probe.record is None:
            return "unresolved"
        if not probe.record.ok or not today.ok:
            alike = (probe.record.exit_code, probe.record.ended) == (today.exit_code, today.ended)
            return "good" if probe.record.ok else "bad" if alike else "other"
        return "bad" if effect_of(case, probe.record).matters else "good"

    return outcome


def answering(case: Case, outcome: Callable[[Probe], Outcome]) -> Answer:
    """Return the answer that runs each mix and judges its run."""
    return lambda mixes: {probe.taken: outcome(probe) for probe in case.prober.all(mixes)}


def parts_of(case: Case, caught: Caught, effect: DataEffect) -> dict[Taken, float]:
    """Share out what the data moved among the changes of the inputs that moved it."""
    found = shares(case, case.inputs, caught, lambda _: case.good)
    total = sum(found.values())
    return {members: effect.share * (share / total if total else 1 / len(found)) for members, share in found.items()}


def execution_share(case: Case, today: RunRecord) -> float:
    """Return the part of the divergence that is execution's; the rest is the data's."""
    by_data = distance(case.good, today, case.bench.store)
    by_execution = distance(today, case.bad, case.bench.store)
    total = by_data + by_execution
    return by_execution / total if total else 0.5


def broken(case: Case, today: Probe) -> Verdict:
    """Conclude where good execution cannot run over today's inputs: they are at fault, or nothing can be said."""
    group = case.layers["inputs"]
    failed_alike = today.record is not None and case.bad.exit_code != 0
    if today.record is not None and (failed_alike or len(case.layers) == 1):
        effect = DataEffect(
            True, True, f"good execution fails over today's inputs with {ending(today.record)}", broke=True
        )
        caught = told_apart(case, today.record)
        moved = caught.found if caught else None
        if caught and (doubt := contradicted(case, caught, case.inputs, over_inputs(case, today.record))):
            return by_chance(case, doubt)
        parts = dict.fromkeys(moved.breaks, 1.0 / len(moved.breaks)) if moved and moved.breaks else {}
        carried = caught.carried if caught else NOTHING
        return judge(case.evidence(None, effect, parts, carried=carried, moved=moved))
    why = today.trouble or (ending(today.record) if today.record else "no run")
    return case.stop(
        "inconclusive",
        f"good execution could not be run over today's data ({why}), so execution and data cannot be told apart",
        f"the inputs differ in {group.label}; look there first with `replay diff`",
    )


def by_chance(case: Case, doubt: str) -> Verdict:
    """Conclude where one mix came out in two ways: nothing that was seen of it is evidence."""
    return case.stop(
        "nondeterministic",
        f"the job is nondeterministic: {doubt}, with nothing changed in between",
        "fix its seeds (PYTHONHASHSEED, random_state, thread counts), or measure what it does by itself with --noise, "
        "then bisect again with --fresh",
    )
