"""`replay bisect, verify`: which change did it, and should we retrain?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import done, progress, result, say
from replay.cli.mending import mended
from replay.cli.session import Session

if TYPE_CHECKING:
    from replay.bisect.case import Options
    from replay.bisect.verdict import Verdict
    from replay.record import RunRecord

Repeat = Annotated[int, typer.Option("--repeat", min=2, max=50, help="Reruns of each end.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every probe again, also those known from before.")]


def bisect(
    good: Annotated[str, typer.Argument(help="The last run known to be good.")],
    bad: Annotated[str, typer.Argument(help="The first run known to be bad.")],
    jobs: options.Jobs = 1,
    test: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--test", help="A command that judges a run's outputs: exit 0 good, 1 bad, 125 cannot say."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be probed, and stop.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that was interrupted.")] = False,
    fresh: Fresh = False,
    repeat: Repeat = 2,
    noise: options.Noise = 0,
    layers: Annotated[bool, typer.Option("--layers", help="Name the layer, go no deeper.")] = False,
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--only", help="Take apart only these changes, as runtime/packages; others as a whole."),
    ] = None,
    skip: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--skip", help="Do not take these changes apart."),
    ] = None,
    suspect: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--suspect", help="Try these changes first."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Run the mended state again, tag it fix, say what to do.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Look for every cause and every way to mend it.")] = False,
    budget: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--budget", help="Stop after so many probes (20) or so much time (90s, 10m, 2h)."),
    ] = None,
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
    one, other = session.run(kept, good), session.run(kept, bad)
    focus = Focus(tuple(only or ()), tuple(skip or ()), tuple(suspect or ()))
    if plan:
        held = {"hold_clock": clock == "recorded", "history": session.root(), "jobs": jobs}
        _plan(session, (one, other), Options(repeat=repeat, drill=not layers, focus=focus, **held), as_json)  # type: ignore[arg-type]
        return
    judge = command_test(test, kept) if test else None
    more = {
        "resume": resume,
        "test": judge,
        "test_name": test or "",
        "drill": not layers,
        "hold_clock": clock == "recorded",
        "noise": options.enough(noise),
        "focus": focus,
        "every": every,
        "budget": Budget.parse(budget) if budget is not None else None,
    }
    found = _investigate(session, (one, other), jobs, repeat, fresh, **more)
    _report(found, one, other, html, as_json)
    if fix:
        for line in mended(session, found):
            progress(line) if as_json else say(line)
    done(EXIT_CODES.get(found.verdict, 0))


def verify(
    baseline: Annotated[str, typer.Argument(help="A run that was good.")] = "baseline",
    candidate: Annotated[str, typer.Argument(help="The run in question.")] = "last",
    jobs: options.Jobs = 1,
    fresh: Fresh = False,
    repeat: Repeat = 2,
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
    from replay.bisect.verdict import GATE

    session = Session(store, engine.choice)
    kept = session.store()
    one, other = session.run(kept, baseline), session.run(kept, candidate)
    held = clock == "recorded"
    found = _investigate(session, (one, other), jobs, repeat, fresh, hold_clock=held, noise=options.enough(noise))
    code = GATE[found.verdict]
    if not as_json:
        say({0: "GATE     open", 1: "GATE     closed", 3: "GATE     undecided"}[code])
    _report(found, one, other, html, as_json)
    done(code)


def _investigate(
    session: Session,
    runs: tuple[RunRecord, RunRecord],
    jobs: int,
    repeat: int,
    fresh: bool,
    **more: object,
) -> Verdict:
    from replay.bisect.case import Options
    from replay.bisect.investigate import investigate

    good, bad = runs
    bench = session.repeating(good, bad)
    chosen = Options(jobs=jobs, repeat=repeat, fresh=fresh, history=session.root(), **more)  # type: ignore[arg-type]
    return investigate(bench, good, bad, chosen)


def _report(found: Verdict, good: RunRecord, bad: RunRecord, html: Path | None, as_json: bool) -> None:
    from replay.report import text

    result(as_json, found.document(), text.verdict(found, good, bad))
    if html:
        from replay.report.html import page

        html.write_text(page(found, good, bad), encoding="utf-8")
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
