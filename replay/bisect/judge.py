"""From evidence to one sentence: what did it, and is retraining the answer? Pure.

The tables of the design (section 4.5) are written out here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from replay.bisect.order import closed, turned
from replay.bisect.search import Taken
from replay.bisect.verdict import CLOCK, Culprit, Evidence, Kind, Relation, Tried, Verdict, confidence, layer_of
from replay.state import INPUTS


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
        return _verdict(evidence, [], _data_culprits(evidence), gaps)
    if not _consistent(breaks, mends):
        return _unclaimed(evidence, breaks, mends, gaps)
    culprits = [_culprit(members, mends, evidence) for members in breaks]
    named = {change for culprit in culprits for change in culprit.changes}
    by_data: list[Culprit] = []
    if evidence.data is not None and evidence.data.material:
        # Beside a guilty execution, reverting the data alone mends nothing.
        by_data = [
            c.model_copy(update={"mends": False}) for c in _data_culprits(evidence) if not named & set(c.changes)
        ]
    return _verdict(evidence, culprits, by_data, gaps)


def _consistent(breaks: Sequence[Taken], mends: Sequence[Taken]) -> bool:
    """Whether both directions tell one story: whatever mends must take something out of all that breaks."""
    if not breaks or not mends:
        return False
    return all(mend & members for mend in mends for members in breaks)


def _culprit(members: Taken, mends: Sequence[Taken], evidence: Evidence) -> Culprit:
    groups = [evidence.groups[name] for name in evidence.groups if name in members]
    alone: Relation = "inseparable" if groups[0].inseparable else "single"
    joint: Relation = "inseparable" if _not_told_apart(members, mends, evidence) else "together"
    return Culprit(
        changes=tuple(name for group in groups for name in group.names),
        relation=alone if len(groups) == 1 else joint,
        share=round(min(1.0, max(0.0, evidence.shares.get(members, 0.0))), 3),
        before={name: group.side(name, after=False) for group in groups for name in group.names},
        after={name: group.side(name, after=True) for group in groups for name in group.names},
        breaks=True,
        mends=any(mend <= members for mend in mends),
        commits={name: found for group in groups for name in group.names if (found := group.commits(name))},
    )


def _not_told_apart(members: Taken, mends: Sequence[Taken], evidence: Evidence) -> bool:
    """Whether a member was not shown to be needed, and a mix that holds some of the set and not the rest did not run.

    Such a member may have had no part in it: it is named with the others, and that it is not told from them.
    """
    if all(frozenset({member}) in {mend & members for mend in mends} for member in members):
        return False
    outcomes = [found.outcomes for found in (evidence.found, evidence.moved) if found is not None]
    split = [result for known in outcomes for mix, result in known.items() if mix & members and not members <= mix]
    return any(result in ("other", "unresolved") for result in split)


def _data_culprits(evidence: Evidence) -> list[Culprit]:
    """Return what moved the outputs under good execution: the changes shown to do it, else the inputs as a whole."""
    if _told_apart(evidence) and evidence.moved is not None:
        return [_culprit(members, evidence.moved.mends, evidence) for members in evidence.moved.breaks]
    if evidence.inputs is None:
        raise AssertionError("data has an effect only where inputs changed")
    label = evidence.inputs.label
    return [
        Culprit(
            changes=(label,),
            relation="single",
            share=round(evidence.data.share if evidence.data else 1.0, 3),
            before={label: evidence.inputs.side(label, after=False)},
            after={label: evidence.inputs.side(label, after=True)},
            breaks=True,
            mends=True,
        )
    ]


def _told_apart(evidence: Evidence) -> bool:
    return evidence.moved is not None and _consistent(evidence.moved.breaks, evidence.moved.mends)


ADVICE: Mapping[str, str] = {
    "execution-state-drift": "restore or adjust {what}; retraining will not mend it",
    "model-change": "roll back {what} or accept it; no execution or data change explains the difference",
    "data-drift": "retrain on current data, once it is known to be whole and right: execution is innocent and the "
    "inputs moved",
    "broken": "mend these values, or the job that cannot take them; retraining will not mend it",
    "both": "mend {what} first, then measure again, then decide on retraining",
}
READS_THE_CLOCK = (
    "the job reads the clock: hand it the date it scores for, as a parameter or in the data, so that the same inputs "
    "give the same scores on any day; retraining will not mend it"
)
WIDEST = 50
"""Characters of a contract's own words that an advice has room for."""

MOST_ALONG = 2
"""Changes that went along with a culprit and are named; of more, the number is told."""

PETTY = "execution is innocent; the data moved the outputs too little to call for retraining"


def _verdict(
    evidence: Evidence, execution: Sequence[Culprit], by_data: Sequence[Culprit], gaps: tuple[str, ...]
) -> Verdict:
    culprits = (*execution, *by_data)
    layers = {layer_of(change) for culprit in culprits for change in culprit.changes}
    if layers == {"data"}:
        kind: Kind = "data-drift"
    elif "data" in layers and any({layer_of(change) for change in culprit.changes} == {"data"} for culprit in culprits):
        kind = "both"
    else:
        kind = "model-change" if layers == {"model"} else "execution-state-drift"
    broke = evidence.data is not None and evidence.data.broke
    retrain = kind == "data-drift" and not broke and (evidence.data is None or evidence.data.material)
    mended = [told for culprit in culprits if (told := _to_mend(culprit, evidence))]
    guilty = {change for culprit in culprits for change in culprit.changes}
    reads_the_clock = kind == "execution-state-drift" and guilty == {CLOCK}
    advice = READS_THE_CLOCK if reads_the_clock else _advice(kind, retrain, broke).format(what=" and ".join(mended))
    noise = f" ({evidence.noise})" if evidence.noise else ""
    # Inputs that moved the outputs as a whole, or a little, are no culprits and not cleared either.
    open_question = evidence.data is not None and evidence.data.matters and not _told_apart(evidence)
    cleared = tuple(
        name
        for group in evidence.groups.values()
        for name in group.names
        if not guilty & set(group.names)
        and group.name not in evidence.carried
        and not (open_question and group.layer in INPUTS)
    )
    return Verdict(
        verdict=kind,
        retrain=retrain,
        sentence=_sentence(execution, by_data, evidence) + ", within the recorded layers" + noise,
        advice=advice,
        confidence=min(confidence(evidence.executions), round(evidence.sure, 2)),
        culprits=culprits,
        cleared=(*cleared, *evidence.cleared),
        gaps=gaps,
        not_held=evidence.not_held,
        evidence=evidence.lines,
        tried=_tried(evidence),
        probes=evidence.probes,
        good=evidence.good,
        bad=evidence.bad,
        fix=evidence.fix,
    )


def _advice(kind: Kind, retrain: bool, broke: bool) -> str:
    if kind != "data-drift" or retrain:
        return ADVICE[kind]
    return ADVICE["broken"] if broke else PETTY


def _to_mend(culprit: Culprit, evidence: Evidence) -> str:
    """Say what of a culprit to put back: all of it, or any of what acts together where each was shown to mend it."""
    names = [name for name in culprit.changes if not name.startswith("data")]
    told = [to_mend(name, culprit.before.get(name), culprit.after.get(name)) for name in names]
    return (" or " if _any_mends(culprit, evidence) else " and ").join(told)


def _any_mends(culprit: Culprit, evidence: Evidence) -> bool:
    """Whether reverting any one group of those that act together was shown to mend it."""
    own = {name for name, group in evidence.groups.items() if {*group.names} & {*culprit.changes}}
    alone = {next(iter(mend)) for mend in (evidence.found.mends if evidence.found else ()) if len(mend) == 1}
    return culprit.relation == "together" and own <= alone


def to_mend(name: str, before: str | None, after: str | None = None) -> str:
    """Say what a condition was where one word tells it: a version or a value can be put back as it stands.

    Of categories it is told which came and went: how many there were helps nobody.
    """
    if name.startswith("schema/") and name.endswith("/categories"):
        return f"{name} ({after})" if after is not None and len(after) <= WIDEST else name
    if name == CLOCK:
        return f"{name} (hand the job its date as a parameter; it was {before})"
    of_a_column = name.startswith("schema/") and before is not None and len(before) <= WIDEST
    told = of_a_column or name.startswith(("runtime/base", "runtime/packages/", "runtime/env/"))
    # Of a base its name, system and Python; the rest is a list of OS packages.
    was = before.split("; ")[0] if before is not None and name == "runtime/base" else before
    verb = "had" if of_a_column and name.endswith("/nulls") else "was"
    return f"{name} (it {verb} {was if was is not None else 'absent'})" if told else name


def _tried(evidence: Evidence) -> tuple[Tried, ...]:
    """Return the mixes that were looked at, from GOOD to BAD."""
    outcomes = {
        taken: outcome
        for found in (evidence.moved, evidence.found)
        if found is not None
        for taken, outcome in found.outcomes.items()
    }
    names = tuple(evidence.groups)
    return tuple(
        Tried(
            from_good=tuple(name for name in names if name not in taken),
            from_bad=tuple(name for name in names if name in taken),
            outcome=outcome,
        )
        for taken, outcome in sorted(outcomes.items(), key=lambda item: (len(item[0]), sorted(item[0])))
    )


def _sentence(execution: Sequence[Culprit], by_data: Sequence[Culprit], evidence: Evidence) -> str:
    independent = len(execution) > 1
    said = "; ".join(_said(culprit, independent, evidence) for culprit in execution)
    parts = (
        [f"{len(execution)} independent causes; revert all of them: {said}" if independent else said] if said else []
    )
    if by_data and evidence.data is not None:
        names = [" together with ".join(culprit.changes) for culprit in by_data]
        each = f"{', '.join(names[:-1])} and {names[-1]}, each by itself," if len(names) > 1 else names[0]
        did = "broke the job" if evidence.data.broke else "moved the outputs"
        parts.append(f"{each} {did} under unchanged execution ({evidence.data.sentence})")
    return "; and ".join(parts)


def _mending(culprit: Culprit, evidence: Evidence) -> str:
    """Say what alone mends, of a culprit whose members are not told apart; empty where they are one group."""
    groups = [group for group in evidence.groups.values() if {*group.names} & {*culprit.changes}]
    if len(groups) < 2:
        return ""
    mends = evidence.found.mends if evidence.found else ()
    whole = frozenset(group.name for group in groups)
    least = min((mend for mend in mends if mend <= whole), key=lambda mend: (len(mend), sorted(mend)), default=whole)
    return "them" if least == whole else " and ".join(group.label for group in groups if group.name in least)


def _said(culprit: Culprit, independent: bool, evidence: Evidence) -> str:
    names, gap = _names(culprit), _mending(culprit, evidence)
    if independent:
        return f"{names} alone reproduces part of it ({culprit.share:.0%})"
    if culprit.relation == "together":
        either = f"reverting {'either' if _any_mends(culprit, evidence) else gap} mends it"
        return f"it takes {names} together; " + (either if culprit.mends else "no single one mends it")
    if culprit.relation == "inseparable" and gap:
        return f"{names} are not told apart, because states between them could not run: together they reproduce it" + (
            f", and reverting {gap} mends it" if culprit.mends else ""
        )
    if culprit.relation == "inseparable":
        return f"{names} cause it, inseparable because they require each other; reverting them mends it"
    taken, reverted = (_along(culprit, evidence, back=back) for back in (False, True))
    breaking = f"taken with {taken} it reproduces it" if taken else "alone it reproduces it"
    return f"{names} causes it: {breaking}, and reverting it {f'with {reverted}' if reverted else 'alone'} mends it"


def _along(culprit: Culprit, evidence: Evidence, *, back: bool) -> str:
    """Name what a culprit requires, or (`back`) what requires it: no mix held it without them."""
    requires = turned(evidence.groups, evidence.requires) if back else evidence.requires
    own = frozenset(name for name, group in evidence.groups.items() if {*group.names} & {*culprit.changes})
    others = closed(own, requires) - own
    named = [name for key, group in evidence.groups.items() if key in others for name in group.names]
    return " and ".join(named) if len(named) <= MOST_ALONG else f"{len(named)} changes tied to it"


def _names(culprit: Culprit) -> str:
    """Return the changes of a culprit, each followed by the commit that brought it, or all by their only one."""
    if len({culprit.commits.get(name) for name in culprit.changes}) > 1:
        return " and ".join(name + _from(culprit.commits.get(name, ())) for name in culprit.changes)
    return " and ".join(culprit.changes) + _from(culprit.commits.get(culprit.changes[0], ()))


def _from(commits: Sequence[str]) -> str:
    """Name commits as their own change is named: `pipeline@4f2c1e9`; where there are many, the last."""
    if not commits:
        return ""
    digits, _, subject = commits[-1].partition(" ")
    more = f" and {len(commits) - 1} before it" if len(commits) > 1 else ""
    return f' (commit pipeline@{digits} "{subject}"{more})'


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
