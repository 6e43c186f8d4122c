"""The plan is a bound: a bisect of one fault, in any layer and at any place, runs no more than it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from replay.bind import Project, bind
from replay.bisect.case import Options
from replay.bisect.investigate import investigate, planned
from replay.config import load
from replay.engines.choose import choose
from replay.execute import Workbench
from replay.store.folder import FolderStore
from tests.planted.faults import Fault, lay_out


@pytest.mark.parametrize("item", ["schema/b", "data/c", "pipeline/d", "runtime/a"])
def test_no_more_is_run_than_was_planned(item: str, tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    fault = Fault(moves=((item,),))
    runs = []
    for side in ("good", "bad"):
        environ = lay_out(fault, side == "bad", tmp_path / side)
        bench = Workbench(store, choose("local", cache=store.cache("facts")), environ)
        runs.append(bind(bench, Project(tmp_path / side, load(tmp_path / side))))
    bench = Workbench(store, choose("local", cache=store.cache("facts")), dict(os.environ))
    ahead, atoms = planned(bench, runs[0], runs[1], Options())
    verdict = investigate(bench, runs[0], runs[1], Options())
    assert verdict.culprits, verdict.sentence
    assert verdict.probes.run + verdict.probes.cached <= len(ahead.steps) <= 2 * 2 + 2 + 16
    assert len(atoms) > 3
