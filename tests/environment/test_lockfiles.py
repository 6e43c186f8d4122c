"""Locks of other tools, taken as they are: real ones under locks/, and what is wrong with spoilt ones."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from replay.environment.lock import lock
from replay.environment.lockfiles import select
from replay.environment.selection import Selection
from replay.errors import LockError
from replay.store.folder import FolderStore
from tests.environment.making import requirements, target, wheel

REAL = Path(__file__).parent / "locks"
"""Written by uv 0.13 (`uv lock`, `uv export --all-extras --all-groups`) and Poetry 2.5 for one project."""

PLAIN = Selection()
ALL = Selection(("fast",), ("dev",))


def names(file: str, python: str, selection: Selection) -> set[str]:
    return {pick.name for pick in select(REAL / file, target(python), selection)}


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock"])
def test_markers_extras_and_groups_choose(file: str) -> None:
    assert names(file, "3.11.2", PLAIN) == {"python-dateutil", "six"}
    assert names(file, "3.9.2", PLAIN) == {"python-dateutil", "six", "zipp"}
    assert names(file, "3.11.2", Selection(("fast",))) == {"python-dateutil", "six", "rapidfuzz"}
    assert names(file, "3.11.2", ALL) == {"python-dateutil", "six", "rapidfuzz", "idna"}


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "pylock.toml"])
def test_the_best_wheel_of_the_target_is_taken(file: str) -> None:
    selection = PLAIN if file == "pylock.toml" else ALL
    for python, tag in (("3.9.2", "cp39"), ("3.13.5", "cp313")):
        (fast,) = [pick for pick in select(REAL / file, target(python), selection) if pick.name == "rapidfuzz"]
        assert fast.filename.startswith(f"rapidfuzz-3.13.0-{tag}-{tag}-manylinux")


def test_three_tools_one_closure(store: FolderStore) -> None:
    closures = [lock(REAL / file, target("3.11.2"), store, selection=ALL) for file in ("uv.lock", "poetry.lock")]
    closures.append(lock(REAL / "pylock.toml", target("3.11.2"), store))
    assert len({closure.digest for closure in closures}) == 1
    assert closures[0].wheels["python-dateutil"].requires == ("six >=1.5",)
    # Locked once, no index is asked.
    assert lock(REAL / "uv.lock", target("3.11.2"), store, selection=ALL, offline=True) == closures[0]


def test_an_extra_or_group_that_is_not_there_is_named() -> None:
    for file in ("uv.lock", "poetry.lock"):
        with pytest.raises(LockError) as caught:
            select(REAL / file, target("3.11.2"), Selection(("slow",)))
        assert "no extra 'slow' (it has fast)" in caught.value.cause
        with pytest.raises(LockError, match=file) as caught:
            select(REAL / file, target("3.11.2"), Selection(groups=("docs",)))
        assert "no group 'docs'" in caught.value.cause


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "pylock.toml"])
def test_a_lock_for_another_python_is_refused(file: str) -> None:
    with pytest.raises(LockError, match="cannot be used") as caught:
        select(REAL / file, target("3.8.10"), PLAIN)
    assert "3.8.10" in caught.value.cause
    assert "base" in caught.value.do


def pylock(folder: Path, *packages: str, head: str = "") -> Path:
    text = f'lock-version = "1.0"\ncreated-by = "a test"\n{head}'
    return requirements(folder, text, *(f"[[packages]]\n{package}" for package in packages), name="pylock.toml")


def entry(file: Path, *, digits: str = "", more: str = "") -> str:
    name, version = file.name.split("-")[:2]
    found = digits or hashlib.sha256(file.read_bytes()).hexdigest()
    held = f'[{{name = "{file.name}", path = "wheels/{file.name}", hashes = {{sha256 = "{found}"}}}}]'
    return f'name = "{name}"\nversion = "{version}"\n{more}wheels = {held}\n'


def test_files_beside_the_lock_are_taken_by_hash(tmp_path: Path, store: FolderStore) -> None:
    one = wheel(tmp_path / "wheels", "alpha", requires=("beta",))
    two = wheel(tmp_path / "wheels", "beta")
    asked = pylock(tmp_path, entry(one), entry(two, more="marker = \"'docs' in dependency_groups\"\n"))
    assert set(lock(asked, target("3.11.2"), store).wheels) == {"alpha"}
    asked = pylock(tmp_path, entry(one), entry(two))
    assert set(lock(asked, target("3.11.2"), store).wheels) == {"alpha", "beta"}
    shutil.rmtree(tmp_path / "wheels")
    assert set(lock(asked, target("3.11.2"), store).wheels) == {"alpha", "beta"}


def test_the_default_groups_are_wanted_unless_others_are_named(tmp_path: Path) -> None:
    one = wheel(tmp_path / "wheels", "alpha")
    head = 'extras = ["x"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]\n'
    asked = pylock(tmp_path, entry(one, more="marker = \"'dev' in dependency_groups\"\n"), head=head)
    assert [pick.name for pick in select(asked, target("3.11.2"), PLAIN)] == ["alpha"]
    assert select(asked, target("3.11.2"), Selection(groups=())) == []


def test_a_file_that_is_not_the_locked_one_is_refused(tmp_path: Path, store: FolderStore) -> None:
    asked = pylock(tmp_path, entry(wheel(tmp_path / "wheels", "alpha"), digits="0" * 64))
    with pytest.raises(LockError, match="cannot be locked") as caught:
        lock(asked, target("3.11.2"), store)
    assert "alpha-1.0-py3-none-any.whl has sha256" in caught.value.cause
    assert not list(store.cache("locks").iterdir())


def test_a_file_that_is_gone_is_named(tmp_path: Path, store: FolderStore) -> None:
    file = wheel(tmp_path / "wheels", "alpha")
    asked = pylock(tmp_path, entry(file))
    file.unlink()
    with pytest.raises(LockError) as caught:
        lock(asked, target("3.11.2"), store)
    assert "alpha-1.0-py3-none-any.whl" in caught.value.cause
    with pytest.raises(LockError, match="not in the store") as caught:
        lock(asked, target("3.11.2"), store, offline=True)
    assert "replay lock" in caught.value.do


def spoilt(tmp_path: Path, name: str, before: str, after: str) -> Path:
    text = (REAL / name).read_text("utf-8")
    assert before in text
    copy = tmp_path / name
    copy.write_text(text.replace(before, after), encoding="utf-8")
    return copy


SIX = "sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("uv.lock", f', hash = "{SIX}"', ""),
        ("poetry.lock", f', hash = "{SIX}"', ""),
        ("poetry.lock", SIX, "md5:d41d8cd98f00b204e9800998ecf8427e"),
        ("pylock.toml", f'sha256 = "{SIX[7:]}"', 'md5 = "d41d8cd98f00b204e9800998ecf8427e"'),
        ("pylock.toml", f'sha256 = "{SIX[7:]}"', ""),
    ],
)
def test_a_lock_without_hashes_is_refused(tmp_path: Path, file: str, before: str, after: str) -> None:
    with pytest.raises(LockError, match="cannot be used") as caught:
        select(spoilt(tmp_path, file, before, after), target("3.11.2"), PLAIN)
    assert "hash" in caught.value.cause
    assert "anew" in caught.value.do


@pytest.mark.parametrize(
    ("file", "before", "after", "cause"),
    [
        ("uv.lock", "version = 1\n", "version = 9\n", "version 9"),
        ("uv.lock", 'source = { virtual = "." }', "source = 3", "not a valid lock"),
        ("uv.lock", '{ name = "six" },', '{ name = "seven" },', "seven"),
        ("uv.lock", "[[package]]", "[[package", "not TOML"),
        ("poetry.lock", 'lock-version = "2.1"', 'lock-version = "1.1"', "version 1.1"),
        ("poetry.lock", "[metadata]", "[meta]", "metadata"),
        ("pylock.toml", 'lock-version = "1.0"', 'lock-version = "7.0"', "7.0"),
    ],
)
def test_a_lock_that_is_none_says_why(tmp_path: Path, file: str, before: str, after: str, cause: str) -> None:
    with pytest.raises(LockError, match=file) as caught:
        select(spoilt(tmp_path, file, before, after), target("3.11.2"), PLAIN)
    assert cause in caught.value.cause
    assert caught.value.do


def test_a_lock_without_a_wheel_for_the_platform_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path / "wheels", "fast", tag="cp311-cp311-win_amd64")
    with pytest.raises(LockError) as caught:
        select(pylock(tmp_path, entry(file)), target("3.11.2"), PLAIN)
    assert f"not for Python 3.11.2 on {target('3.11.2').platforms[0]}" in caught.value.cause
    assert "fast" in caught.value.cause


def test_environments_of_a_lock_count(tmp_path: Path) -> None:
    asked = pylock(tmp_path, head="environments = [\"sys_platform == 'win32'\"]\npackages = []\n")
    with pytest.raises(LockError) as caught:
        select(asked, target("3.11.2"), PLAIN)
    assert "environments" in caught.value.cause


def test_a_file_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path / "wheels", "alpha")
    asked = pylock(tmp_path, entry(file).replace(f'name = "{file.name}"', 'name = "../../alpha-1.0-py3-none-any.whl"'))
    with pytest.raises(LockError):
        select(asked, target("3.11.2"), PLAIN)


def test_a_lock_in_conflict_with_itself_names_the_package(tmp_path: Path) -> None:
    versions = (entry(wheel(tmp_path / "wheels", "alpha", version)) for version in ("1.0", "2.0"))
    with pytest.raises(LockError) as caught:
        select(pylock(tmp_path, *versions), target("3.11.2"), PLAIN)
    assert "in conflict with itself" in caught.value.cause
    assert "'alpha'" in caught.value.cause
