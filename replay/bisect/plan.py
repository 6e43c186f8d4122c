"""What a bisect would probe, before anything runs: its search rehearsed with each change in turn as the only cause.

Pure. The bound holds while single changes act, every mix runs, and the same state gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from replay.bisect.case import NOTHING, Options, held_together, layers_of
from replay.bisect.focus import weights
from replay.bisect.search import Outcome, Taken, drive, in_order, narrow, sweep
from replay.bisect.verdict import CLOCK, Group
from replay.record import RunRecord

PROOF = ("what was found broken, once more", "what was found mended, once more")
REHEARSED = 64
"""Culprits that are rehearsed at most; of more changes, so many at like distances, and one probe is added."""


@dataclass(frozen=True)
class Plan:
    """The reruns of the ends, the sweep, the steps of the binary search, and the certificate, each for people."""

    ends: tuple[str, ...]
    sweep: tuple[str, ...]
    search: tuple[str, ...]
    proof: tuple[str, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """All probes, in order."""
        return (*self.ends, *self.sweep, *self.search, *self.proof)

    def seconds(self, good: RunRecord, bad: RunRecord) -> float:
        """Return how long the job itself takes in all of it, by the longer of the two recorded runs."""
        each = max(run.milliseconds.get("job", 0) for run in (good, bad)) / 1000
        return round(each * len(self.steps), 1)

    def words(self, good: RunRecord, bad: RunRecord) -> str:
        """Say how long that is."""
        return f"some {self.seconds(good, bad):.1f} s of the job's own time"


def plan(atoms: Mapping[str, Group], requires: Mapping[str, Taken], options: Options) -> Plan:
    """Return the probes that a bisect of these atoms makes at most while single changes act.

    `requires` maps each change to those it requires, as for the search itself.
    """
    layers = layers_of(atoms)
    names = ("GOOD", "BAD") if atoms else ("GOOD",)
    ends = [f"{end}, repetition {number + 1}" for number in range(options.repeat) for end in names]
    if CLOCK in atoms and len(atoms) > 1:
        ends += ["GOOD at BAD's time", "BAD at GOOD's time"]
    swept = [f"GOOD with {name} from BAD" for name in layers] if len(layers) > 1 else []
    # Of two layers, taking the one is reverting the other.
    swept += [f"BAD with {name} from GOOD" for name in layers] if len(layers) > 2 else []
    proof = PROOF if len(atoms) > 1 else ()
    searched = max(0, _most(atoms, layers, requires, options) - len(swept))
    steps = [f"binary search among {len(atoms)} changes, step {number + 1}" for number in range(searched)]
    return Plan(tuple(ends), tuple(swept), tuple(steps), proof)


def _most(
    atoms: Mapping[str, Group], layers: Mapping[str, Taken], requires: Mapping[str, Taken], options: Options
) -> int:
    """Return the most mixes beside the ends that any single culprit takes."""
    names = list(atoms)
    some = names[:: max(1, -(-len(names) // REHEARSED))]
    rehearse = _Rehearsal(atoms, layers, requires, options)
    return max((rehearse(name) for name in some), default=0) + (len(some) < len(names))


@dataclass(frozen=True)
class _Rehearsal:
    """A bisect of which the culprit is known: called with it, it returns how many mixes are run beside the ends."""

    atoms: Mapping[str, Group]
    layers: Mapping[str, Taken]
    requires: Mapping[str, Taken]
    options: Options

    def __call__(self, culprit: str) -> int:
        inputs = self.layers.get("inputs", NOTHING)
        everything = frozenset(self.atoms)
        asked: set[Taken] = {inputs}

        def answer(mixes: Iterable[Taken]) -> dict[Taken, Outcome]:
            mixes = list(mixes)
            # Each mix is held against good execution over the same inputs.
            asked.update(mixes, (mix & inputs for mix in mixes))
            return {mix: "bad" if culprit in mix else "good" for mix in mixes}

        if culprit in inputs:
            asked.add(everything - inputs)
            if len(inputs) > 1 and self.options.drill:
                self._drill(inputs, answer, {})
        else:
            self._hunt(answer)
        return len(asked - {NOTHING, everything})

    def _hunt(self, answer: Callable[[Iterable[Taken]], dict[Taken, Outcome]]) -> None:
        def atoms_in(names: Taken) -> Taken:
            return NOTHING.union(*(self.layers[name] for name in names))

        def by_layer(mixes: list[Taken]) -> dict[Taken, Outcome]:
            known = answer(map(atoms_in, mixes))
            return {mix: known[atoms_in(mix)] for mix in mixes}

        told: dict[Taken, Outcome] = {}
        guilty = frozenset(self.layers)
        if len(self.layers) > 1:
            found = drive(sweep(list(self.layers)), by_layer)
            told = {atoms_in(names): outcome for names, outcome in found.outcomes.items()}
            guilty = found.guilty
        if self.options.drill and len(atoms_in(guilty)) > len(guilty):
            self._drill(frozenset(self.atoms), answer, told)

    def _drill(
        self,
        scope: Taken,
        answer: Callable[[Iterable[Taken]], dict[Taken, Outcome]],
        told: Mapping[Taken, Outcome],
    ) -> None:
        requires = held_together(self.atoms, self.requires, scope)
        order = [name for names in in_order([n for n in self.atoms if n in scope], requires) for name in names]
        likely = weights(self.atoms, self.options.focus)
        drive(narrow(order, requires, told=told, weights=likely, width=self.options.jobs), answer)
