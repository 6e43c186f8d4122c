"""The images of an engine: which one a name stands for, and what is in it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replay.engines import facts
from replay.engines.base import SYSTEM_PATH
from replay.engines.container import engine_errors
from replay.engines.interpreters import minor
from replay.engines.names import Names
from replay.errors import BaseMissing, EngineError

if TYPE_CHECKING:
    from docker import APIClient

Ask = Callable[[str, list[str]], tuple[int | None, bytes, bytes]]
"""Runs a command in an image (by the engine's id); returns exit code, output and errors."""


@dataclass(frozen=True)
class Image:
    """An image by id (`here`: what the engine calls it, see `replay.engines.names`), with the variables it sets and
    the architecture it says it is for (`amd64`)."""

    id: str
    here: str
    variables: Mapping[str, str]
    architecture: str

    @property
    def path(self) -> str:
        """Where commands are looked for in it."""
        return self.variables.get("PATH", SYSTEM_PATH)


class Images:
    """What an engine knows of its images. An image never changes, so neither do its facts.

    `cache` is a folder that keeps facts between processes; it is safe to delete.
    """

    def __init__(self, ask: Ask, names: Names, cache: Path | None) -> None:
        self._ask = ask
        self._names = names
        self._cache = cache
        self._facts: dict[str, facts.Facts] = {}

    def find(self, api: APIClient, name: str, reference: str) -> Image:
        """Return the image of a name or id. Raises BaseMissing, naming both it and `reference`."""
        from docker.errors import APIError, ImageNotFound

        with engine_errors(reference):
            try:
                named = self._names.find(api, name, reference)
            except ImageNotFound:
                raise _missing(name, reference) from None
            except APIError as error:
                if "invalid reference" not in str(error.explanation):
                    raise
                raise BaseMissing(
                    f"{reference!r} is no name of an image",
                    cause="names are lower case: NAME[:TAG][@sha256:DIGEST]",
                    do="correct [runtime] in replay.toml",
                ) from None
        found = named.told
        variables = dict(line.split("=", 1) for line in found["Config"].get("Env") or [] if "=" in line)
        return Image(named.id, named.here, variables, found.get("Architecture", ""))

    def facts_of(self, api: APIClient, image: str, reference: str, python: str | None) -> facts.Facts:
        """Return the facts about an image's Python of version `python` (X.Y or X.Y.Z; None: its `python3`).

        Raises BaseMissing where it has a Python of another version, EngineError where it has none.
        """
        wanted = None if python is None else minor(python)
        key = f"{image.removeprefix('sha256:')}-{wanted or 'any'}"
        if key not in self._facts:
            self._facts[key] = self._kept(key) or self._keep(
                key, self._look(self.find(api, image, reference).here, reference, wanted)
            )
        return self._facts[key]

    def _look(self, image: str, reference: str, wanted: str | None) -> facts.Facts:
        found = []
        for name in ([] if wanted is None else [f"python{wanted}"]) + ["python3", "python"]:
            code, out, _ = self._ask(image, [name, *facts.FLAGS, facts.SCRIPT])
            if code != 0:
                continue
            try:
                told = facts.read(out.decode("utf-8", "replace"))
            except ValueError:
                continue
            if wanted is None or minor(told.interpreter.version) == wanted:
                return told
            found.append(told.interpreter.version)
        if found:
            raise BaseMissing(
                f"the image {reference} has Python {found[0]}, not {wanted}",
                cause="the base and the version of Python do not belong together (see replay.toml)",
                do=f"name an image with Python {wanted}, or leave `python` out",
            )
        raise EngineError(
            f"the image {reference} has no Python",
            cause="none of python3 and python starts in it",
            do="name a base with Python 3.8 or newer, such as python:3.11-slim or one of images/",
        )

    def _kept(self, key: str) -> facts.Facts | None:
        if self._cache is None:
            return None
        try:
            return facts.Facts.decode((self._cache / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def _keep(self, key: str, found: facts.Facts) -> facts.Facts:
        if self._cache is not None:
            with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=self._cache, delete=False) as file:
                file.write(found.encode())
                file.flush()
                Path(file.name).replace(self._cache / f"{key}.json")
        return found


def _missing(name: str, reference: str) -> BaseMissing:
    if name == reference:
        what, cause = f"the image {reference} is not in this engine", "it was never pulled or built here"
    else:
        what = f"the image {reference} ({name}) is not in this engine"
        cause = "the state was recorded with that very image; it was removed, or never came to this machine"
    return BaseMissing(what, cause=cause, do=f"get it ({_way(name, reference)}), or name another base")


def _way(name: str, reference: str) -> str:
    """Return how the image of a name that was asked for, or else of an id, is had."""
    if name.startswith(f"sha256:{reference}"):
        return "`replay show` names it: `docker pull` or `docker load`; `--keep-base` would have kept it"
    if reference.endswith(".tar"):
        return f"`docker load -i {reference}`"
    recipe = reference.removeprefix("replay-base:").removeprefix("images/")
    return f"`python images/build.py {recipe} --load`" if recipe != reference else f"`docker pull {reference}`"
