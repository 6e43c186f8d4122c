"""Endpoints first: GOOD must give its recorded outputs again, and BAD its own (design 4.5, step 1)."""

from __future__ import annotations

from replay.bisect.case import NOTHING, Case, first
from replay.bisect.judge import judge
from replay.bisect.probe import Probe
from replay.bisect.search import Taken
from replay.bisect.verdict import Verdict
from replay.record import RunRecord
from replay.rerun import held_against, host_differences


def check(case: Case) -> Verdict | None:
    """Rerun both endpoints, interleaved. Return the verdict that ends it here, or None to go on."""
    sides = [NOTHING, case.everything] if case.everything else [NOTHING]
    wanted = [(side, repetition) for repetition in range(case.options.repeat) for side in sides]
    probes = case.prober.repeated(wanted)
    for probe in probes:
        if probe.record is None:
            name = "GOOD" if probe.taken == NOTHING else "BAD"
            return case.stop(
                "inconclusive",
                f"{name} could not be run again: {probe.trouble}",
                "mend that, then bisect again; nothing is claimed without a rerun of both ends",
            )
    recorded = [(case.good, _records(probes, NOTHING), "GOOD")]
    if case.everything:
        recorded.append((case.bad, _records(probes, case.everything), "BAD"))
    for record, repeats, name in recorded:
        stopped = _reproduces(case, record, repeats, name)
        if stopped is not None:
            return stopped
        case.lines.append(f"{name} reproduces its record in {len(repeats)} of {len(repeats)} reruns")
    return None if case.everything else _same_state(case)


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
        return case.stop(
            "nondeterministic",
            f"the job is nondeterministic: {name} differs between reruns of the very same state ({first(shown)})",
            "fix its seeds (PYTHONHASHSEED, random_state, thread counts) or declare a tolerance, then bind again",
        )
    hosts = host_differences(recorded.host, repeats[0].host)
    where = "; hosts differ: " + "; ".join(hosts[:4]) if hosts else "; the hosts are alike"
    return case.stop(
        "outside-the-state",
        f"the cause lies outside the recorded layers: {name} does not reproduce its record, although its reruns "
        f"agree with each other ({first(shown)}){where}",
        "look at what is not held: " + ("; ".join(case.not_held()) or "nothing is known not to be held"),
    )


def _same_state(case: Case) -> Verdict:
    difference = held_against(case.bench, case.good, case.bad)
    if difference is None or not difference.matters:
        return judge(case.evidence())
    hosts = host_differences(case.good.host, case.bad.host)
    return case.stop(
        "outside-the-state",
        f"both runs are bound to one state and their outputs differ ({first(difference)}): not in the recorded "
        "state; nondeterminism or host" + (": " + "; ".join(hosts[:4]) if hosts else ""),
        "rerun both with `replay rerun --repeat 5`; look at what is not held: " + "; ".join(case.not_held()),
    )
