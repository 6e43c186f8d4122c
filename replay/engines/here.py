"""`--here`: the job runs in the caller's environment as it stands."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from replay.engines import facts
from replay.engines.base import RunSpec
from replay.engines.interpreters import facts_of
from replay.engines.local import LocalEngine
from replay.environment.base import Base


class HereEngine(LocalEngine):
    """Runs jobs with the caller's own `python`, PATH, variables and privileges, in the workspace.

    `python` is the first of that name (then `python3`) on the caller's PATH, also inside a virtual
    environment, so that the job sees the packages that are installed there.
    """

    name = "here"
    confine = False

    def not_held(self, base: Base) -> dict[str, str]:
        """Return what is left open: all that the local engine leaves, and the caller's environment."""
        as_it_stands = "the job ran in the caller's environment as it stood"
        return {**super().not_held(base), "base": as_it_stands, "env": as_it_stands}

    def _find(self, python: str | None) -> facts.Facts:  # noqa: ARG002
        found = facts_of(_python())
        interpreter = found.interpreter.model_copy(update={"executable": _python()})
        return found.model_copy(update={"interpreter": interpreter})

    def _command(self, spec: RunSpec) -> list[str]:
        return [_python(), *spec.command[1:]] if spec.command[0] == "python" else list(spec.command)

    def _variables(self, spec: RunSpec, home: Path) -> dict[str, str]:  # noqa: ARG002
        return {**os.environ, **spec.env, **spec.secrets}


def _python() -> str:
    return shutil.which("python") or shutil.which("python3") or sys.executable
