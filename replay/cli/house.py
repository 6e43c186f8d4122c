"""`replay init, doctor, demo, fsck`: getting started and keeping order."""

from __future__ import annotations

from typing import Annotated

import typer

from replay.cli import options
from replay.cli.console import done, result, say
from replay.cli.session import Session


def init(
    show: Annotated[bool, typer.Option("--show", help="Print an example with every field, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a replay.toml that is there.")] = False,
) -> None:
    """Write replay.toml from what is in this folder.

    Example: replay init
    """
    from pathlib import Path

    from replay.cli.starter import EXAMPLE, guess
    from replay.errors import ConfigError

    if show:
        say(EXAMPLE)
        return
    file = Path("replay.toml")
    if file.exists() and not force:
        raise ConfigError(
            "there is a replay.toml here already", cause="the job was declared before", do="edit it, or use --force"
        )
    text = guess(Path.cwd())
    file.write_text(text, encoding="utf-8")
    say(text)
    say("Written to replay.toml. Read it, correct it, then: replay run --tag first")


def doctor(
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Say what this machine can do for Replay, and what is missing.

    Example: replay doctor

    Exit code 0 where a job can be bound and rerun here, else 2.
    """
    from replay.cli.checks import examine

    checks = examine(Session(store))
    lines = [line for check in checks for line in check.lines()]
    result(as_json, {"checks": [check.__dict__ for check in checks]}, "\n".join(lines))
    done(2 if any(check.word == "missing" for check in checks) else 0)


def demo(
    scenario: Annotated[str, typer.Argument(help="Which incident; --list names them.")] = "two-layers-one-guilty",
    listed: Annotated[bool, typer.Option("--list", help="List the incidents.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the project and its store to look at.")] = False,
    engine: options.Engine = options.EngineName.auto,
) -> None:
    """Tell one incident from bind to verdict, with the real commands.

    Example: replay demo runtime-env
    """
    from replay.cli.checks import demo_engine
    from replay.cli.demo import play
    from replay.scenario import find, names

    if listed:
        for name in names():
            say(f"{name:26}{find(name).story[0].replace('**', '')}")
        return
    chosen = find(scenario)
    play(chosen, demo_engine(chosen, engine.value), keep)


def fsck(
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Check the whole store: every blob is read and hashed again.

    Example: replay fsck

    Exit code 0 sound, 1 something recorded is lost, 2 trouble.
    """
    found = Session(store).store().fsck()
    fatal = any(finding.fatal for finding in found)
    lines = [("LOST  " if finding.fatal else "note  ") + finding.what for finding in found]
    lines.append("the store is not sound" if fatal else "the store is sound")
    result(as_json, {"sound": not fatal, "findings": [finding.__dict__ for finding in found]}, "\n".join(lines))
    done(1 if fatal else 0)
