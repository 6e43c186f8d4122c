"""Rerun: rebuild a recorded run's state, execute it again, and hold the outputs against the record."""

from __future__ import annotations

from dataclasses import dataclass, replace

from replay.compare.difference import Difference
from replay.compare.text import clean
from replay.compare.tolerance import noise_floor
from replay.errors import CompareError
from replay.execute import Order, Workbench, execute
from replay.layers.beside import inputs_of
from replay.layers.release import load
from replay.outputs import Noise, compare_outputs
from replay.record import Host, Provenance, RunRecord

OTHER_HOST = "another processor may move the last digits of the same container: if it is those, declare rtol"
RECORDED = "recorded"
"""The clock of a rerun that reads the time which the recorded run read."""


@dataclass(frozen=True)
class Rerun:
    """One repetition: its record and how its outputs differ from the recorded ones (None: in nothing)."""

    record: RunRecord
    difference: Difference | None

    @property
    def reproduced(self) -> bool:
        """Whether the repetition ended as the recorded run did and wrote the same."""
        return self.difference is None or not self.difference.matters


def rerun(bench: Workbench, recorded: RunRecord, clock: str | None = RECORDED) -> Rerun:
    """Execute the state of `recorded` once more and compare. Raises BaseMissing, WheelError, EngineError.

    `clock` is the time the job reads as it starts: the one it read then, another (UTC, ISO 8601), or None for
    the real one.
    """
    record = _again(bench, recorded, clock)
    return Rerun(record, held_against(bench, recorded, record, explain=True))


def noise_of(bench: Workbench, recorded: RunRecord, repeats: int, clock: str | None = RECORDED) -> Noise:
    """Execute the state of `recorded` some times and return what these repeats differ in, by output and column.

    The record itself takes no part: what differs from it is what a rerun is to find out. At least two repeats.
    Raises as `rerun` does, and CompareError where repeats do not end alike: no tolerance covers that.
    """
    records = []
    for number in range(repeats):
        bench.progress(f"noise floor: repeat {number + 1} of {repeats} …")
        records.append(_again(bench, recorded, clock))
    exact = replace(bench, noise={})
    differences = [held_against(exact, records[0], record) for record in records[1:]]
    for difference in differences:
        if difference is not None and difference.name == "exit":
            raise CompareError(
                f"there is no noise floor: between repeats of the very same state {difference.sentence}",
                cause="the job fails by chance",
                do="mend the job first; `replay log` names the repeats",
            )
    return noise_floor(differences)


def noise_words(noise: Noise, repeats: int) -> str:
    """Return one line that says which tolerance was measured."""
    floors = [
        f"{clean(f'{output}/{place}' if place else output)} {floor:.3g}"
        for output, places in noise.items()
        for place, floor in places.items()
    ]
    head = f"noise floor of {repeats} repeats"
    return f"{head}: {', '.join(floors[:8])}{', …' if len(floors) > 8 else ''}" if floors else f"{head}: none"


def _again(bench: Workbench, recorded: RunRecord, clock: str | None) -> RunRecord:
    release = load(bench.store, recorded.state)
    order = Order(
        outputs={name: output.spec for name, output in recorded.outputs.items()},
        limits=recorded.limits,
        reason="rerun",
        of=recorded.id,
        clock=recorded.clock_began if clock == RECORDED else clock,
        image=recorded.image,
        provenance=Provenance(base=recorded.provenance.base),
    )
    record = execute(bench, release, order)
    bench.store.add_run(record)
    return record


def held_against(
    bench: Workbench, recorded: RunRecord, record: RunRecord, *, explain: bool = False
) -> Difference | None:
    """Return how a run differs from another of the same inputs: its end first, then its outputs.

    With `explain` it is also looked for where in the inputs the changes lie, which reads them.
    """
    if (recorded.exit_code, recorded.ended) != (record.exit_code, record.ended):
        return Difference("exit", "bytes", f"the job ended with {ending(record)} instead of {ending(recorded)}")
    inputs = inputs_of(bench.store, recorded.state) if explain else None
    return compare_outputs(recorded.outputs, record.outputs, bench.store, bench.noise, inputs=inputs)


def ending(record: RunRecord) -> str:
    """Return how a run ended, in words."""
    return f"exit code {record.exit_code}" if record.ended == "exit" else record.ended


def host_differences(one: Host, other: Host) -> list[str]:
    """Return what differs between two hosts, each as a line for people. Pure."""
    found = [
        f"{field}: {getattr(one, field)} -> {getattr(other, field)}"
        for field in ("machine", "cpu", "kernel", "cores", "memory", "gpu")
        if getattr(one, field) != getattr(other, field)
    ]
    # Not every run was asked how it computes.
    told = [(field, getattr(one, field), getattr(other, field)) for field in ("blas", "simd")]
    found += [f"{field}: {was} -> {became}" for field, was, became in told if was and became and was != became]
    if flags := set(one.flags) ^ set(other.flags):
        found.append("CPU flags: " + ", ".join(sorted(flags)[:8]) + (" …" if len(flags) > 8 else ""))
    return found
