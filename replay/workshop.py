"""Where source is built: the same engine, base and isolation as a job's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replay.engines.base import Engine, RunSpec
from replay.environment.base import Base
from replay.environment.build import Ended
from replay.environment.packages import PackageSet
from replay.environment.tree import assemble
from replay.progress import Progress
from replay.record import Limits
from replay.store.base import Store


class EngineWorkshop:
    """Runs scripts as jobs of `engine` on `base`, with packages as their environment."""

    def __init__(self, engine: Engine, base: Base, store: Store, progress: Progress) -> None:
        self._engine = engine
        self._base = base
        self._store = store
        self._progress = progress

    def __call__(self, packages: PackageSet, script: str, folder: Path, variables: Mapping[str, str]) -> Ended:
        """See `replay.environment.build.Workshop`."""

        def tool(text: str, place: Path) -> str:
            return self._engine.python_tool(self._base, text, place)

        tree = assemble(packages, self._engine.interpreter(self._base), self._store, tool, self._progress)
        spec = RunSpec(
            base=self._base,
            command=["python", "-c", script],
            workspace=folder,
            environment=tree.path,
            env=variables,
            limits=Limits(timeout=3600),
        )
        result = self._engine.run(spec)
        log = result.log.decode("utf-8", "replace")
        return Ended(result.exit_code, log if result.ended == "exit" else f"{log}\nstopped: {result.ended}")
