"""`replay push, pull`: a state and its run, carried by a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import progress, result
from replay.cli.session import Session

if TYPE_CHECKING:
    from replay.record import RunRecord
    from replay.registry.client import Repository
    from replay.registry.reference import Reference
    from replay.store.folder import FolderStore

GIB = 1 << 30


def push(
    ref: options.Ref,
    target: Annotated[str, typer.Argument(metavar="REGISTRY/NAME[:TAG]", help="Where to; the tag defaults to REF's.")],
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Leave out what the job was fed, and so its run, log and outputs.")
    ] = False,
    keep_base: options.KeepBase = False,
    plain_http: options.PlainHttp = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Send a run and its state to a registry, with all that a rerun elsewhere needs.

    Example: replay push september registry.example.org/team/churn:september

    Only what the registry lacks is sent. Its data goes along: mind to whom you give it. Log in with `docker login`.
    """
    from replay.digest import short
    from replay.layers.release import load
    from replay.registry.parcel import pack
    from replay.registry.push import push as send

    session = Session(store, "docker" if keep_base else "auto")
    kept = session.store()
    where = _parsed(target)
    record, state = _named(session, kept, ref)
    if keep_base:
        _keep_base(session, state)
    parcel = pack(load(kept, state), record, kept, data=not without_data)
    tag = where.tag or (ref if ref in kept.tags() else short(parcel.run or parcel.state))
    done = send(parcel, _repository(where, plain_http), tag, kept, progress)
    left_out = sorted({blob.title for blob in parcel.left_out})
    document = {
        "reference": f"{where.host}/{where.name}:{tag}",
        "manifest": done.where.digest,
        "replaced": done.replaced,
        "state": parcel.state,
        "run": parcel.run,
        "sent": list(done.sent),
        "sent_bytes": done.sent_bytes,
        "known": done.known,
        "mounted": done.mounted,
        "left_out": left_out,
    }
    sent = f"{len(done.sent)} blobs sent ({done.sent_bytes:,} bytes)"
    lines = [str(done.where), f"  {sent}, {done.known} were there, {done.mounted} taken over"]
    if done.replaced:
        lines.append(f"  the tag {tag} pointed at {short(done.replaced)} before")
    if without_data:
        lines += _said_of_left_out(left_out, record)
    result(as_json, document, "\n".join(lines))


def pull(
    source: Annotated[str, typer.Argument(metavar="REGISTRY/NAME:TAG", help="Where from; or NAME@sha256:….")],
    tag: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tag", help="The name it gets here; default: its TAG there."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take the name even where it is in use here.")] = False,
    max_size: Annotated[int, typer.Option("--max-size", min=1, help="The most to fetch, in GiB.")] = 64,
    plain_http: options.PlainHttp = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Fetch a run and its state from a registry; then show, diff, rerun, bisect it as one of your own.

    Example: replay pull registry.example.org/team/churn:september

    Every document is checked and every blob hashed before anything refers to it. `last` never means what was pulled.
    """
    from replay.digest import short
    from replay.registry.pull import Puller

    where = _parsed(source)
    named = where if where.tag or where.digest else _parsed(f"{source}:latest")
    kept = Session(store).store(create=True)
    puller = Puller(_repository(named, plain_http), kept, max_size * GIB, progress)
    done = puller.pull(tag or named.tag, force)
    document = {
        "reference": str(named),
        "state": done.state,
        "run": done.run,
        "tag": done.tag,
        "fetched": done.fetched,
        "fetched_bytes": done.fetched_bytes,
        "known": done.known,
        "missing": list(done.missing),
    }
    lines = [f"{short(done.run or done.state)}  {done.tag or ''}".rstrip()]
    lines.append(f"  {done.fetched} blobs fetched ({done.fetched_bytes:,} bytes), {done.known} were here")
    if done.missing:
        lines.append(f"  without its data ({_few(done.missing)}): it can be shown, not rerun")
    result(as_json, document, "\n".join(lines))


def _parsed(text: str) -> Reference:
    from replay.registry.reference import parse

    return parse(text)


def _repository(where: Reference, plain: bool) -> Repository:
    from replay.registry.client import Repository
    from replay.registry.http import Http

    return Repository(where, Http(where, plain))


def _named(session: Session, kept: FolderStore, ref: str) -> tuple[RunRecord | None, str]:
    """Return the run that goes along, if there is one, and the state."""
    from replay.errors import NotFound

    found = kept.resolve(ref)
    try:
        return session.run(kept, ref), found.state
    except NotFound:
        return None, found.state


def _keep_base(session: Session, state: str) -> None:
    from replay.image import kept
    from replay.image.build import image_of, warehouse_of
    from replay.layers.release import keep, load
    from replay.layers.runtime import RuntimeLayer

    bench = session.carrying()
    release = load(bench.store, state)
    runtime = release.layers["runtime"]
    if isinstance(runtime, RuntimeLayer):
        kept.keep(image_of(runtime.base), warehouse_of(bench.engine), bench.store)
        keep(release, bench.store)


def _said_of_left_out(left_out: list[str], record: RunRecord | None) -> list[str]:
    lines = [f"  left out: {_few(left_out)}" if left_out else "  left out: nothing, it has no data"]
    if record is not None:
        lines.append("  left out: the run, with its log and outputs")
    lines.append("  not left out: names of columns and their categories (layer schema), variables (layer runtime)")
    return [*lines, "  elsewhere the state can be shown; it can be rerun only where a store has that data already"]


def _few(titles: list[str] | tuple[str, ...]) -> str:
    from replay.cli.console import plain

    more = f" and {len(titles) - 5} more" if len(titles) > 5 else ""
    return plain(", ".join(title[:80] for title in titles[:5]).replace("\n", " ") + more)
