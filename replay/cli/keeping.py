"""`replay gc`: what nothing needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import plain, result
from replay.cli.session import Session

if TYPE_CHECKING:
    from replay.store.base import Collected, Store

ENVIRONMENTS = "replay-env"
"""The name of the images by which environments reach an engine (see `replay.image.delivery`)."""


def gc(
    keep: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--keep", min=0, metavar="N", help="Drop runs, but for each job's newest N and those with a tag."),
    ] = None,
    older_than: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--older-than", metavar="AGE", help="Drop runs without a tag that are older: 30d, 12h, 8w."),
    ] = None,
    caches: Annotated[bool, typer.Option("--caches", help="Also what can be made anew: trees, locks.")] = False,
    engine: Annotated[
        bool, typer.Option("--engine", help="Also the images of environments (replay-env:…) in the container engine.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Remove what no tag, run or state needs.

    Example: replay gc --keep 20 --older-than 30d --dry-run

    Runs are dropped only where --keep or --older-than says so (with both: where both do), never one with a tag, and a
    state with its last run. Nothing is removed while another command uses the store.
    """
    removed, used = _environments(store, dry_run) if engine else ([], [])
    kept = Session(store).store()
    done = kept.collect(_drop(kept, keep, older_than), dry_run=dry_run, caches=caches)
    document = {
        "dry_run": dry_run,
        "runs": list(done.runs),
        "states": list(done.states),
        "blobs": done.blobs,
        "blob_bytes": done.blob_bytes,
        "cache_bytes": done.cache_bytes,
        "images": removed,
        "images_in_use": used,
    }
    lines = _lines(done, removed, used, caches)
    result(as_json, document, "\n".join([*lines, "nothing was removed: --dry-run"] if dry_run else lines))


def _drop(kept: Store, keep: int | None, older_than: str | None) -> set[str] | None:
    """Return the runs to drop, None where none is asked to go."""
    from datetime import UTC, datetime

    from replay.store.retention import age, droppable

    if keep is None and older_than is None:
        return None
    tagged = {target.run for target in kept.tags().values() if target.run is not None}
    before = datetime.now(UTC) - age(older_than) if older_than is not None else None
    return droppable(kept.runs(), tagged, keep=keep, before=before)


def _lines(done: Collected, removed: list[str], used: list[str], caches: bool) -> list[str]:
    from replay.digest import short

    lines = [f"run    {short(run)}" for run in done.runs] + [f"state  {short(state)}" for state in done.states]
    lines += [f"image  {plain(name)}" for name in removed]
    lines += [f"image  {plain(name)} stays: a container uses it" for name in used]
    lines.append(f"blobs  {done.blobs} that nothing needs, {done.blob_bytes:,} bytes")
    return [*lines, f"caches {done.cache_bytes:,} bytes"] if caches else lines


def _environments(store: options.Store, dry_run: bool) -> tuple[list[str], list[str]]:
    """Remove the environments' images from the engine; return those that went, and those in use."""
    from replay.image.build import warehouse_of

    warehouse = warehouse_of(Session(store, "docker").carrying().engine)
    names = warehouse.named(ENVIRONMENTS)
    used = [] if dry_run else [name for name in names if not warehouse.remove(name)]
    return [name for name in names if name not in used], used
