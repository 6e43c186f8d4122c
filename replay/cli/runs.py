"""`replay run, log, show, tag`: making runs and looking at them."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import done, emit, plain, progress, result, say
from replay.cli.session import Session


def run(
    command: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="After --: a command line instead of the one in replay.toml."),
    ] = None,
    tag: Annotated[Optional[str], typer.Option("--tag", help="Give the run a name.")] = None,  # noqa: UP045
    here: Annotated[bool, typer.Option("--here", help="Run in your own environment as it stands.")] = False,
    image: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--image", help="Run in an existing image, with the packages in it."),
    ] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Resolve the requirements anew.")] = False,
    clock: options.RunClock = "now",
    keep_base: options.KeepBase = False,
    plain_http: options.PlainHttp = False,
    engine: options.Engine = options.EngineName.auto,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Bind the job's state, execute it, record the run.

    Example: replay run --tag september

    The state's id is printed before the job starts. Exit code 0 where the job ended with 0 and wrote
    every declared output, else 2; the run is recorded either way.
    """
    from replay.bind import bind
    from replay.digest import short
    from replay.report import text
    from replay.store.base import Resolved
    from replay.store.refs import check_tag

    if tag:
        check_tag(tag)
    at = options.moment(clock)
    session = Session(store, engine.choice)
    project = session.project(image)
    bench = session.binding(project, here)
    record = bind(
        bench,
        project,
        command=tuple(command or ()),
        upgrade=upgrade,
        clock=at,
        keep_base=keep_base,
        plain_http=plain_http,
        announce=lambda state: progress(f"state {short(state)} bound; running {project.config.job.name} …"),
    )
    if tag:
        bench.store.tag(tag, Resolved(record.state, record.id))
    result(as_json, {"run": record.id, "tag": tag, "record": record.model_dump(mode="json")}, text.bound(record, tag))
    if not record.ok:
        _report_failure(bench.store.get(record.log), record.exit_code, record.ended)
        done(2)


def _report_failure(log: bytes, exit_code: int | None, ended: str) -> None:
    from replay.cli.console import explain
    from replay.errors import JobFailed

    tail = log.decode("utf-8", "replace").splitlines()[-15:]
    for line in tail:
        progress(f"| {line[:400]}")
    causes = {
        "timeout": ("the job ran into its time limit", "raise [job] timeout, or look why it hangs"),
        "out-of-memory": ("the job needed more memory than it may have", "raise [job] memory"),
        "killed": ("the job was killed from outside", "run it again"),
    }
    if ended == "exit" and exit_code == 0:
        cause, remedy = "the job writes somewhere else, or not at all", "check [outputs] path against the job"
        what = "the job ended with exit code 0 but left a declared output unwritten"
    elif ended == "exit":
        cause, remedy = "the job's own error; its last lines stand above", "`replay show last --log` prints all of it"
        what = f"the job failed with exit code {exit_code}; the run is recorded"
    else:
        (cause, remedy), what = causes[ended], f"the job was stopped ({ended}); the run is recorded"
    explain(JobFailed(what, cause=cause, do=remedy))


def log(
    everything: Annotated[bool, typer.Option("--all", help="Reruns and probes too.")] = False,
    number: Annotated[int, typer.Option("-n", min=1, help="How many, newest first.")] = 20,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List runs, newest first.

    Example: replay log -n 5
    """
    from dataclasses import asdict

    from replay.report import text

    kept = Session(store).store()
    entries = [entry for entry in reversed(kept.runs()) if everything or entry.reason == "run"][:number]
    tags: dict[str, list[str]] = {}
    for name, target in kept.tags().items():
        tags.setdefault(target.run or target.state, []).append(name)
    if as_json:
        emit({"runs": [{**asdict(entry), "tags": tags.get(entry.run, [])} for entry in entries]})
    else:
        say(text.log(entries, tags))


def show(
    ref: options.Ref = "last",
    printed: Annotated[bool, typer.Option("--log", help="Print what the job printed, nothing else.")] = False,
    layer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--layer", help="Print one layer's document: schema, data, pipeline, model, runtime, access."),
    ] = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Show a run or state: its layers, outputs, host, what was not held fixed, and which references still resolve.

    Example: replay show september --layer runtime
    """
    import os
    import sys
    from dataclasses import asdict
    from pathlib import Path

    from replay.errors import NotFound
    from replay.layers.release import load, standings
    from replay.references.base import Ground
    from replay.report import text

    session = Session(store)
    kept = session.store()
    found = kept.resolve(ref)
    record = kept.run(found.run) if found.run else None
    if printed:
        if record is None:
            raise NotFound(f"{ref} is a state, not a run", cause="only runs have a log", do="name a run")
        said = kept.get(record.log)
        if sys.stdout.isatty():
            said = plain(said.decode("utf-8", "replace")).encode("utf-8", "replace")
        sys.stdout.buffer.write(said)
        return
    release = load(kept, found.state)
    if layer:
        if layer not in release.layers:
            raise NotFound(
                f"there is no layer {layer!r}", cause="a typing slip", do=f"name one of {', '.join(release.layers)}"
            )
        emit(release.layers[layer].model_dump(mode="json"))
        return
    references = standings(release, Ground(session.root() or Path(), os.environ), kept)
    document = {
        "references": {name: asdict(found) for name, found in references.items()},
        "state": {"id": release.state.id, **release.state.model_dump(mode="json")},
        "run": {"id": record.id, **record.model_dump(mode="json")} if record else None,
    }
    result(as_json, document, text.state(release, record, references))


def tag(
    ref: options.Ref,
    name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' and '-'.")],
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Give a run or state a name.

    Example: replay tag last baseline
    """
    from replay.digest import short

    kept = Session(store).store()
    target = kept.resolve(ref)
    kept.tag(name, target)
    result(
        as_json,
        {"tag": name, "state": target.state, "run": target.run},
        f"{name} -> {short(target.run or target.state)}",
    )
