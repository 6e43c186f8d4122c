"""Packages that the job's own code imports are looked at first."""

from __future__ import annotations

from pathlib import Path

from replay.bisect.focus import Focus, weights
from replay.bisect.imported import imported
from replay.bisect.verdict import Group
from replay.config import load
from replay.layers.base import Context
from replay.layers.release import Pair, Release, capture
from replay.state import Change
from replay.store.folder import FolderStore
from tests.environment.making import BASE, closure, wheel

TOML = """
[job]
name = "churn"
command = ["python", "score.py"]
[pipeline]
paths = ["score.py"]
[outputs.scores]
path = "out/scores.json"
"""
MODULES = {"scikit-rounding": "skround", "words": "words"}


def bound(root: Path, store: FolderStore, version: str) -> Release:
    wheels = [
        wheel(root / "wheels", name.replace("-", "_"), version, {f"{module}/__init__.py": ""})
        for name, module in MODULES.items()
    ]
    config = load(root)
    return capture(Context(root, config, store, {}, BASE, closure(store, *wheels), tuple(config.job.command)))


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
