"""Which changed packages the job's own code imports: they are looked at before those that only came along."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from typing import cast

from replay.errors import StoreError
from replay.layers.pipeline import PipelineLayer
from replay.layers.release import Pair, Release
from replay.layers.runtime import RuntimeLayer
from replay.store.base import Store

PACKAGES = "runtime/packages/"


def imported(pair: Pair) -> frozenset[str]:
    """Return the names of the changed packages that a Python file of either side imports by itself.

    A wheel says what it can be imported as by what lies at its top. What cannot be read tells nothing: this decides
    an order and no verdict.
    """
    changed = [change.name for change in pair.changes if change.name.startswith(PACKAGES)]
    wanted = frozenset(module for side in (pair.good, pair.bad) for module in _modules(side, pair.store))
    if not changed or not wanted:
        return frozenset()
    sides = [cast("RuntimeLayer", side.layers["runtime"]).packages.wheels for side in (pair.good, pair.bad)]
    found = set()
    for name in changed:
        wheels = [wheels[short] for wheels in sides if (short := name.removeprefix(PACKAGES)) in wheels]
        if any(wheel.filename and wanted & _top(wheel.blob, pair.store) for wheel in wheels[-1:]):
            found.add(name)
    return frozenset(found)


def _modules(release: Release, store: Store) -> Iterator[str]:
    """Yield the first name of everything that the job's code imports."""
    for path, entry in cast("PipelineLayer", release.layers["pipeline"]).files.items():
        if not path.endswith(".py"):
            continue
        try:
            tree = ast.parse(store.get(entry.blob))
        except (StoreError, SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def _top(blob: str, store: Store) -> frozenset[str]:
    """Return the names at the top of a wheel, without what they end in."""
    try:
        with zipfile.ZipFile(store.path(blob)) as wheel:
            return frozenset(name.split("/")[0].split(".")[0] for name in wheel.namelist())
    except (StoreError, OSError, zipfile.BadZipFile):
        return frozenset()
