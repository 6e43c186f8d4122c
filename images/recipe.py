"""What a base is made of: its `recipe.toml`, and the error that building one may end in."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


class BuildError(Exception):
    """A base cannot be built or loaded; the text says what failed, the likely cause and what to do."""

    def __init__(self, what: str, cause: str, do: str) -> None:
        super().__init__(f"{what}\n  likely cause: {cause}\n  what to do:   {do}")


class ToolMissing(BuildError):
    """mmdebstrap is not on this machine."""


@dataclass(frozen=True)
class Recipe:
    """A base's `recipe.toml`. Either `suite` and what belongs to it, or `from_base` and what is taken away.

    `hooks` are folders of hooks that come with mmdebstrap.
    `exclude` and `keep` are absolute paths; `exclude` takes all that is beneath, `keep` may hold wildcards.
    `source_date_epoch` is in seconds since 1970.
    """

    name: str
    from_base: str = ""
    suite: str = ""
    python: str = ""
    mirror: str = ""
    packages: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    source_date_epoch: int = 0
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    purge: tuple[str, ...] = ()


def names() -> list[str]:
    """Return the names of all bases that have a recipe."""
    return sorted(path.parent.name for path in FOLDER.glob("*/recipe.toml"))


def read_recipe(name: str) -> Recipe:
    """Return the recipe of the base `name`. Raises BuildError where there is none or it cannot be read."""
    if name not in names():
        raise BuildError(f"there is no base called {name!r}", "a misspelt name", f"choose one of: {', '.join(names())}")
    path = FOLDER / name / "recipe.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
        }
        return Recipe(name=name, from_base=fields.pop("from", ""), **fields)
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise BuildError(f"{path} cannot be used", str(error), "mend the recipe") from error
