"""What Replay writes for others fits its published JSON Schemas, and these are current."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from replay.layers.release import load
from replay.scenario import Scenario, Side, find
from replay.schemas import SCHEMAS, schema
from replay.state import LAYERS
from replay.store.folder import FolderStore

PUBLISHED = Path(__file__).parents[1] / "docs" / "schemas"


def fits(name: str, document: object) -> None:
    published = json.loads((PUBLISHED / f"{name}.json").read_text("utf-8"))
    Draft202012Validator(published).validate(document)


def replay(project: Path, *words: str, **environ: str) -> Any:
    """The JSON that a command prints. No command here ends in trouble."""
    ended = subprocess.run(
        [sys.executable, "-m", "replay", *words],
        cwd=project,
        env=dict(os.environ) | environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode != 2 or words[0] == "doctor", ended.stderr
    return json.loads(ended.stdout)


def bind(project: Path, scenario: Scenario, side: Side) -> Any:
    scenario.lay_out(side, project)
    return replay(project, "run", "--tag", side, "--engine", "local", "--json", **scenario.environ(side))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline, runtime and inputs changed between the runs tagged good and bad."""
    folder = tmp_path_factory.mktemp("both")
    for side in ("good", "bad"):
        fits("cli-run", bind(folder, find("both"), side))
    return folder


def test_the_published_schemas_are_current() -> None:
    published = {file.stem: json.loads(file.read_text("utf-8")) for file in PUBLISHED.iterdir()}
    assert published == {name: schema(name) for name in SCHEMAS}, "run: python -m replay.schemas docs/schemas"


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_each_is_a_schema_with_an_id_of_its_own(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"urn:replay:schema:{name}:1"
    assert schema(name)["description"]


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_none_takes_what_it_does_not_know(name: str) -> None:
    with pytest.raises(ValidationError, match="unknown"):
        Draft202012Validator({**schema(name), "required": []}).validate({"unknown": 1})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cli-log", ("log", "--all")),
        ("cli-show", ("show", "good")),
        ("cli-tag", ("tag", "good", "september")),
        ("cli-diff", ("diff", "good", "bad")),
        ("cli-diff", ("diff", "good", "good")),
        ("cli-rerun", ("rerun", "good", "--engine", "local")),
        ("cli-compare", ("compare", "good", "bad")),
        ("cli-plan", ("bisect", "good", "bad", "--plan")),
        ("cli-verdict", ("bisect", "good", "bad", "--engine", "local")),
        ("cli-verdict", ("bisect", "good", "good", "--engine", "local")),
        ("cli-verdict", ("verify", "good", "bad", "--engine", "local")),
        ("cli-doctor", ("doctor",)),
        ("cli-fsck", ("fsck",)),
    ],
)
def test_a_command_prints_what_its_schema_says(project: Path, name: str, words: tuple[str, ...]) -> None:
    fits(name, replay(project, *words, "--json"))


def test_show_of_a_state_has_no_run(project: Path) -> None:
    state = replay(project, "show", "good", "--json")["state"]["id"]
    shown = replay(project, "show", state, "--json")
    assert shown["run"] is None
    fits("cli-show", shown)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_printed_as_it_is_kept(project: Path, layer: str) -> None:
    fits(f"layer-{layer}", replay(project, "show", "bad", "--layer", layer))


def test_a_lost_permission_and_a_library_fit_too(tmp_path: Path) -> None:
    """Documents with the less usual fields: a source nobody could read, packages and their wheels."""
    for name in ("access-denied", "runtime-library"):
        folder = tmp_path / name
        folder.mkdir()
        bind(folder, find(name), "bad")
        store = FolderStore.open(folder / ".replay")
        resolved = store.resolve("bad")
        fits("state", json.loads(store.get(resolved.state)))
        fits("run-record", json.loads(store.get(resolved.run or "")))
        for layer, document in load(store, resolved.state).layers.items():
            fits(f"layer-{layer}", json.loads(document.encode()))


def test_a_verdict_has_the_fields_that_gates_rely_on(project: Path) -> None:
    found = replay(project, "bisect", "good", "bad", "--engine", "local", "--json")
    assert set(found) == {
        *("verdict", "retrain", "sentence", "advice", "confidence", "culprits", "cleared", "gaps", "not_held"),
        *("evidence", "probes", "good", "bad", "fix"),
    }
    assert set(found["culprits"][0]) == {"changes", "relation", "share", "from", "to", "breaks", "mends", "commits"}
    assert set(found["probes"]) == {"run", "cached", "unresolved"}
