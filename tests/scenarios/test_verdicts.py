"""Every folder with a verdict file is a test: bind both sides, bisect, and expect that verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.bind import Project, bind
from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.bisect.verdict import EXIT_CODES, Verdict
from replay.config import load
from replay.engines.base import Engine
from replay.engines.docker import DockerEngine
from replay.engines.local import LocalEngine
from replay.execute import Workbench
from replay.scenario import Scenario, Side, find, names
from replay.store.base import Store
from replay.store.folder import FolderStore


def bound(scenario: Scenario, engine: Engine, folder: Path) -> Verdict:
    store = FolderStore.open(folder / "store")
    records = [bind_side(scenario, side, engine, store, folder / side) for side in ("good", "bad")]
    return investigate(Workbench(store, engine, {}), records[0], records[1], Options(jobs=2))


def bind_side(scenario: Scenario, side: Side, engine: Engine, store: Store, project: Path):  # noqa: ANN201
    project.mkdir()
    scenario.lay_out(side, project)
    bench = Workbench(store, engine, scenario.environ(side))
    record = bind(bench, Project(project, load(project)), clock=scenario.clock(side))
    assert record.ok, store.get(record.log).decode()
    return record


def agrees(verdict: Verdict, scenario: Scenario) -> None:
    expected = scenario.expected
    named = [change for culprit in verdict.culprits for change in culprit.changes]
    assert verdict.verdict == expected["verdict"], verdict.sentence
    assert verdict.retrain == expected["retrain"]
    assert sorted({change.split("/")[0] for change in named}) == sorted(expected["culprit_layers"])
    for wanted in expected["changes"]:
        assert any(wanted.startswith(name) or name.startswith(wanted) for name in named), (wanted, named)
    assert EXIT_CODES.get(verdict.verdict, 0) == expected["exit_code"]


def on(engine: str) -> list[str]:
    return [name for name in names() if engine in find(name).expected["engines"]]


@pytest.mark.parametrize("name", on("local"))
def test_local(name: str, tmp_path: Path) -> None:
    agrees(bound(find(name), LocalEngine(), tmp_path), find(name))


LONG = ("model-swapped", "two-layers-both-guilty")
"""Scenarios of ten seconds and more in containers, where `make test` has them on the local engine alone."""


@pytest.mark.docker
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in on("docker")]
)
def test_docker(name: str, tmp_path: Path, docker_host: str, base_image) -> None:  # noqa: ANN001
    base_image("bookworm")
    if name == "runtime-base":
        base_image("bookworm-notz")
    agrees(bound(find(name), DockerEngine(docker_host), tmp_path), find(name))
