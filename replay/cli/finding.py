"""`replay bisect, verify`: which change did it, and should we retrain?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replay.cli import options
from replay.cli.console import done, progress, result, say
from replay.cli.mending import mended
from replay.cli.session import Session

if TYPE_CHECKING:
    from replay.bisect.case import Options
    from replay.bisect.verdict import Verdict
    from replay.record import RunRecord


def bisect(
    good: Annotated[str, typer.Argument(help="The last run known to be good.")],
    bad: Annotated[str, typer.Argument(help="The first run known to be bad.")],
    jobs: options.Jobs = 1,
    test: options.Test = None,
    plan: options.Plan = False,
    resume: options.Resume = False,
    fresh: options.Fresh = False,
    repeat: options.Repeat = 2,
    noise: options.Noise = 0,
    layers: options.Layers = False,
    only: options.Only = None,
    skip: options.Skip = None,
    suspect: options.Suspect = None,
    fix: options.Fix = False,
    every: options.Every = False,
    budget: options.Budget = None,
    clock: options.ProbeClock = options.ClockName.recorded,
    html: options.Html = None,
    engine: options.Engine = options.EngineName.auto,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Find which change moved the outputs, by running what lies between two runs.

    Example: replay bisect september october --jobs 2

    Both ends are rerun first. Probes that ended are remembered: a bisect that was killed goes on where it
    was. Exit code 0 cause found, 1 no difference, 3 inconclusive, 2 trouble.
    """
    from replay.bisect.budget import Budget
    from replay.bisect.case import Options
    from replay.bisect.command import command_test
    from replay.bisect.focus import Focus
    from replay.bisect.verdict import EXIT_CODES

    session = Session(store, engine.choice)
    kept = session.store()
    runs = session.run(kept, good), session.run(kept, bad)
    chosen = Options(
        jobs=jobs,
        repeat=repeat,
        fresh=fresh,
        resume=resume,
        drill=not layers,
        hold_clock=clock == "recorded",
        history=session.root(),
        focus=Focus(tuple(only or ()), tuple(skip or ()), tuple(suspect or ())),
    )
    if plan:
        _plan(session, runs, chosen, as_json)
        return
    chosen = replace(chosen, test=command_test(test, kept) if test else None, test_name=test or "", every=every)
    chosen = replace(chosen, noise=options.enough(noise), budget=None if budget is None else Budget.parse(budget))
    found = _investigate(session, runs, chosen)
    _report(found, runs, html, as_json)
    if fix:
        _mend(session, found, as_json)
    done(EXIT_CODES.get(found.verdict, 0))


def verify(
    baseline: Annotated[str, typer.Argument(help="A run that was good.")] = "baseline",
    candidate: Annotated[str, typer.Argument(help="The run in question.")] = "last",
    jobs: options.Jobs = 1,
    fresh: options.Fresh = False,
    repeat: options.Repeat = 2,
    noise: options.Noise = 0,
    clock: options.ProbeClock = options.ClockName.recorded,
    html: options.Html = None,
    engine: options.Engine = options.EngineName.auto,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """The gate before a retraining: is execution innocent?

    Example: replay verify september last && python retrain.py

    Exit code 0 open: the baseline reproduces and execution is innocent (whether the data moved is said);
    1 closed; 3 inconclusive; 2 trouble.
    """
    from replay.bisect.case import Options
    from replay.bisect.verdict import GATE, GATES

    session = Session(store, engine.choice)
    kept = session.store()
    runs = session.run(kept, baseline), session.run(kept, candidate)
    chosen = Options(
        jobs=jobs,
        repeat=repeat,
        fresh=fresh,
        hold_clock=clock == "recorded",
        history=session.root(),
        noise=options.enough(noise),
    )
    found = _investigate(session, runs, chosen)
    code = GATE[found.verdict]
    if not as_json:
        say(f"GATE     {GATES[code]}")
        if found.verdict == "data-drift" and not found.retrain:
            say("         execution is innocent, but retraining is not the answer: see the advice")
    _report(found, runs, html, as_json)
    done(code)


def _investigate(session: Session, runs: tuple[RunRecord, RunRecord], chosen: Options) -> Verdict:
    from replay.bisect.investigate import investigate

    return investigate(session.repeating(*runs), *runs, chosen)


def _mend(session: Session, found: Verdict, as_json: bool) -> None:
    for line in mended(session, found):
        progress(line) if as_json else say(line)


def _report(found: Verdict, runs: tuple[RunRecord, RunRecord], html: Path | None, as_json: bool) -> None:
    from replay.report import text

    result(as_json, found.document(), text.verdict(found, *runs))
    if html:
        from replay.report.html import page

        html.write_text(page(found, *runs), encoding="utf-8")
        progress(f"report written to {html}")


def _plan(session: Session, runs: tuple[RunRecord, RunRecord], chosen: Options, as_json: bool) -> None:
    from replay.bisect.investigate import planned
    from replay.report.text import clip

    found, atoms = planned(session.repeating(*runs), *runs, chosen)
    seconds = found.seconds(*runs)
    lines = [f"at most {len(found.steps)} probes while single changes act, {found.words(*runs)}:"]
    lines += [f"  {step}" for step in found.steps]
    told = [(group.label, commit) for group in atoms.values() for commit in group.commits(group.names[0])]
    lines += ["commits in between:"] if told else []
    lines += [f"  {clip(commit, 80)}: {clip(name, 80)}" for name, commit in told]
    result(as_json, {"probes": list(found.steps), "seconds": seconds}, "\n".join(lines))
