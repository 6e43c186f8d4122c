"""The documents of a verdict: what it says, and the evidence it is drawn from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from replay.bisect.order import Requires
from replay.bisect.search import Found, Outcome, Taken
from replay.state import Change

Kind = Literal[
    "execution-state-drift",
    "model-change",
    "data-drift",
    "both",
    "nondeterministic",
    "outside-the-state",
    "no-difference",
    "inconclusive",
]
Relation = Literal["single", "together", "inseparable"]

CLOCK = "runtime/clock"
"""The change from the time that GOOD's job read to the time that BAD's read. It stands outside the states."""

LISTED = 3
"""Changes under one name that are told one by one."""

EXIT_CODES: Mapping[str, int] = {"no-difference": 1, "nondeterministic": 3, "outside-the-state": 3, "inconclusive": 3}
"""Exit code of `replay bisect` by verdict; every other verdict is 0, cause found."""

GATE: Mapping[str, int] = {
    "no-difference": 0,
    "data-drift": 0,
    "execution-state-drift": 1,
    "model-change": 1,
    "both": 1,
    "nondeterministic": 1,
    "outside-the-state": 1,
    "inconclusive": 3,
}
"""Exit code of `replay verify` by verdict. What does not reproduce is closed."""

GATES: Mapping[int, str] = {0: "open", 1: "closed", 3: "undecided"}
"""What `replay verify` calls its exit codes."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Culprit(_Result):
    """One cause: the changes that act as one, what they were and became, and what was shown of them.

    `relation` says why they are one; `share` (0 to 1) how much of the outputs' movement they explain. `breaks`: taken
    into GOOD they reproduce it; `mends`: reverted in BAD they alone undo it. `commits` maps a change to the commits
    that brought it, as `4f2c1e9 subject`, where they are known. In JSON `before` is `from`, `after` `to`.
    """

    changes: tuple[str, ...]
    relation: Relation
    share: float
    before: dict[str, str | None] = Field(serialization_alias="from")
    after: dict[str, str | None] = Field(serialization_alias="to")
    breaks: bool
    mends: bool
    commits: dict[str, tuple[str, ...]] = {}


class Tried(_Result):
    """One mix whose outcome is known: which groups it took from which side."""

    from_good: tuple[str, ...]
    from_bad: tuple[str, ...]
    outcome: Outcome


class Probes(_Result):
    """How many executions the answer cost."""

    run: int = 0
    cached: int = 0
    unresolved: int = 0


class Verdict(_Result):
    """The answer of `bisect` and `verify`: one shape for people, gates and scripts.

    `confidence` is 0 where no cause is claimed. `cleared`: changes that were shown to have no part in it; `gaps`: what
    could not be told apart, because it did not run; `not_held`: what no probe could hold fixed, as `name: reason`.
    `good`, `bad` and `fix` are ids of states; `fix` is BAD with the culprits reverted, run and good, null where there
    is none. `evidence` is in words; `tried`, for reports that draw the mixes, is not in the JSON.
    """

    verdict: Kind
    retrain: bool
    sentence: str
    advice: str
    confidence: float
    culprits: tuple[Culprit, ...] = ()
    cleared: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    not_held: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = Field(default=(), exclude=True)
    probes: Probes = Probes()
    good: str
    bad: str
    fix: str | None = None

    def document(self) -> dict[str, object]:
        """Return the JSON document of `--json`."""
        return self.model_dump(mode="json", by_alias=True)


def layer_of(name: str) -> str:
    """Return the layer of a change, or of a commit, by its name."""
    return Change(name=name).layer


@dataclass(frozen=True)
class Group:
    """Changes that the search takes together: a layer, or an atom that cannot be split further.

    `inseparable`: the changes require each other, so that no mix can hold one of them without the rest. `commit` is
    set where they are all that one commit brought: `pipeline@4f2c1e9`.
    """

    name: str
    changes: tuple[Change, ...]
    inseparable: bool = False
    commit: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What a verdict calls it: its commit, or each of its changes where they are inseparable, else its label."""
        if self.commit:
            return (self.commit,)
        return tuple(change.name for change in self.changes) if self.inseparable else (self.label,)

    @property
    def label(self) -> str:
        """The narrowest name that holds all that was shown: the change itself, or what its changes share.

        Of inputs the schema speaks where it changed: values and rows alone are data. Changes that require each other
        are named one by one: what they share holds others as well.
        """
        if self.inseparable:
            return " + ".join(self.names)
        schema = [change.name for change in self.changes if change.layer == "schema"]
        parts = [name.split("/") for name in (schema or [change.name for change in self.changes])]
        common = []
        for column in zip(*parts, strict=False):
            if len(set(column)) > 1:
                break
            common.append(column[0])
        if len(common) < min(map(len, parts)) and common[:1] == ["pipeline"]:
            files = {names[len(common)].split("#")[0] for names in parts}
            common += files if len(files) == 1 else ()
        return "/".join(common) or self.name

    @property
    def layer(self) -> str:
        """The layer it speaks for."""
        return layer_of(self.label)

    def commits(self, name: str) -> tuple[str, ...]:
        """Return the commits that brought `name` (one of `names`), where they are known."""
        return tuple(dict.fromkeys(commit for change in self._named(name) for commit in change.commits))

    def side(self, name: str, after: bool) -> str | None:
        """Return what `name` (one of `names`) was or became, for people; of a commit the lines it changed."""
        own = self._named(name)
        sides = [change.after if after else change.before for change in own]
        if len(own) == 1:
            return sides[0]
        if self.commit:
            return "\n".join(side for side in sides if side is not None) or None
        if not own:
            return None
        told = [f"{change.name[len(name) + 1 :]}: {side or 'absent'}" for change, side in zip(own, sides, strict=True)]
        rest = len(told) - LISTED
        return "; ".join(told[:LISTED]) + (f"; and {rest} more" if rest > 0 else "")

    def _named(self, name: str) -> list[Change]:
        if name == self.commit:
            return list(self.changes)
        below = (f"{name}/", f"{name}#")
        return [change for change in self.changes if change.name == name or change.name.startswith(below)]


@dataclass(frozen=True)
class DataEffect:
    """What good execution makes of today's data, beside what it made of the good data.

    `matters`: its outputs moved at all (on rows both have, or in distribution). `material`: so far that it
    is a cause beside another one. `sentence` says how it was seen. `broke`: the job failed over it.
    """

    matters: bool
    material: bool
    sentence: str
    share: float = 1.0
    broke: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that was shown.

    `shares` maps each set that breaks GOOD to its part of the divergence; `carried` are groups that went along
    with a culprit because one requires the other, so that they are neither guilty nor cleared; `requires` says which
    groups require which; `cleared` are changes outside the groups that were shown to have no part in it. `inputs` is
    all that changed in schema and data, `moved` which of it moves the outputs under good execution, where that was
    told apart. `noise` says how often runs of one state differed, and `sure` is then the probability that the set
    found is the one.
    """

    good: str
    bad: str
    groups: Mapping[str, Group]
    found: Found | None = None
    data: DataEffect | None = None
    shares: Mapping[Taken, float] = field(default_factory=dict)
    carried: Taken = frozenset()
    requires: Requires = field(default_factory=dict)
    cleared: tuple[str, ...] = ()
    executions: int = 0
    lines: tuple[str, ...] = ()
    not_held: tuple[str, ...] = ()
    probes: Probes = field(default_factory=Probes)
    fix: str | None = None
    inputs: Group | None = None
    moved: Found | None = None
    noise: str = ""
    sure: float = 1.0


def confidence(executions: int) -> float:
    """Return the probability that the next execution agrees too, after `executions` that all did.

    Laplace's rule of succession, (n + 1) / (n + 2): no more is claimed than was run.
    """
    return round((executions + 1) / (executions + 2), 2)
