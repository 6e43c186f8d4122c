"""What a command works with: the project, its store, an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from replay.cli.console import progress
from replay.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from replay.bind import Project
    from replay.engines.base import Engine
    from replay.engines.choose import Name
    from replay.execute import Workbench
    from replay.layers.runtime import RuntimeLayer
    from replay.record import RunRecord
    from replay.store.folder import FolderStore


@dataclass(frozen=True)
class Session:
    """The options every command takes, and how to open what they name."""

    store_option: Path | None
    engine: Name = "auto"

    def project(self, image: str | None = None) -> Project:
        """Return the project this folder belongs to, to run in `image` where one is given. Raises ConfigError."""
        from replay.bind import Project
        from replay.config import find_root, load

        root = find_root(Path.cwd())
        config = load(root)
        return Project(root, config if image is None else config.in_image(image))

    def root(self) -> Path | None:
        """Return the folder of the project this folder belongs to, None where it belongs to none."""
        from replay.config import find_root

        try:
            return find_root(Path.cwd())
        except ConfigError:
            return None

    def store(self, create: bool = False) -> FolderStore:
        """Return the store: `--store`, REPLAY_STORE, or `.replay` beside replay.toml. Raises StoreError."""
        from replay.config import find_root
        from replay.store.folder import FolderStore

        path = self.store_option or (Path(os.environ["REPLAY_STORE"]) if os.environ.get("REPLAY_STORE") else None)
        if path is None:
            try:
                path = find_root(Path.cwd()) / ".replay"
            except ConfigError:
                path = Path.cwd() / ".replay"
                if not path.is_dir():
                    raise
        return FolderStore.open(path.absolute(), create=create)

    def binding(self, project: Project, here: bool) -> Workbench:
        """Return what a new run needs."""
        store = self.store(create=True)
        runtime = project.config.runtime
        if runtime.adopts and not here:
            return self._bench(store, self._adopting(store))
        return self._bench(store, self._engine(store, here=here, image=runtime.base is not None))

    def repeating(self, record: RunRecord, other: RunRecord | None = None) -> Workbench:
        """Return what repeating a recorded run needs, or what lies between it and another: an engine for its base.

        A run in the caller's own environment is repeated there while that is as it was; rebuilt where it is not.
        """
        from replay.layers.release import load
        from replay.layers.runtime import RuntimeLayer

        store = self.store()
        records = [one for one in (record, other) if one is not None]
        sides = [load(store, one.state).layers["runtime"] for one in records]
        runtimes = [side for side in sides if isinstance(side, RuntimeLayer)]
        image = runtimes[0].base.kind == "image"
        here = record.engine.name == "here" and self.engine == "auto" and _stands(store, runtimes)
        named = zip(runtimes, records, strict=True)
        called = {runtime.base.image: one.provenance.base for runtime, one in named if runtime.base.image}
        return replace(self._bench(store, self._engine(store, here=here, image=image)), called=called)

    def carrying(self) -> Workbench:
        """Return what building an image needs."""
        store = self.store()
        return self._bench(store, self._engine(store, here=False, image=True))

    def run(self, store: FolderStore, ref: str) -> RunRecord:
        """Return the run a REF names; of a state, its latest run that was bound. Raises NotFound."""
        found = store.resolve(ref)
        if found.run is not None:
            return store.run(found.run)
        runs = [entry for entry in store.runs() if entry.state == found.state]
        bound = [entry for entry in runs if entry.reason == "run"] or runs
        if not bound:
            raise NotFound(
                f"{ref} is a state that was never run in this store",
                cause="it was pulled or built, and only its description is here",
                do=f"run it first: replay rerun {ref}",
            )
        return store.run(bound[-1].run)

    def _bench(self, store: FolderStore, engine: Engine) -> Workbench:
        from replay.execute import Workbench

        return Workbench(store, engine, os.environ, progress, root=self.root() or Path())

    def _adopting(self, store: FolderStore) -> Engine:
        """Return the engine that has the images. Raises EngineUnavailable, ConfigError."""
        if self.engine == "local":
            raise ConfigError(
                "an existing image cannot run on the local engine",
                cause="--engine local runs jobs as processes of this host",
                do="leave --engine out, or name `requirements` in place of the image",
            )
        from replay.engines.choose import choose

        return choose("docker", cache=store.cache("facts"))

    def _engine(self, store: FolderStore, *, here: bool, image: bool) -> Engine:
        from replay.engines.choose import choose
        from replay.engines.here import HereEngine
        from replay.progress import silent

        if here:
            return HereEngine()
        wanted: Name = "local" if self.engine == "auto" and not image else self.engine
        note = progress if wanted == "auto" else silent
        return choose(wanted, cache=store.cache("facts"), note=note)


def _stands(store: FolderStore, runtimes: list[RuntimeLayer]) -> bool:
    """Whether the caller's environment is the one that was recorded, or one that cannot be rebuilt."""
    from replay.engines.here import HereEngine
    from replay.environment.installed import installed

    engine = HereEngine()
    now = installed(engine.interpreter(engine.base("", None)), store).packages
    recorded = [side.packages for side in runtimes]
    kept = all(wheel.filename for packages in recorded for wheel in packages.wheels.values())
    return not kept or all(packages == now for packages in recorded)
