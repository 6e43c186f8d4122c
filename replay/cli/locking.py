"""`replay lock`: the packages pinned in a file, for review."""

from __future__ import annotations

from typing import Annotated

import typer

from replay.cli import options
from replay.cli.console import result
from replay.cli.session import Session


def lock(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions the requirements allow.")
    ] = False,
    plain_http: options.PlainHttp = False,
    engine: options.Engine = options.EngineName.auto,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Pin the packages in replay.lock, and print what changed.

    Example: replay lock --upgrade

    Versions stay where the requirements still allow them. From then on `replay run` takes the packages from
    that file, and refuses one that does not fit requirements and base: put it under version control.
    """
    from replay.bind import pin
    from replay.environment.pinned import FILE, changes

    session = Session(store, engine.choice)
    project = session.project()
    before, after = pin(session.binding(project, here=False), project, upgrade=upgrade, plain_http=plain_http)
    moved = changes(before, after)
    document = {
        "file": str(project.root / FILE),
        "packages": len(after.wheels),
        "changes": [change.model_dump(mode="json", include={"name", "before", "after"}) for change in moved],
    }
    lines = [change.sentence().removeprefix("runtime/packages/") for change in moved]
    lines.append(f"{FILE}: {len(after.wheels)} packages, {len(moved)} changed")
    result(as_json, document, "\n".join(lines))
