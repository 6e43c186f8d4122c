"""A project that reads one versioned input: its state captured, and laid out again as a rerun does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from replay.config import load
from replay.environment.packages import PackageSet
from replay.layers.base import Context
from replay.layers.contract import Contract
from replay.layers.data import DataLayer, Snapshot
from replay.layers.release import Release, capture, changes, fetch, keep, standings, workspace
from replay.layers.release import load as loaded
from replay.layers.schema import SchemaLayer
from replay.references.base import Ground, Reference
from replay.store.folder import FolderStore
from replay.workspace import lay_out
from tests.environment.making import BASE

PACKAGES = PackageSet(python="3.11", platform="linux_x86_64", wheels={})


@dataclass(frozen=True)
class Place:
    """A project with its store. `store` opens it anew, as another process would: nothing lent is left."""

    root: Path

    @property
    def store(self) -> FolderStore:
        return FolderStore.open(self.root / ".replay", create=True)

    def declare(self, data: str) -> None:
        (self.root / "replay.toml").write_text(
            '[job]\nname = "score"\ncommand = ["python", "job.py"]\n'
            f'[data.customers]\n{data}\n[outputs.scores]\npath = "out/scores.csv"\nkey = "id"\n'
        )

    def bind(self, environ: Mapping[str, str] | None = None) -> str:
        """Capture the state and keep it, as `replay run` does before the job starts; return its id."""
        store, config = self.store, load(self.root)
        context = Context(
            root=self.root,
            config=config,
            store=store,
            environ=environ or {},
            base=BASE,
            packages=PACKAGES,
            command=tuple(config.job.command),
        )
        return keep(capture(context), store)

    def lay(self, state: str, environ: Mapping[str, str] | None = None) -> Path:
        """Lay a state's input out as `replay rerun` does; return the folder `data/` that the job sees."""
        store = self.store
        release = loaded(store, state)
        fetch(release, Ground(self.root, environ or {}), store)
        laid = lay_out(workspace(release), [], store, Path(tempfile.mkdtemp(dir=self.root.parent)))
        return laid.work.parent / "inputs/data"

    def release(self, state: str) -> Release:
        return loaded(self.store, state)

    def snapshot(self, state: str) -> Snapshot:
        data = self.release(state).layers["data"]
        assert isinstance(data, DataLayer)
        snapshot = data.sources["customers"]
        assert snapshot is not None
        return snapshot

    def contract(self, state: str) -> Contract:
        schema = self.release(state).layers["schema"]
        assert isinstance(schema, SchemaLayer)
        contract = schema.sources["customers"]
        assert contract is not None
        return contract

    def reference(self, state: str) -> Reference:
        reference = self.snapshot(state).reference
        assert reference is not None
        return reference

    def status(self, state: str, environ: Mapping[str, str] | None = None) -> str:
        """Return what `replay show` says of the input."""
        found = standings(self.release(state), Ground(self.root, environ or {}), self.store)
        return found["customers"].words()

    def moved(self, good: str, bad: str) -> dict[str, tuple[str | None, str | None]]:
        store = self.store
        found = changes(loaded(store, good), loaded(store, bad), store)
        return {change.name: (change.before, change.after) for change in found}

    def copied(self, state: str) -> bool:
        """Whether the store itself holds every file of the input."""
        store = self.store
        return all(store.has(entry.blob) for entry in self.snapshot(state).files.values())

    def remove(self, path: str) -> None:
        place = self.root / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    return Place(root)
