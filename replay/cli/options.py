"""The options that commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from replay.engines.choose import Name


class EngineName(StrEnum):
    """Where jobs run."""

    auto = "auto"
    docker = "docker"
    local = "local"

    @property
    def choice(self) -> Name:
        """The name as the engines know it."""
        return self.value


Store = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--store", help="The store's folder; default: REPLAY_STORE, else .replay beside replay.toml."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="auto: docker where an engine answers and the job has a base image, else local."),
]
Ref = Annotated[str, typer.Argument(help="A run or state: an id or unique prefix, a tag, last, last~1.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Probes to run side by side.")]
Html = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", help="Also write a report that one can look at, as one HTML file."),
]
KeepBase = Annotated[bool, typer.Option("--keep-base", help="Keep the base image's own layers in the store, too.")]
