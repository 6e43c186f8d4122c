"""`replay build, export`: a state as a container image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import progress, result
from replay.cli.session import Session

if TYPE_CHECKING:
    from replay.execute import Workbench
    from replay.image.archive import Format
    from replay.image.build import Built


class FormatName(StrEnum):
    """How an image is written."""

    oci_archive = "oci-archive"
    oci = "oci"
    docker_archive = "docker-archive"

    @property
    def choice(self) -> Format:
        """The format as the writer knows it."""
        return self.value


def build(
    ref: options.Ref = "last",
    keep_base: options.KeepBase = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Build a state's image, the same bit for bit on any machine, and load it into the engine.

    Example: replay build september

    Prints its digest, the layers that were loaded and those that the engine had. `docker run IMAGE` starts the job.
    """
    from replay.image import kept
    from replay.image.build import warehouse_of
    from replay.image.deliver import Dock
    from replay.layers.release import keep

    bench, built = _built(Session(store, "docker"), ref)
    warehouse = warehouse_of(bench.engine)
    if keep_base:
        kept.keep(built.base, warehouse, bench.store)
        keep(built.release, bench.store)
    loaded = Dock(warehouse, built.base, bench.store).load(built.image, built.name)
    document = {
        "state": built.release.state.id,
        "image": built.image.id,
        "environment": built.environment.image.id,
        "name": built.name,
        "loaded": list(loaded.sent),
        "known": list(loaded.known),
    }
    lines = [f"{built.image.id}  {built.name}", *(f"  known   {title}" for title in loaded.known)]
    result(as_json, document, "\n".join([*lines, *(f"  loaded  {title}" for title in loaded.sent)]))


def export(
    ref: options.Ref = "last",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The file to write, or the folder; default: JOB-ID.tar or JOB-ID."),
    ] = None,
    form: Annotated[
        FormatName, typer.Option("--format", help="oci-archive is taken by skopeo, docker load and podman load.")
    ] = FormatName.oci_archive,
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Leave the job's inputs out; mount them when the image is run.")
    ] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Write a state's image to a file or folder that skopeo, `docker load` and `podman load` take.

    Example: replay export september -o september.tar

    All that the job needs is in it, its data too: mind to whom you give it. Without data it is another image:
    the inputs are to be mounted below /work where the job expects them.
    """
    from replay.digest import short
    from replay.image.build import warehouse_of, write
    from replay.image.kept import base_layers

    bench, built = _built(Session(store, "docker"), ref, with_data=not without_data)
    suffix = "" if form is FormatName.oci else ".tar"
    target = output or Path(f"{built.release.job}-{short(built.image.id)}{suffix}")
    with base_layers(built.base, warehouse_of(bench.engine), bench.store) as base:
        write(built, base, form.choice, target.absolute())
    document = {
        "state": built.release.state.id,
        "image": built.image.id,
        "name": built.name,
        "format": form.value,
        "path": str(target),
    }
    result(as_json, document, f"{built.image.id}  {built.name}\n  written to {target}")


def _built(session: Session, ref: str, *, with_data: bool = True) -> tuple[Workbench, Built]:
    from replay.image.build import build
    from replay.layers.release import load

    bench = session.carrying()
    release = load(bench.store, bench.store.resolve(ref).state)
    progress("measuring the layers (once a package)")
    return bench, build(release, bench.engine, bench.store, with_data=with_data)
