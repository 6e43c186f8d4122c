"""Packages that the job's own code imports are looked at first."""

from __future__ import annotations

from pathlib import Path

from replay.bisect.focus import Focus, weights
from replay.bisect.imported import imported
from replay.bisect.verdict import Group
from replay.config import load
from replay.environment.base import Base
from replay.environment.packages import PackageSet, Wheel
from replay.layers.base import Context
from replay.layers.release import Pair, Release, capture
from replay.state import Change
from replay.store.folder import FolderStore
from tests.environment.making import wheel

TOML = """
[job]
name = "churn"
command = ["python", "score.py"]
[pipeline]
paths = ["score.py"]
[outputs.scores]
path = "out/scores.json"
"""
BASE = Base(kind="host", reference="host", python="3.11.2", os="Debian 12", machine="x86_64")
MODULES = {"scikit-rounding": "skround", "words": "words"}


def bound(root: Path, store: FolderStore, version: str) -> Release:
    wheels = {}
    for name, module in MODULES.items():
        file = wheel(root / "wheels", name.replace("-", "_"), version, {f"{module}/__init__.py": ""})
        entry = store.put(file.read_bytes())
        wheels[name] = Wheel(version=version, filename=file.name, blob=entry.blob, size=entry.size)
    config = load(root)
    packages = PackageSet(python="3.11", platform="any", wheels=wheels)
    return capture(Context(root, config, store, {}, BASE, packages, tuple(config.job.command)))


def test_an_imported_package_is_known_by_what_its_wheel_holds(tmp_path: Path) -> None:
    (tmp_path / "replay.toml").write_text(TOML)
    (tmp_path / "score.py").write_text("import json\nfrom skround.half import up\n")
    store = FolderStore.open(tmp_path / ".replay", create=True)
    pair = Pair(bound(tmp_path, store, "1.0"), bound(tmp_path, store, "1.1"), store)
    assert imported(pair) == {"runtime/packages/scikit-rounding"}


def test_it_weighs_more_than_one_that_came_along() -> None:
    names = ("runtime/packages/words", "runtime/packages/scikit-rounding")
    atoms = {name: Group(name, (Change(name=name, before="1.0", after="1.1"),)) for name in names}
    found = weights(atoms, Focus(imported=frozenset(names[1:])))
    assert found[names[1]] == 3 * found[names[0]]
