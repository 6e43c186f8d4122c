"""The scenarios: their generator gives the same bytes everywhere; each folder is complete and does what it says."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from replay import config
from replay.digest import of_bytes
from replay.engines import clock as clocks
from replay.scenario import Scenario
from replay.sources.asking import Question
from replay.state import LAYERS
from replay.store.memory import MemoryStore

ROOT = Path(__file__).resolve().parents[2] / "scenarios"
NAMES = sorted(file.parent.name for file in ROOT.glob("*/verdict.json"))
PLAIN = [name for name in NAMES if not (ROOT / name / "project/requirements.txt").exists()]
"""The scenarios whose job needs nothing but Python (the others run in the tests of bisect)."""
STEADY = [name for name in PLAIN if name != "nondeterministic"]
DRIFTED = ("data-drift", "both")
SAME_INPUTS = [name for name in NAMES if name.split("-")[0] in {"pipeline", "runtime", "model", "two"}]

ASKED = {
    *("schema-new-segment", "schema-type-coerced", "schema-null-rate", "pipeline-normalisation", "pipeline-imputation"),
    *("runtime-library", "runtime-env", "access-denied", "access-masked-view", "model-swapped", "data-drift", "both", "nondeterministic"),
    *("runtime-clock", "runtime-base", "two-layers-one-guilty", "two-layers-both-guilty"),
}
SHARED_BY_DRIFT = ("segment", "region", "contract", "plan_code", "complaints")


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[loaded.__name__] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def bound(scene: str, side: str, folder: Path) -> Path:
    """Lay out one side of a scenario as `replay run` finds it, with the answers of the sources that it asks."""
    scenario = ROOT / scene
    shutil.copytree(scenario / "project", folder)
    if (scenario / side).exists():
        shutil.copytree(scenario / side, folder, dirs_exist_ok=True)
    module(scenario / "data.py").write(side, folder)
    store = MemoryStore()
    for name, source in config.load(folder).data.items():
        if source.uri is not None:
            answer = Question(name, source, folder, {}, {}, store).ask()
            (folder / source.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / source.path).write_bytes(store.get(answer.content.blob) if answer.content else b"")
    return folder


def variables(name: str, side: str) -> dict[str, str]:
    file = ROOT / name / f"{side}.env"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)


def scored(name: str, side: str, folder: Path) -> str:
    """Run the job of one side by plain Python and return its scores."""
    bound(name, side, folder)
    (folder / "out").mkdir()
    # root reads a file whatever its mode says, unless it gives that right up
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    settings = config.load(folder).runtime.set | variables(name, side)
    if "notz" in str(config.load(folder).runtime.base):
        settings["TZDIR"] = "/nonexistent"
    clock = Scenario(ROOT / name).clock(side)  # type: ignore[arg-type]
    if clock and (library := clocks.library()):
        settings |= clocks.variables(clocks.Clock(clocks.seconds(clock), library), str(library), {})
    command = [*plain, sys.executable, "-B", "score.py"]
    subprocess.run(command, cwd=folder, env=settings, check=True, capture_output=True)
    return (folder / "out/scores.csv").read_text()


def table(file: Path) -> dict[str, dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return {row["customer_id"]: row for row in csv.DictReader(stream)}


def decisions(scores: str) -> list[int]:
    return [int(row["will_churn"]) for row in csv.DictReader(scores.splitlines())]


def test_the_generator_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    telecom = module(ROOT / "telecom.py")
    people = telecom.customers(500, seed=1)
    moved = telecom.customers(500, 2, telecom.World(1.18, 0.7, (0.3, 0.24, 0.21, 0.14, 0.11)), first_id=200001)
    text = repr((people, telecom.calls(people, 1), telecom.blanked(people, "usage_gb", 0.35, 1), moved))
    telecom.write_csv(tmp_path / "deep/people.csv", people)
    head = (tmp_path / "deep/people.csv").read_bytes().split(b"\n")[:2]
    assert of_bytes(text.encode()) == "sha256:ed95a8362f0d7af3c46eb86db3b97cafc2cecd4e72619fc36bb898c7a20b5b5f"
    assert head == [",".join(people[0]).encode(), ",".join(people[0].values()).encode()]


def test_changing_one_column_leaves_the_others_alone() -> None:
    telecom = module(ROOT / "telecom.py")
    people, few = telecom.customers(300, seed=4), telecom.blanked(telecom.customers(300, seed=4), "region", 0.1, seed=4)
    dearer = telecom.customers(300, seed=4, world=telecom.World(price=2.0))
    more = telecom.blanked(people, "region", 0.3, seed=4)
    for one, other in zip(people, dearer, strict=True):
        assert one["monthly_charges"] != other["monthly_charges"]
        assert {**one, "monthly_charges": ""} == {**other, "monthly_charges": ""}
    assert sum(not row["region"] for row in few) == 30
    assert all(not row["region"] for row, before in zip(more, few, strict=True) if not before["region"])


def test_every_scenario_that_was_asked_for_is_there() -> None:
    assert set(NAMES) == ASKED


@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_is_consistent(name: str) -> None:
    verdict = json.loads((ROOT / name / "verdict.json").read_text())
    assert set(verdict) == {"verdict", "retrain", "culprit_layers", "changes", "engines", "exit_code"}
    assert verdict["retrain"] is (verdict["verdict"] == "data-drift")
    assert verdict["culprit_layers"] == [
        layer for layer in LAYERS if any(change.split("/")[0] == layer for change in verdict["changes"])
    ]
    assert verdict["exit_code"] == (0 if verdict["changes"] else 3)
    assert verdict["engines"] == (["docker"] if name == "runtime-base" else ["docker", "local"])
    assert len((ROOT / name / "README.md").read_text().splitlines()) == 5


@pytest.mark.parametrize("side", ["good", "bad"])
@pytest.mark.parametrize("name", NAMES)
def test_a_side_declares_all_it_has_and_has_all_it_declares(name: str, side: str, tmp_path: Path) -> None:
    project = bound(name, side, tmp_path / "project")
    declared = config.load(project)
    paths = [*declared.pipeline.paths, *declared.model.paths, *(source.path for source in declared.data.values())]
    assert all((project / path).exists() for path in paths)
    code = {file.name for file in project.glob("*") if file.suffix in {".py", ".json"}}
    assert code == set(declared.pipeline.paths)
    assert {f"data/{file.name}" for file in (project / "data").iterdir()} == {s.path for s in declared.data.values()}
    assert set(variables(name, side)) == set(declared.runtime.env)
    assert declared.runtime.python == "3.11"
    assert (project / "requirements.txt").exists() is (declared.runtime.requirements is not None)
    if declared.runtime.requirements:
        pins = (project / "requirements.txt").read_text().splitlines()
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)


@pytest.mark.parametrize("name", [name for name in STEADY if name not in DRIFTED])
def test_both_sides_end_well_and_their_decisions_differ(name: str, tmp_path: Path) -> None:
    good, bad = (decisions(scored(name, side, tmp_path / side)) for side in ("good", "bad"))
    assert len(good) == len(bad)
    assert sum(one != other for one, other in zip(good, bad, strict=True)) >= 24


@pytest.mark.parametrize("name", DRIFTED)
def test_the_share_of_decisions_moves_where_all_customers_are_new(name: str, tmp_path: Path) -> None:
    good, bad = (decisions(scored(name, side, tmp_path / side)) for side in ("good", "bad"))
    assert sum(bad) / len(bad) - sum(good) / len(good) > 0.2


@pytest.mark.parametrize("name", STEADY)
def test_a_job_gives_the_same_scores_twice(name: str, tmp_path: Path) -> None:
    assert scored(name, "bad", tmp_path / "one") == scored(name, "bad", tmp_path / "two")


def test_the_nondeterministic_job_disagrees_with_itself(tmp_path: Path) -> None:
    assert scored("nondeterministic", "good", tmp_path / "1") != scored("nondeterministic", "good", tmp_path / "2")


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("schema-")])
def test_a_schema_scenario_changes_one_column_of_the_same_customers(name: str, tmp_path: Path) -> None:
    good, bad = (table(bound(name, side, tmp_path / side) / "data/customers.csv") for side in ("good", "bad"))
    changed = {column for key in good for column in good[key] if good[key][column] != bad[key][column]}
    (change,) = json.loads((ROOT / name / "verdict.json").read_text())["changes"]
    assert list(good) == list(bad)
    assert changed == {change.split("/")[2]}


@pytest.mark.parametrize("name", DRIFTED)
def test_a_drifted_world_has_new_customers_and_the_same_schema(name: str, tmp_path: Path) -> None:
    good, bad = (table(bound(name, side, tmp_path / side) / "data/customers.csv") for side in ("good", "bad"))
    assert not good.keys() & bad.keys()
    for column in SHARED_BY_DRIFT:
        assert {row[column] for row in good.values()} == {row[column] for row in bad.values()}
    assert sum(not row["usage_gb"] for row in good.values()) == sum(not row["usage_gb"] for row in bad.values())


@pytest.mark.parametrize("name", SAME_INPUTS)
def test_a_change_of_execution_leaves_the_inputs_alone(name: str, tmp_path: Path) -> None:
    good, bad = (bound(name, side, tmp_path / side) / "data" for side in ("good", "bad"))
    assert {f.name: f.read_bytes() for f in good.iterdir()} == {f.name: f.read_bytes() for f in bad.iterdir()}
