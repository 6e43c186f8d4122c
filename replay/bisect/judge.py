"""From evidence to one sentence: what did it, and is retraining the answer? Pure.

The tables of the design (section 4.5) are written out here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from replay.bisect.search import Taken
from replay.bisect.verdict import Culprit, Evidence, Kind, Relation, Tried, Verdict, confidence


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
        culprits.append(_data_culprit(evidence).model_copy(update={"mends": False}))
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
    mended = [_to_mend(name, c.before.get(name)) for c in culprits for name in c.changes if not name.startswith("data")]
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


def _to_mend(name: str, before: str | None) -> str:
    """Say what a condition was where one word tells it: a version or a value can be put back as it stands."""
    told = name.startswith(("runtime/packages/", "runtime/env/"))
    return f"{name} (it was {before if before is not None else 'absent'})" if told else name


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
    parts = [_said(culprit, shape == "independent", evidence) for culprit in culprits]
    if shape == "independent":
        return f"{len(culprits)} independent causes; revert all of them: " + "; ".join(parts)
    return "; and ".join(parts)


def _said(culprit: Culprit, independent: bool, evidence: Evidence) -> str:
    names = " and ".join(culprit.changes)
    if evidence.data and culprit.changes == (evidence.groups["inputs"].label,):
        return f"{names} moved the outputs under unchanged execution ({evidence.data.sentence})"
    if independent:
        return f"{names} alone reproduces part of it ({culprit.share:.0%})"
    if culprit.relation == "together":
        return f"it takes {names} together; " + (
            "reverting either mends it" if culprit.mends else "no single one mends it"
        )
    if culprit.relation == "inseparable":
        return f"{names} cause it, inseparable because they require each other; reverting them mends it"
    return f"{names} causes it: alone it reproduces it, and reverting it alone mends it"


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
