"""An investigation under way: the two runs, what lies between them, and what was seen so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from replay.bisect.budget import Budget
from replay.bisect.focus import Focus
from replay.bisect.judge import settled
from replay.bisect.order import closed, turned
from replay.bisect.probe import Prober
from replay.bisect.search import Found, Outcome, Taken, in_order
from replay.bisect.verdict import CLOCK, DataEffect, Evidence, Group, Kind, Verdict
from replay.execute import Workbench
from replay.layers.release import Pair, keep
from replay.record import RunRecord
from replay.state import INPUTS, LAYERS, Change

Test = Callable[[RunRecord], Outcome]
"""A user's own word on a run: good, bad, or unresolved."""

NOTHING: Taken = frozenset()


@dataclass(frozen=True)
class Options:
    """How to investigate. `repeat`: executions of each endpoint; `drill`: go below whole layers; `history`: a git
    repository to look for commits in; `hold_clock`: each end reads the time it read when it was recorded, else
    every probe reads the real one; `noise`: executions of GOOD beforehand, whose differences among themselves are
    no evidence (0: none); `focus`: what is taken apart and tried first; `every`: look for all causes.
    """

    jobs: int = 1
    repeat: int = 2
    fresh: bool = False
    resume: bool = False
    drill: bool = True
    hold_clock: bool = True
    test: Test | None = None
    test_name: str = ""
    history: Path | None = None
    noise: int = 0
    focus: Focus = field(default_factory=Focus)
    budget: Budget | None = None
    every: bool = False


def requires_of(pair: Pair) -> dict[str, frozenset[str]]:
    """Return what each change requires, of those that are changes themselves."""
    return {change.name: frozenset(change.requires) & pair.names for change in pair.changes}


def clock_change(good: RunRecord, bad: RunRecord) -> Change | None:
    """Return the clock as a change between two runs, None where both read the same time."""
    was, became = good.clock_began, bad.clock_began
    return Change(name=CLOCK, before=was, after=became) if was != became else None


def atoms_of(pair: Pair, clock: Change | None = None) -> dict[str, Group]:
    """Return the smallest groups a mix can take, requirements first: changes that require each other are one.

    Of the inputs such a group is one view of a snapshot and goes by what its changes share. `clock` is the last.
    """
    by_name: dict[str, Change] = {change.name: change for change in pair.changes}
    atoms: dict[str, Group] = {}
    for members in in_order(list(by_name), requires_of(pair)):
        changes = tuple(by_name[name] for name in members)
        tied = len(changes) > 1 and changes[0].layer not in INPUTS
        commit = _whole_commit(changes, pair.changes) if tied else ""
        atoms[" + ".join(members)] = Group(" + ".join(members), changes, tied, commit)
    return atoms | ({CLOCK: Group(CLOCK, (clock,))} if clock else {})


def _whole_commit(changes: Sequence[Change], among: Sequence[Change]) -> str:
    """Return the commit, as a change is named, that these changes and no others come from; empty where none is."""
    commits = {change.commits for change in changes}
    digits = next(iter(commits))[0].split(" ")[0] if len(commits) == 1 and len(changes[0].commits) == 1 else ""
    brought = [change for change in among if set(change.commits) & set(changes[0].commits)]
    alone = len(brought) == len(changes) and all(change.layer == "pipeline" for change in changes)
    return f"pipeline@{digits}" if digits and alone else ""


def layers_of(atoms: Mapping[str, Group]) -> dict[str, Taken]:
    """Return the changed layers and the atoms each is made of, in the design's order.

    Schema and data are one here, because they are two views of one snapshot.
    """
    whose = {
        name: "inputs" if group.changes[0].layer in INPUTS else group.changes[0].layer for name, group in atoms.items()
    }
    found = {layer: frozenset(name for name, own in whose.items() if own == layer) for layer in ("inputs", *LAYERS)}
    return {layer: members for layer, members in found.items() if members}


def held_together(atoms: Mapping[str, Group], requires: Mapping[str, Taken], scope: Taken) -> dict[str, Taken]:
    """Return what each atom of `scope` requires of the others, given what the changes do. Pure."""
    holder = {change.name: name for name, atom in atoms.items() for change in atom.changes}
    found: dict[str, Taken] = {}
    for name in scope:
        wanted = (other for change in atoms[name].changes for other in requires[change.name])
        found[name] = (frozenset(holder[other] for other in wanted) - {name}) & scope
    return found


@dataclass
class Case:
    """An investigation under way."""

    bench: Workbench
    good: RunRecord
    bad: RunRecord
    prober: Prober
    options: Options
    requires: Mapping[str, Taken]
    lines: list[str] = field(default_factory=list)
    left_out: Taken = NOTHING
    clock_cleared: bool = False

    def drop_clock(self, *, cleared: bool) -> None:
        """Leave the clock out of all that follows: every probe reads GOOD's. `cleared`: it was shown to do nothing."""
        self.prober.atoms = {name: group for name, group in self.prober.atoms.items() if name != CLOCK}
        self.prober.layers = layers_of(self.prober.atoms)
        self.left_out = frozenset({CLOCK})
        self.clock_cleared = cleared
        if cleared:
            self.lines.append("the clock has no part in it: each end gives its outputs at the other's time too")

    @property
    def everything(self) -> Taken:
        """All atoms: taking them is BAD."""
        return frozenset(self.prober.atoms)

    @property
    def inputs(self) -> Taken:
        """The atoms of schema and data."""
        return self.prober.layers.get("inputs", NOTHING)

    def reference(self, taken: Taken) -> RunRecord | None:
        """Return the run of good execution over the inputs of a mix, if it was made."""
        if not taken & self.inputs:
            return self.good
        probe = self.prober.done.get((taken & self.inputs, 0))
        return probe.record if probe else None

    @property
    def layers(self) -> dict[str, Group]:
        """The changed layers as groups."""
        return {name: self._layer(name, own) for name, own in self.prober.layers.items()}

    def _layer(self, name: str, own: Taken) -> Group:
        atoms = [group for atom, group in self.prober.atoms.items() if atom in own]
        changes = tuple(change for group in atoms for change in group.changes)
        return replace(atoms[0], name=name) if len(atoms) == 1 else Group(name, changes)

    def atoms_in(self, layers: Taken) -> Taken:
        """Return the atoms that make up these layers."""
        return NOTHING.union(*(self.prober.layers[name] for name in layers))

    def not_held(self) -> tuple[str, ...]:
        """Return what no probe could hold fixed, with the reason."""
        held: dict[str, str] = {}
        for probe in self.prober.done.values():
            held |= probe.record.not_held if probe.record else {}
        return tuple(f"{name}: {reason}" for name, reason in sorted(held.items()))

    def evidence(
        self,
        found: Found | None = None,
        effect: DataEffect | None = None,
        shares: Mapping[Taken, float] | None = None,
        fine: bool = False,
        carried: Taken = NOTHING,
        moved: Found | None = None,
    ) -> Evidence:
        """Return all that was shown; `fine`: the found sets are of atoms, else of layers.

        `moved` are the atoms of the inputs that move the outputs under good execution.
        """
        layers = self.layers
        groups = dict(self.prober.atoms if fine else layers)
        if moved is not None and not fine:
            del groups["inputs"]
            groups = {name: group for name, group in self.prober.atoms.items() if name in self.inputs} | groups
        return Evidence(
            good=self.good.state,
            bad=self.bad.state,
            groups=groups,
            inputs=layers.get("inputs"),
            found=found,
            moved=moved,
            data=effect,
            shares=shares or {},
            executions=sum(1 for probe in self.prober.done.values() if probe.record is not None),
            lines=tuple(self.lines),
            not_held=self.not_held(),
            probes=self.prober.probes,
            fix=self._fix(found or moved, fine or found is None),
            carried=carried,
            requires=self._between() if fine else {},
            cleared=tuple(self.left_out) if self.clock_cleared else (),
        )

    def stop(self, kind: Kind, sentence: str, advice: str) -> Verdict:
        """Return a verdict that ends it here, with what was seen so far."""
        return settled(self.evidence(), kind, sentence, advice)

    def _fix(self, found: Found | None, fine: bool) -> str | None:
        """Keep and return the state that is BAD with the culprits reverted; it was run and it was good."""
        if found is None or not found.mends:
            return None
        smallest = min(found.mends, key=lambda mend: (len(mend), sorted(mend)))
        reverted = smallest if fine else self.atoms_in(smallest)
        if CLOCK in reverted:
            return None  # no state holds a clock
        needed = turned(self.everything, self._between())
        mended = self.everything - closed(reverted, needed)
        return keep(self.prober.release(mended), self.bench.store) if (mended, 0) in self.prober.done else None

    def _between(self) -> dict[str, Taken]:
        return held_together(self.prober.atoms, self.requires, self.everything)
