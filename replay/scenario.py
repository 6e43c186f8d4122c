"""A scenario: an incident as a folder, laid out as two sides of one project (see scenarios/README.md)."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from replay.errors import NotFound

Side = Literal["good", "bad"]


@dataclass(frozen=True)
class Scenario:
    """An incident's folder."""

    folder: Path

    @property
    def expected(self) -> dict[str, Any]:
        """The verdict it must come to."""
        document: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text("utf-8"))
        return document

    @property
    def story(self) -> list[str]:
        """The README's lines: what happened, what was seen, the culprit, the verdict, why it is believable."""
        return [line for line in (self.folder / "README.md").read_text("utf-8").splitlines() if line.strip()]

    def environ(self, side: Side) -> dict[str, str]:
        """Return the variables that are exported when this side is bound."""
        file = self.folder / f"{side}.env"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return {name: value for name, _, value in pairs}

    def clock(self, side: Side) -> str | None:
        """Return the time the job reads when this side is bound (UTC, ISO 8601), None for the real one."""
        file = self.folder / f"{side}.clock"
        return file.read_text("utf-8").strip() if file.is_file() else None

    def lay_out(self, side: Side, project: Path) -> None:
        """Write this side's project, inputs included, over whatever `project` holds."""
        for part in ("project", side):
            if (self.folder / part).is_dir():
                shutil.copytree(self.folder / part, project, dirs_exist_ok=True)
        for folder in ("data", "out"):
            (project / folder).mkdir(exist_ok=True)
        spec = importlib.util.spec_from_file_location(f"scenario_{self.folder.name}", self.folder / "data.py")
        if spec is None or spec.loader is None:
            raise _unknown(self.folder.name, [])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.write(side, project)


def shelf() -> Path:
    """Return the folder of scenarios: installed beside the package, or the checkout's own."""
    package = Path(__file__).parent
    installed = package / "_share" / "scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def names() -> list[str]:
    """Return the scenarios there are: every folder with a verdict file."""
    return sorted(file.parent.name for file in shelf().glob("*/verdict.json"))


def find(name: str) -> Scenario:
    """Return a scenario by name. Raises NotFound."""
    if name not in names():
        raise _unknown(name, names())
    return Scenario(shelf() / name)


def _unknown(name: str, known: list[str]) -> NotFound:
    return NotFound(
        f"there is no scenario {name!r}",
        cause="a typing slip" if known else "the scenarios are not installed here",
        do="choose one of: " + ", ".join(known) if known else "run from a checkout of the repository",
    )
