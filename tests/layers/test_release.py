"""A release captured from a real folder: ids by content, changes by name, mixes, and what a run sees of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from replay.config import load
from replay.environment.packages import PackageSet, Wheel
from replay.errors import InputError, StoreError
from replay.layers.base import Context, Workspace
from replay.layers.release import Pair, Release, capture, changes, keep, workspace
from replay.layers.release import load as load_release
from replay.layers.runtime import Runtime, RuntimeLayer
from replay.store.memory import MemoryStore
from replay.workspace import lay_out
from tests.environment.making import BASE

TOML = """
[job]
name = "churn"
command = ["python", "score.py"]
[runtime]
env = ["TZ"]
[pipeline]
paths = ["score.py", "features/"]
[model]
paths = ["model/"]
[data.customers]
path = "data/customers.csv"
key = "id"
[data.calls]
path = "data/calls/"
[outputs.scores]
path = "out/scores.csv"
key = "id"
"""
DIGEST = "sha256:" + "1" * 64


def packages(**versions: str) -> PackageSet:
    wheels = {
        name: Wheel(version=version, filename=f"{name}-{version}.whl", blob=f"sha256:{version[0] * 64}", size=1)
        for name, version in versions.items()
    }
    return PackageSet(python="3.11", platform="linux_x86_64", wheels=wheels)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "replay.toml": TOML,
        "score.py": "print(1)\n",
        "features/__init__.py": "",
        "features/night.py": "NIGHT = 22\n",
        "features/__pycache__/night.pyc": "never part of a job",
        "model/churn.json": '{"w": 1}\n',
        "data/customers.csv": "id,tariff\n007,A\n008,B\n",
        "data/calls/1.csv": "id,n\n007,3\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_how_a_base_was_named_is_no_part_of_a_state(project: Path, store: MemoryStore) -> None:
    release = taken(project, store)
    runtime = release.layers["runtime"]
    assert isinstance(runtime, RuntimeLayer)
    assert runtime.base.reference == ""
    assert b"reference" not in runtime.encode()


def test_a_state_of_an_older_version_keeps_its_id_and_its_name_of_the_base_is_no_change(
    project: Path, store: MemoryStore
) -> None:
    release = taken(project, store)
    older = replace(release, layers={**release.layers, "runtime": _named(release)})
    kept = load_release(store, keep(older, store))
    assert kept.state.id == older.state.id != release.state.id
    assert changes(kept, release, store) == []


def _named(release: Release) -> RuntimeLayer:
    runtime = release.layers["runtime"]
    assert isinstance(runtime, RuntimeLayer)
    return runtime.model_copy(update={"base": runtime.base.model_copy(update={"reference": "python:3.11"})})


def taken(project: Path, store: MemoryStore, environ: dict[str, str] | None = None, **versions: str) -> Release:
    config = load(project)
    context = Context(
        root=project,
        config=config,
        store=store,
        environ=environ or {},
        base=BASE,
        packages=packages(**versions),
        command=tuple(config.job.command),
    )
    return capture(context)


def names(good: Release, bad: Release, store: MemoryStore) -> list[str]:
    return [change.name for change in changes(good, bad, store)]


def test_the_same_content_elsewhere_is_the_same_state(project: Path, store: MemoryStore, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in ("score.py", "replay.toml"):
        shutil.copyfile(project / path, other / path)
    for path in ("features", "model", "data"):
        shutil.copytree(project / path, other / path, copy_function=shutil.copyfile)
    assert taken(project, store).state.id == taken(other, MemoryStore()).state.id


def test_each_change_has_its_name(project: Path, store: MemoryStore) -> None:
    good = taken(project, store, {"TZ": "UTC"}, pandas="2.2.3", six="1.16")
    (project / "features/night.py").write_text("NIGHT = 20\n")
    (project / "features/new.py").write_text("")
    (project / "model/churn.json").write_text('{"w": 2}\n')
    (project / "data/customers.csv").write_text("id,tariff\n007,A\n009,B\n")
    bad = taken(project, store, {"TZ": "Asia/Almaty"}, pandas="3.0.1")
    assert names(good, bad, store) == [
        "data/customers/rows",
        "pipeline/features/new.py",
        "pipeline/features/night.py",
        "model/churn.json/w",
        "runtime/packages/pandas",
        "runtime/packages/six",
        "runtime/env/TZ",
    ]


def test_a_mix_takes_what_is_named_and_leaves_the_rest(project: Path, store: MemoryStore) -> None:
    good = taken(project, store, {"TZ": "UTC"}, pandas="2.2.3")
    (project / "score.py").write_text("print(2)\n")
    bad = taken(project, store, {"TZ": "Asia/Almaty"}, pandas="3.0.1")
    mixed = Pair(good, bad, store).mix(frozenset({"runtime/packages/pandas"}))
    assert names(good, mixed, store) == ["runtime/packages/pandas"]
    assert names(mixed, bad, store) == ["pipeline/score.py", "runtime/env/TZ"]
    assert Pair(good, bad, store).mix(frozenset()) == good
    assert Pair(good, bad, store).mix(frozenset(names(good, bad, store))) == bad


def test_inputs_are_swapped_together(project: Path, store: MemoryStore) -> None:
    good = taken(project, store)
    (project / "data/customers.csv").write_text("id,tariff\n007,\n008,\n")
    (project / "score.py").write_text("print(2)\n")
    bad = taken(project, store)
    mixed = Pair(good, bad, store).mix(frozenset(names(good, bad, store)[:-1]))
    assert mixed.layers["schema"] == bad.layers["schema"]
    assert mixed.layers["data"] == bad.layers["data"]


def test_a_kept_release_is_loaded_as_it_was(project: Path, store: MemoryStore) -> None:
    release = taken(project, store)
    assert load_release(store, keep(release, store)) == release


@pytest.mark.parametrize(
    ("spoil", "answer"),
    [
        (lambda file: file.chmod(0), "denied"),
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_text(""), "empty"),
    ],
)
def test_a_source_that_gives_nothing_is_an_answer_of_access(project: Path, store: MemoryStore, spoil, answer) -> None:  # noqa: ANN001
    good = taken(project, store)
    spoil(project / "data/customers.csv")
    bad = taken(project, store)
    (change,) = changes(good, bad, store)
    assert (change.name, change.before, change.after) == ("access/customers", "granted", answer)


def test_granting_again_what_bad_could_not_read_gives_the_data_back(project: Path, store: MemoryStore) -> None:
    good = taken(project, store)
    (project / "data/customers.csv").chmod(0)
    (project / "score.py").write_text("print(2)\n")
    bad = taken(project, store)
    assert (
        workspace(Pair(good, bad, store).mix(frozenset({"access/customers"}))).files["data/customers.csv"].blob is None
    )
    mended = workspace(Pair(good, bad, store).mix(frozenset({"pipeline/score.py"})))
    assert mended.files["data/customers.csv"].blob is not None


def test_a_declared_path_that_is_not_there_is_an_error(project: Path, store: MemoryStore) -> None:
    (project / "score.py").unlink()
    with pytest.raises(InputError, match=r"score\.py is not in"):
        taken(project, store)


def test_a_run_sees_folders_whole_files_alone_and_empty_outputs(
    project: Path, store: MemoryStore, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    laid = lay_out(workspace(taken(project, store)), ["out/scores.csv"], store, folder)
    assert sorted(mount.target for mount in laid.mounts) == [
        "data/calls",
        "data/customers.csv",
        "features",
        "model",
        "score.py",
    ]
    assert (laid.work / "out").is_dir()
    assert not list((laid.work / "out").iterdir())
    assert (folder / "inputs/data/customers.csv").read_text().startswith("id,tariff\n007")


def test_a_denied_source_is_there_and_closed(project: Path, store: MemoryStore, tmp_path: Path) -> None:
    (project / "data/customers.csv").chmod(0)
    folder = tmp_path / "run"
    folder.mkdir()
    lay_out(workspace(taken(project, store)), ["out/scores.csv"], store, folder)
    assert (folder / "inputs/data/customers.csv").stat().st_mode & 0o777 == 0


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a/../../b"])
def test_a_hostile_state_reaches_nothing_outside(path: str, store: MemoryStore, tmp_path: Path) -> None:
    hostile = Workspace()
    hostile.place(path, store.put(b"x").blob)
    with pytest.raises(StoreError, match="outside the project"):
        lay_out(hostile, [], store, tmp_path)


def test_a_package_of_one_version_built_for_either_python_comes_with_its_base(store: MemoryStore) -> None:
    sides = []
    for python, digit in (("3.9", "9"), ("3.11", "1")):
        tag = python.replace(".", "")
        wheels = {
            name: Wheel(version="2.0", filename=f"{name}-2.0-{built}.whl", blob=f"sha256:{number * 64}", size=1)
            for name, built, number in (
                ("numpy", f"cp{tag}-cp{tag}-linux_x86_64", digit),
                ("six", "py3-none-any", "5"),
            )
        }
        wheels["pandas"] = Wheel(
            version=f"2.{digit}", filename=f"pandas-2.{digit}-cp{tag}-cp{tag}-linux_x86_64.whl", blob=DIGEST, size=1
        )
        closure = PackageSet(python=python, platform="linux_x86_64", wheels=wheels)
        base = BASE.model_copy(update={"python": f"{python}.2"})
        sides.append(RuntimeLayer(base=base, packages=closure, env={}))
    good, bad = sides
    found = {change.name: change.requires for change in Runtime().changes(good, bad, store)}

    assert found == {"runtime/base": ("runtime/packages/pandas",), "runtime/packages/pandas": ("runtime/base",)}
    mixed = Runtime().mix(good, bad, frozenset(found), store)
    assert mixed.packages == bad.packages
