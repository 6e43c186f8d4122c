"""Endpoints first: GOOD must give its recorded outputs again, and BAD its own (design 4.5, step 1)."""

from __future__ import annotations

from replay.bisect.case import NOTHING, Case
from replay.bisect.judge import judge
from replay.bisect.probe import Probe
from replay.bisect.search import Taken
from replay.bisect.verdict import CLOCK, Verdict
from replay.record import RunRecord
from replay.rerun import OTHER_HOST, held_against, host_differences


def check(case: Case) -> Verdict | None:
    """Rerun both endpoints, interleaved. Return the verdict that ends it here, or None to go on."""
    good, bad = NOTHING, case.everything
    repeat = case.options.repeat
    at_the_others_time = _swapped(case)
    if at_the_others_time:
        repeat -= 1
    sides = [good, bad] if bad else [good]
    wanted = [(side, repetition) for repetition in range(repeat) for side in sides]
    probes = case.prober.repeated(wanted + [(side, 0) for side in at_the_others_time])
    held = all("clock" not in record.not_held for record in _records(probes))
    if at_the_others_time and (not held or not _clock_matters(case, probes, at_the_others_time)):
        # The swapped runs were repetitions, then: of GOOD, and of what BAD is without its clock.
        case.drop_clock(cleared=held)
    elif at_the_others_time:
        probes += case.prober.repeated([(side, repeat) for side in sides])
    goods = [probe for probe in probes if probe.taken - case.left_out == good]
    bads = [probe for probe in probes if probe.taken - case.left_out == case.everything]
    for probe in goods + bads:
        if probe.record is None:
            name = "GOOD" if probe in goods else "BAD"
            return case.stop(
                "inconclusive",
                f"{name} could not be run again: {probe.trouble}",
                "mend that, then bisect again; nothing is claimed without a rerun of both ends",
            )
    recorded = [(case.good, _records(goods), "GOOD")]
    if case.everything:
        recorded.append((case.bad, _records(bads), "BAD"))
    for record, repeats, name in recorded:
        stopped = _reproduces(case, record, repeats, name)
        if stopped is not None:
            return stopped
        case.lines.append(f"{name} reproduces its record in {len(repeats)} of {len(repeats)} reruns")
    return None if case.everything else _same_state(case)


def _swapped(case: Case) -> list[Taken]:
    """Return GOOD at BAD's time and BAD at GOOD's, where there is a clock to swap and more than that differs."""
    clock = case.everything & {CLOCK}
    return [clock, case.everything - clock] if clock and case.everything != clock else []


def _clock_matters(case: Case, probes: list[Probe], swapped: list[Taken]) -> bool:
    """Whether an end gives other outputs than its recorded ones at the other's time, or cannot be run at it."""
    for record, side, name in ((case.good, swapped[0], "GOOD"), (case.bad, swapped[1], "BAD")):
        run = next(probe.record for probe in probes if probe.taken == side)
        difference = None if run is None else held_against(case.bench, record, run)
        if run is None or (difference is not None and difference.matters):
            told = "could not be run" if difference is None else f"gives other outputs ({difference.headline})"
            case.lines.append(f"{name} at the other's time {told}")
            return True
    return False


def _records(probes: list[Probe]) -> list[RunRecord]:
    return [probe.record for probe in probes if probe.record is not None]


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
            f"the job is nondeterministic: {name} differs between reruns of the very same state ({shown.headline})",
            "fix its seeds (PYTHONHASHSEED, random_state, thread counts) or declare a tolerance, then bind again"
            + ("; or measure its noise on more repeats, --noise says how many" if case.bench.noise else ""),
        )
    hosts = host_differences(recorded.host, repeats[0].host)
    where = "; hosts differ: " + "; ".join(hosts[:4]) if hosts else "; the hosts are alike"
    return case.stop(
        "outside-the-state",
        f"the cause lies outside the recorded layers: {name} does not reproduce its record, although its reruns "
        f"agree with each other ({shown.headline}){where}",
        "look at what is not held: "
        + ("; ".join(case.not_held()) or "nothing is known not to be held")
        + (f"; {OTHER_HOST}" if hosts else ""),
    )


def _same_state(case: Case) -> Verdict:
    difference = held_against(case.bench, case.good, case.bad)
    if difference is None or not difference.matters:
        return judge(case.evidence())
    hosts = host_differences(case.good.host, case.bad.host)
    return case.stop(
        "outside-the-state",
        f"both runs are bound to one state and their outputs differ ({difference.headline}): not in the recorded "
        "state; nondeterminism or host" + (": " + "; ".join(hosts[:4]) if hosts else ""),
        "rerun both with `replay rerun --repeat 5`; look at what is not held: " + "; ".join(case.not_held()),
    )
