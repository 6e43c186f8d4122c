"""Rerun: rebuild a recorded run's state, execute it again, and hold the outputs against the record."""

from __future__ import annotations

from dataclasses import dataclass

from replay.compare.difference import Difference
from replay.execute import Order, Workbench, execute
from replay.layers.release import load
from replay.outputs import compare_outputs
from replay.record import Host, RunRecord

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
    release = load(bench.store, recorded.state)
    order = Order(
        outputs={name: output.spec for name, output in recorded.outputs.items()},
        limits=recorded.limits,
        reason="rerun",
        of=recorded.id,
        clock=recorded.clock_began if clock == RECORDED else clock,
    )
    record = execute(bench, release, order)
    bench.store.add_run(record)
    return Rerun(record, held_against(bench, recorded, record))


def held_against(bench: Workbench, recorded: RunRecord, record: RunRecord) -> Difference | None:
    """Return how a run differs from another of the same inputs: its end first, then its outputs."""
    if (recorded.exit_code, recorded.ended) != (record.exit_code, record.ended):
        return Difference("exit", "bytes", f"the job ended with {ending(record)} instead of {ending(recorded)}")
    return compare_outputs(recorded.outputs, record.outputs, bench.store)


def ending(record: RunRecord) -> str:
    """Return how a run ended, in words."""
    return f"exit code {record.exit_code}" if record.ended == "exit" else record.ended


def host_differences(one: Host, other: Host) -> list[str]:
    """Return what differs between two hosts, each as a line for people. Pure."""
    found = [
        f"{field}: {getattr(one, field)} -> {getattr(other, field)}"
        for field in ("machine", "cpu", "kernel", "cores", "memory", "gpu", "blas")
        if getattr(one, field) != getattr(other, field)
    ]
    if flags := set(one.flags) ^ set(other.flags):
        found.append("CPU flags: " + ", ".join(sorted(flags)[:8]) + (" …" if len(flags) > 8 else ""))
    return found
