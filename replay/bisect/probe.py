"""Probing: executing a mix once, ever. Cached by content, journalled as it ends, side by side with `jobs`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from replay.bisect.budget import Budget
from replay.bisect.search import Taken
from replay.bisect.verdict import CLOCK, Group, Probes
from replay.errors import Interrupted, ReplayError, StoreError
from replay.execute import Order, Workbench, execute
from replay.layers.release import Pair, Release, keep
from replay.record import RunRecord

UNREACHABLE = (Interrupted, StoreError)
"""Troubles that end a bisect. Every other one says only that this mix could not run."""


SIGNALLED = 128
"""Exit codes above this are 128 and the number of the signal that ended the job (POSIX shells, docker)."""


@dataclass(frozen=True)
class Probe:
    """One mix and the run of it; `trouble` says why there is none."""

    taken: Taken
    state: str
    record: RunRecord | None
    cached: bool
    trouble: str | None = None


@dataclass
class Prober:
    """Executes mixes of two releases, each named by the atoms it takes from BAD. Thread-safe.

    `ends` are the exit codes of GOOD and BAD; `layers` says which atoms make up each layer, for the words of its
    progress. `clocks` are the times that GOOD's and BAD's job read (UTC, ISO 8601): a mix reads GOOD's unless it
    takes the atom `runtime/clock`; None: the real time.
    """

    bench: Workbench
    pair: Pair
    atoms: Mapping[str, Group]
    layers: Mapping[str, Taken]
    order: Order
    journal: Path
    jobs: int = 1
    fresh: bool = False
    budget: Budget | None = None
    expected: int = 0
    clocks: tuple[str, str] | None = None
    ends: frozenset[int | None] = frozenset()
    counts: dict[str, int] = field(default_factory=lambda: {"run": 0, "cached": 0, "unresolved": 0})
    done: dict[tuple[Taken, int], Probe] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def probes(self) -> Probes:
        """How many executions this has cost so far."""
        return Probes(**self.counts)

    def release(self, taken: Taken) -> Release:
        """Return the mix: GOOD with the changes of the taken atoms from BAD."""
        return self.pair.mix(frozenset(change.name for atom in taken for change in self.atoms[atom].changes))

    def clock(self, taken: Taken) -> str | None:
        """Return the time that the job reads in this mix."""
        return None if self.clocks is None else self.clocks[CLOCK in taken]

    def all(self, mixes: Sequence[Taken]) -> list[Probe]:
        """Probe a batch, up to `jobs` at a time."""
        return self.repeated([(taken, 0) for taken in mixes])

    def repeated(self, wanted: Sequence[tuple[Taken, int]]) -> list[Probe]:
        """Probe `(mix, repetition)` pairs in the given order, up to `jobs` at a time."""
        if self.jobs == 1 or len(wanted) == 1:
            return [self._once(taken, repetition) for taken, repetition in wanted]
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self._once, taken, repetition) for taken, repetition in wanted]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # Only this thread hears Ctrl-C: the runs under way in the others end because the engine is told.
                pool.shutdown(wait=False, cancel_futures=True)
                self.bench.engine.interrupt()
                raise

    def _once(self, taken: Taken, repetition: int) -> Probe:
        if (taken, repetition) not in self.done:
            self.done[taken, repetition] = self._probe(taken, repetition)
        return self.done[taken, repetition]

    def _probe(self, taken: Taken, repetition: int) -> Probe:
        release = self.release(taken)
        state = keep(release, self.bench.store)
        label = self.label(taken) + (f", repetition {repetition + 1}" if repetition else "")
        clock = self.clock(taken)
        if (record := self._recall(state, repetition, clock)) is not None:
            self._say(f"{label}: known already")
            return self._ended(Probe(taken, state, record, cached=True), "cached")
        if self.budget is not None:
            self.budget.check(self.counts["run"] + self.counts["unresolved"])
        self._say(f"{label} …")
        try:
            record = execute(self.bench, release, replace(self.order, clock=clock))
            if self._strange(record):
                # It is in the log, and told; but what died by chance tells nothing of the mix.
                self.bench.store.add_run(record)
                self._say(f"{label}: died with exit code {record.exit_code}, as neither end did: once more")
                record = execute(self.bench, release, replace(self.order, clock=clock))
        except UNREACHABLE:
            raise
        except ReplayError as error:
            self._say(f"{label}: could not run: {error.what}")
            return self._ended(Probe(taken, state, None, cached=False, trouble=error.what), "unresolved")
        self.bench.store.add_run(record)
        return self._ended(Probe(taken, state, record, cached=False), "run")

    def _ended(self, probe: Probe, how: str) -> Probe:
        """Count a probe and write it into the journal, one line, flushed: a kill loses none that ended."""
        with self._lock:
            self.counts[how] += 1
            line = {
                "taken": sorted(probe.taken),
                "state": probe.state,
                "run": probe.record.id if probe.record else None,
                "how": how,
                "trouble": probe.trouble,
            }
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return probe

    def label(self, taken: Taken) -> str:
        """Say which mix this is, by the shorter of its two descriptions."""
        reverted = frozenset(self.atoms) - taken
        if not taken or not reverted:
            return "BAD" if taken else "GOOD"
        if len(taken) <= len(reverted):
            return f"GOOD with {_named(taken, self.layers)} from BAD"
        return f"BAD with {_named(reverted, self.layers)} from GOOD"

    def _say(self, message: str) -> None:
        number = sum(self.counts.values()) + 1
        # More than was expected are run where several changes act together: then no end is promised.
        bound = f" of at most {self.expected}" if number <= self.expected else ""
        self.bench.progress(f"probe {number}{bound}: {message}")

    def _recall(self, state: str, repetition: int, clock: str | None) -> RunRecord | None:
        """Return the probe of this state and clock that an earlier bisect ended, if its outputs are all still there.

        The run log is the memory: a probe that got into it is known, wherever its bisect was killed.
        """
        if self.fresh:
            return None
        known = map(self._loaded, self._logged.get(state, []))
        fitting = [record for record in known if record is not None and record.clock == clock]
        fitting = [record for record in fitting if not self._strange(record)] or fitting
        return fitting[repetition] if repetition < len(fitting) else None

    def _strange(self, record: RunRecord) -> bool:
        """Whether a run was killed by a signal of its own (an abort, a broken memory access) and neither end was."""
        return record.ended == "exit" and (record.exit_code or 0) > SIGNALLED and record.exit_code not in self.ends

    @cached_property
    def _logged(self) -> dict[str, list[str]]:
        """The probes in the run log when this bisect began, by state, oldest first."""
        found: dict[str, list[str]] = {}
        for entry in self.bench.store.runs():
            if entry.reason == "probe" and entry.engine == self.bench.engine.name:
                found.setdefault(entry.state, []).append(entry.run)
        return found

    def _loaded(self, run: str) -> RunRecord | None:
        try:
            record = self.bench.store.run(run)
        except StoreError:
            return None
        same = {name: output.spec for name, output in record.outputs.items()} == dict(self.order.outputs)
        same = same and record.limits == self.order.limits and record.engine == self.bench.engine.info()
        blobs = [entry.blob for output in record.outputs.values() for entry in output.files.values()]
        return record if same and all(self.bench.store.has(blob) for blob in blobs) else None


def open_journal(bench: Workbench, name: str) -> Path:
    """Return the journal of a bisect by its identity."""
    return bench.store.cache("bisects") / f"{name}.jsonl"


def finished(journal: Path) -> list[dict[str, object]]:
    """Return what a journal holds; a torn last line is one that never ended."""
    found: list[dict[str, object]] = []
    if journal.is_file():
        for line in journal.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def _named(taken: Taken, layers: Mapping[str, Taken]) -> str:
    """Name atoms: by their layers where they are whole, one by one where they are few, else by number.

    A layer in which one thing changed goes by that.
    """
    whole = [name for name, atoms in layers.items() if atoms <= taken and not _one_change(atoms)]
    rest = sorted(taken - frozenset().union(*(layers[name] for name in whole)))
    if len(rest) > 2:
        rest = [f"{len(rest)} changes ({rest[0]} … {rest[-1]})"]
    return " and ".join([*whole, *rest])


def _one_change(atoms: Taken) -> bool:
    return len(atoms) == 1 and not any(" + " in atom for atom in atoms)
