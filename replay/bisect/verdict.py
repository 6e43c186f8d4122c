"""From evidence to one sentence: what did it, and is retraining the answer? Pure.

The tables of the design (section 4.5) are written out here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
"""Exit code of `replay verify` by verdict: 0 open, 1 closed, 3 undecided. What does not reproduce is closed."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Culprit(_Result):
    """One cause: the changes that act as one, what they were and became, and what was shown of them.

    `relation` says why they are one; `share` (0 to 1) how much of the outputs' movement they explain. `breaks`: taken
    into GOOD they reproduce it; `mends`: reverted in BAD they alone undo it. In JSON `before` is `from`, `after` `to`.
    """

    changes: tuple[str, ...]
    relation: Relation
    share: float
    before: dict[str, str | None] = Field(serialization_alias="from")
    after: dict[str, str | None] = Field(serialization_alias="to")
    breaks: bool
    mends: bool


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


@dataclass(frozen=True)
class Group:
    """Changes that the search takes together: a layer, or an atom that cannot be split further.

    `inseparable`: the changes require each other, so that no mix can hold one of them without the rest.
    """

    name: str
    changes: tuple[Change, ...]
    inseparable: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What a verdict calls it: each of its changes where they are inseparable, else its label."""
        return tuple(change.name for change in self.changes) if self.inseparable else (self.label,)

    @property
    def label(self) -> str:
        """The narrowest name that holds all that was shown: the change itself, or what its changes share.

        Of inputs the schema speaks where it changed: values and rows alone are data.
        """
        schema = [change.name for change in self.changes if change.layer == "schema"]
        parts = [name.split("/") for name in (schema or [change.name for change in self.changes])]
        common = []
        for column in zip(*parts, strict=False):
            if len(set(column)) > 1:
                break
            common.append(column[0])
        return "/".join(common) or self.name

    @property
    def layer(self) -> str:
        """The layer it speaks for."""
        return self.label.split("/", 1)[0]

    def side(self, name: str, after: bool) -> str | None:
        """Return what `name` (one of `names`) was or became, for people."""
        own = [change for change in self.changes if change.name == name or change.name.startswith(f"{name}/")]
        if len(own) == 1:
            return own[0].after if after else own[0].before
        return None if not own else f"{len(own)} changes"


@dataclass(frozen=True)
class DataEffect:
    """What good execution makes of today's data, beside what it made of the good data.

    `matters`: its outputs moved at all (on rows both have, or in distribution). `material`: so far that it
    is a cause beside another one. `sentence` says how it was seen.
    """

    matters: bool
    material: bool
    sentence: str
    share: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """All that was shown.

    `shares` maps each set that breaks GOOD to its part of the divergence; `carried` are groups that went along
    with a culprit because one requires the other, so that they are neither guilty nor cleared.
    """

    good: str
    bad: str
    groups: Mapping[str, Group]
    found: Found | None = None
    data: DataEffect | None = None
    shares: Mapping[Taken, float] = field(default_factory=dict)
    carried: Taken = frozenset()
    executions: int = 0
    lines: tuple[str, ...] = ()
    not_held: tuple[str, ...] = ()
    probes: Probes = field(default_factory=Probes)
    fix: str | None = None


def confidence(executions: int) -> float:
    """Return the probability that the next execution agrees too, after `executions` that all did.

    Laplace's rule of succession, (n + 1) / (n + 2): no more is claimed than was run.
    """
    return round((executions + 1) / (executions + 2), 2)


def settled(evidence: Evidence, kind: Kind, sentence: str, advice: str) -> Verdict:
    """Return a verdict that names no culprit."""
    return Verdict(
        verdict=kind,
        retrain=False,
        sentence=sentence,
        advice=advice,
        confidence=confidence(evidence.executions) if kind == "no-difference" else 0.0,
        evidence=evidence.lines,
        tried=_tried(evidence),
        not_held=evidence.not_held,
        probes=evidence.probes,
        good=evidence.good,
        bad=evidence.bad,
    )


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict that the evidence supports, and no more."""
    found = evidence.found
    breaks = found.breaks if found else ()
    mends = found.mends if found else ()
    gaps = tuple(_gap_sentence(gap.items, evidence) for gap in found.gaps) if found else ()
    moved = evidence.data is not None and evidence.data.matters
    if not breaks and not mends:
        if evidence.data is None or not moved:
            return settled(evidence, "no-difference", _no_difference(evidence), "nothing to mend, no reason to retrain")
        return _verdict(evidence, [_data_culprit(evidence)], "single", gaps)
    if not _consistent(breaks, mends):
        return _unclaimed(evidence, breaks, mends, gaps)
    culprits = [_culprit(members, mends, evidence) for members in breaks]
    if evidence.data is not None and evidence.data.material and not any("inputs" in members for members in breaks):
        culprits.append(_data_culprit(evidence))
    return _verdict(evidence, culprits, "single" if len(breaks) == 1 else "independent", gaps)


def _consistent(breaks: Sequence[Taken], mends: Sequence[Taken]) -> bool:
    """Whether both directions tell one story: whatever mends must take something out of all that breaks."""
    if not breaks or not mends:
        return False
    return all(mend & members for mend in mends for members in breaks)


def _culprit(members: Taken, mends: Sequence[Taken], evidence: Evidence) -> Culprit:
    groups = [evidence.groups[name] for name in evidence.groups if name in members]
    alone: Relation = "inseparable" if groups[0].inseparable else "single"
    return Culprit(
        changes=tuple(name for group in groups for name in group.names),
        relation=alone if len(groups) == 1 else "together",
        share=round(min(1.0, max(0.0, evidence.shares.get(members, 0.0))), 3),
        before={name: group.side(name, after=False) for group in groups for name in group.names},
        after={name: group.side(name, after=True) for group in groups for name in group.names},
        breaks=True,
        mends=any(mend <= members for mend in mends),
    )


def _data_culprit(evidence: Evidence) -> Culprit:
    group = evidence.groups["inputs"]
    share = evidence.data.share if evidence.data else 1.0
    return Culprit(
        changes=(group.label,),
        relation="single",
        share=round(share, 3),
        before={group.label: group.side(group.label, after=False)},
        after={group.label: group.side(group.label, after=True)},
        breaks=True,
        mends=True,
    )


ADVICE: Mapping[str, str] = {
    "execution-state-drift": "restore or adjust {what}; retraining will not mend it",
    "model-change": "roll back {what} or accept it; no execution or data change explains the difference",
    "data-drift": "retrain on current data: execution is innocent and the inputs moved",
    "both": "mend {what} first, then measure again, then decide on retraining",
}
PETTY = "execution is innocent; the data moved the outputs too little to call for retraining"


def _verdict(evidence: Evidence, culprits: Sequence[Culprit], shape: str, gaps: tuple[str, ...]) -> Verdict:
    layers = {change.split("/", 1)[0] for culprit in culprits for change in culprit.changes}
    if layers == {"data"}:
        kind: Kind = "data-drift"
    elif "data" in layers and any(
        {change.split("/", 1)[0] for change in culprit.changes} == {"data"} for culprit in culprits
    ):
        kind = "both"
    else:
        kind = "model-change" if layers == {"model"} else "execution-state-drift"
    retrain = kind == "data-drift" and (evidence.data is None or evidence.data.material)
    mended = [change for culprit in culprits for change in culprit.changes if not change.startswith("data")]
    guilty = {change for culprit in culprits for change in culprit.changes}
    # Data that moved the outputs a little is no culprit, and not cleared either.
    moved = evidence.data is not None and evidence.data.matters
    cleared = tuple(
        group.label
        for group in evidence.groups.values()
        if not guilty & set(group.names)
        and group.name not in evidence.carried
        and not (group.name == "inputs" and moved)
    )
    return Verdict(
        verdict=kind,
        retrain=retrain,
        sentence=_sentence(culprits, shape, evidence) + ", within the recorded layers",
        advice=ADVICE[kind].format(what=" and ".join(mended)) if retrain or kind != "data-drift" else PETTY,
        confidence=confidence(evidence.executions),
        culprits=tuple(culprits),
        cleared=cleared,
        gaps=gaps,
        not_held=evidence.not_held,
        evidence=evidence.lines,
        tried=_tried(evidence),
        probes=evidence.probes,
        good=evidence.good,
        bad=evidence.bad,
        fix=evidence.fix,
    )


def _tried(evidence: Evidence) -> tuple[Tried, ...]:
    """Return the mixes that were looked at, from GOOD to BAD."""
    outcomes = evidence.found.outcomes if evidence.found else {}
    names = tuple(evidence.groups)
    return tuple(
        Tried(
            from_good=tuple(name for name in names if name not in taken),
            from_bad=tuple(name for name in names if name in taken),
            outcome=outcome,
        )
        for taken, outcome in sorted(outcomes.items(), key=lambda item: (len(item[0]), sorted(item[0])))
    )


def _sentence(culprits: Sequence[Culprit], shape: str, evidence: Evidence) -> str:
    parts = []
    for culprit in culprits:
        names = " and ".join(culprit.changes)
        if evidence.data and culprit.changes == (evidence.groups["inputs"].label,):
            parts.append(f"{names} moved the outputs under unchanged execution ({evidence.data.sentence})")
        elif culprit.relation == "together":
            ways = "reverting either mends it" if culprit.mends else "reverting both mends it"
            parts.append(f"it takes {names} together; {ways}")
        elif culprit.relation == "inseparable" and shape != "independent":
            parts.append(f"{names} cause it, inseparable because they require each other; reverting them mends it")
        elif shape == "independent":
            parts.append(f"{names} alone reproduces part of it ({culprit.share:.0%})")
        else:
            parts.append(f"{names} causes it: alone it reproduces it, and reverting it alone mends it")
    if shape == "independent":
        return f"{len(culprits)} independent causes; revert all of them: " + "; ".join(parts)
    return "; and ".join(parts)


def _no_difference(evidence: Evidence) -> str:
    if evidence.data is not None:
        return f"execution is innocent and the outputs did not move with the data ({evidence.data.sentence})"
    if evidence.groups:
        return "the two states differ, and their outputs do not: no recorded change has an effect"
    return "the two states are the same, and so are their outputs"


def _unclaimed(evidence: Evidence, breaks: Iterable[Taken], mends: Iterable[Taken], gaps: tuple[str, ...]) -> Verdict:
    """List what was seen where the two directions do not tell one story."""

    def names(members: Taken) -> str:
        return " + ".join(evidence.groups[name].label for name in evidence.groups if name in members)

    seen = [f"{names(members)} alone breaks GOOD" for members in breaks]
    seen += [f"reverting {names(members)} mends BAD" for members in mends]
    verdict = settled(
        evidence,
        "inconclusive",
        "what breaks GOOD and what mends BAD do not tell one story: " + ("; ".join(seen) or "nothing was shown"),
        "no cause is claimed; rerun the probes that could not run, or bisect two states that lie closer together",
    )
    return verdict.model_copy(update={"gaps": gaps})


def _gap_sentence(items: Sequence[str], evidence: Evidence) -> str:
    names = [evidence.groups[item].label for item in items if item in evidence.groups]
    return f"not told apart: {', '.join(names)}; the states between them could not run"
