"""Locking: the closure of the target's Python, kept and reused, from real wheels."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from replay.environment.lock import ensure, lock
from replay.errors import LockError, WheelError
from replay.store.folder import FolderStore
from tests.environment.making import HERE, interpreter, requirements, target, versions, wheel


def offer_chain(folder: Path) -> None:
    wheel(folder, "alpha", requires=("beta>=2", "tiny; python_version < '3.10'", "Odd.Name_x"))
    wheel(folder, "beta", "2.0")
    wheel(folder, "beta", "1.0")
    wheel(folder, "tiny")
    wheel(folder, "odd_name_x")


def test_a_closure_names_every_package_its_wheel_and_what_it_requires(
    tmp_path: Path, folder: Path, store: FolderStore
) -> None:
    offer_chain(folder)
    packages = lock(requirements(tmp_path, *HERE, "Alpha"), target("3.11.2"), store)
    assert versions(packages) == {"alpha": "1.0", "beta": "2.0", "odd-name-x": "1.0"}
    alpha = packages.wheels["alpha"]
    assert alpha.requires == ("beta>=2", "tiny; python_version < '3.10'", "Odd.Name_x")
    assert store.get(alpha.blob) == (folder / alpha.filename).read_bytes()
    assert alpha.size == (folder / alpha.filename).stat().st_size
    assert (packages.python, packages.platform) == ("3.11", target("3.11.2").platforms[0])


def test_markers_are_those_of_the_target(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    offer_chain(folder)
    asked = requirements(tmp_path, *HERE, "alpha")
    assert "tiny" in lock(asked, target("3.9.2"), store).wheels
    assert "tiny" not in lock(asked, target("3.13.5"), store).wheels


def test_wheels_fit_the_targets_python_and_libc(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    machine = interpreter().markers["platform_machine"]
    for python in ("cp39", "cp311", "cp313"):
        wheel(folder, "fast", tag=f"{python}-{python}-manylinux_2_28_{machine}")
    wheel(folder, "fast", tag=f"cp313-cp313-manylinux_2_40_{machine}")
    asked = requirements(tmp_path, *HERE, "fast")
    assert lock(asked, target("3.9.2"), store).wheels["fast"].filename.startswith("fast-1.0-cp39-cp39-manylinux_2_28")
    assert "cp313-manylinux_2_28" in lock(asked, target("3.13.5"), store).wheels["fast"].filename
    newer = lock(asked, target("3.13.5", glibc=(2, 41)), store)
    assert "cp313-manylinux_2_40" in newer.wheels["fast"].filename


def test_requires_python_is_that_of_the_target(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "moving", "2.0", metadata="Requires-Python: >=3.13\n")
    wheel(folder, "moving", "1.0", metadata="Requires-Python: >=3.8\n")
    asked = requirements(tmp_path, *HERE, "moving")
    assert versions(lock(asked, target("3.13.5"), store)) == {"moving": "2.0"}
    assert versions(lock(asked, target("3.9.2"), store)) == {"moving": "1.0"}


def test_real_packages_for_three_pythons(tmp_path: Path, store: FolderStore) -> None:
    asked = requirements(tmp_path, "rapidfuzz==3.13.0", 'zipp==3.20.2; python_version < "3.10"', "six==1.17.0")
    old, ours, new = (lock(asked, target(python), store) for python in ("3.9.2", "3.11.2", "3.13.5"))
    assert set(old.wheels) == {"rapidfuzz", "six", "zipp"}
    assert set(ours.wheels) == set(new.wheels) == {"rapidfuzz", "six"}
    assert [locked.wheels["rapidfuzz"].filename.split("-")[3] for locked in (old, ours, new)] == [
        "cp39",
        "cp311",
        "cp313",
    ]
    # The published hash of a file that never changes.
    assert old.wheels["six"].blob == "sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"


@pytest.mark.parametrize("lines", [None, (), ("# nothing", "", "--pre"), ("-c limits.txt",)])
def test_nothing_asked_is_an_empty_closure(tmp_path: Path, store: FolderStore, lines: tuple[str, ...] | None) -> None:
    requirements(tmp_path, "six<99", name="limits.txt")
    asked = None if lines is None else requirements(tmp_path, *lines)
    assert lock(asked, target("3.11.2"), store).wheels == {}


def test_a_requirement_whose_marker_does_not_hold_is_an_empty_closure(tmp_path: Path, store: FolderStore) -> None:
    asked = requirements(tmp_path, 'six; python_version < "3"')
    assert lock(asked, target("3.11.2"), store).wheels == {}


def test_included_files_and_constraints_count(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    offer_chain(folder)
    requirements(tmp_path, "beta", name="more.txt")
    requirements(tmp_path, "beta<2", name="limits.txt")
    asked = requirements(tmp_path, *HERE, "-r more.txt", "--constraint=limits.txt")
    assert versions(lock(asked, target("3.11.2"), store)) == {"beta": "1.0"}
    requirements(tmp_path, "beta<3", name="limits.txt")
    assert versions(lock(asked, target("3.11.2"), store)) == {"beta": "2.0"}


def test_setuptools_comes_only_where_it_is_required(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "setuptools", "80.0")
    wheel(folder, "needs_it", requires=("setuptools",))
    wheel(folder, "plain")
    assert versions(lock(requirements(tmp_path, *HERE, "plain"), target("3.11.2"), store)) == {"plain": "1.0"}
    needing = lock(requirements(tmp_path, *HERE, "needs_it"), target("3.11.2"), store)
    assert versions(needing) == {"needs-it": "1.0", "setuptools": "80.0"}


def test_a_closure_is_kept_until_asked_for_anew(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha", "1.0")
    asked = requirements(tmp_path, *HERE, "alpha")
    first = lock(asked, target("3.11.2"), store)
    wheel(folder, "alpha", "1.1")
    assert lock(asked, target("3.11.2"), store) == first
    assert versions(lock(asked, target("3.11.2"), store, upgrade=True)) == {"alpha": "1.1"}
    assert versions(lock(asked, target("3.11.2"), store)) == {"alpha": "1.1"}


def test_two_stores_lock_alike(tmp_path: Path, folder: Path) -> None:
    offer_chain(folder)
    asked = requirements(tmp_path, *HERE, "alpha")
    one, other = (lock(asked, target("3.9.2"), FolderStore.open(tmp_path / name)) for name in ("one", "other"))
    assert one.digest == other.digest


def test_locked_once_no_index_is_needed(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    offer_chain(folder)
    asked = requirements(tmp_path, *HERE, "alpha")
    first = lock(asked, target("3.11.2"), store)
    shutil.rmtree(folder)
    assert lock(asked, target("3.11.2"), store) == first
    assert lock(asked, target("3.11.2"), store, offline=True, upgrade=True) == first
    ensure(first, store)


def test_offline_without_a_lock_says_so(tmp_path: Path, store: FolderStore) -> None:
    with pytest.raises(LockError, match=r"not locked for Python 3\.11\.2") as caught:
        lock(requirements(tmp_path, "six"), target("3.11.2"), store, offline=True)
    assert "replay lock" in caught.value.do


def test_a_lost_wheel_is_fetched_again_or_named(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    offer_chain(folder)
    asked = requirements(tmp_path, *HERE, "alpha")
    first = lock(asked, target("3.11.2"), store)
    store.path(first.wheels["beta"].blob).unlink()
    with pytest.raises(WheelError, match=r"beta-2.0-py3-none-any.whl is missing"):
        ensure(first, store)
    assert lock(asked, target("3.11.2"), store) == first
    ensure(first, store)

    store.path(first.wheels["beta"].blob).unlink()
    (folder / "beta-2.0-py3-none-any.whl").unlink()
    with pytest.raises(WheelError, match=r"neither the store nor the index: beta-2.0-py3-none-any.whl"):
        lock(asked, target("3.11.2"), store)

    wheel(folder, "beta", "2.0", {"beta.py": "other = True\n"})
    with pytest.raises(WheelError, match=r"beta-2.0") as caught:
        lock(asked, target("3.11.2"), store)
    assert "offers other files" in caught.value.cause


def test_a_damaged_wheel_is_named(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    packages = lock(requirements(tmp_path, *HERE, "alpha"), target("3.11.2"), store)
    blob = store.path(packages.wheels["alpha"].blob)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(WheelError, match=r"alpha-1.0-py3-none-any.whl is damaged"):
        ensure(packages, store)


def test_a_hash_locked_file_is_taken_as_it_is(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    held = hashlib.sha256(wheel(folder, "alpha", "1.0").read_bytes()).hexdigest()
    wheel(folder, "alpha", "2.0")
    asked = requirements(tmp_path, *HERE, f"alpha==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{held}")
    assert lock(asked, target("3.11.2"), store).wheels["alpha"].blob == f"sha256:{held}"


def test_a_file_whose_hash_is_not_listed_is_refused_by_name(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    asked = requirements(tmp_path, *HERE, f"alpha==1.0 --hash=sha256:{'0' * 64}")
    with pytest.raises(LockError) as caught:
        lock(asked, target("3.11.2"), store)
    assert "alpha==1.0" in caught.value.cause
    assert "0" * 64 in caught.value.cause


def test_a_hash_locked_file_must_hold_the_whole_closure(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    offer_chain(folder)
    held = hashlib.sha256((folder / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    asked = requirements(tmp_path, *HERE, f"alpha==1.0 --hash=sha256:{held}")
    with pytest.raises(LockError) as caught:
        lock(asked, target("3.11.2"), store)
    assert "beta" in caught.value.cause
    assert "--hash" in caught.value.do


def test_a_conflict_names_who_needs_what(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha", requires=("gamma<2",))
    wheel(folder, "beta", requires=("gamma>=2",))
    wheel(folder, "gamma", "1.0")
    wheel(folder, "gamma", "2.0")
    with pytest.raises(LockError, match="no version of gamma satisfies all") as caught:
        lock(requirements(tmp_path, *HERE, "alpha", "beta"), target("3.11.2"), store)
    assert "alpha 1.0 needs gamma<2" in caught.value.cause
    assert "beta 1.0 needs gamma>=2" in caught.value.cause


def test_a_package_published_as_source_only_is_named(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "other")
    (folder / "onlysource-1.0.tar.gz").write_bytes(b"never opened")
    with pytest.raises(LockError, match="onlysource") as caught:
        lock(requirements(tmp_path, *HERE, "onlysource"), target("3.11.2"), store)
    assert "source only (onlysource-1.0.tar.gz)" in caught.value.cause
    assert "pip wheel onlysource" in caught.value.do


def test_no_wheel_for_this_python_is_told_from_no_such_version(
    tmp_path: Path, folder: Path, store: FolderStore
) -> None:
    wheel(folder, "fast", tag="cp39-cp39-manylinux_2_17_x86_64")
    with pytest.raises(LockError, match="nothing fits fast") as caught:
        lock(requirements(tmp_path, *HERE, "fast==1.0"), target("3.11.2"), store)
    assert "none for CPython 3.11.2" in caught.value.cause
    assert "cp39" in caught.value.cause
    with pytest.raises(LockError, match=r"nothing fits fast==7") as caught:
        lock(requirements(tmp_path, *HERE, "fast==7"), target("3.9.2"), store)
    assert "it has 1.0" in caught.value.cause


def test_a_python_too_old_is_named(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "modern", metadata="Requires-Python: >=3.13\n")
    with pytest.raises(LockError) as caught:
        lock(requirements(tmp_path, *HERE, "modern"), target("3.11.2"), store)
    assert "3.11.2 not in '>=3.13'" in caught.value.cause


PLANT = "import pathlib\npathlib.Path({mark!r}).write_text('ran')\n"


@pytest.mark.parametrize("line", ["./project", "innocent", "project @ file://{folder}/project"])
def test_no_code_of_a_package_runs(tmp_path: Path, folder: Path, store: FolderStore, line: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "setup.py").write_text(PLANT.format(mark=str(tmp_path / "mark")))
    wheel(folder, "innocent", requires=(f"project @ file://{project}",))
    with pytest.raises(LockError, match="is not a wheel"):
        lock(requirements(tmp_path, *HERE, line.format(folder=tmp_path)), target("3.11.2"), store)
    assert not (tmp_path / "mark").exists()


def test_an_index_that_does_not_answer_is_named_without_credentials(
    tmp_path: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRIES", "0")
    address = "http://carol:s3cret@127.0.0.1:9/simple?token=s3cret2"
    asked = requirements(tmp_path, f"--index-url {address}", "surely-no-such-package-here")
    with pytest.raises(LockError) as caught:
        lock(asked, target("3.11.2"), store)
    assert "does not answer" in caught.value.cause
    assert "127.0.0.1" in caught.value.cause
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"
    kept = [path.read_bytes() for path in store.cache("locks").rglob("*") if path.is_file()]
    assert not any(b"s3cret" in data for data in kept)


def test_credentials_do_not_ask_for_a_new_lock(
    tmp_path: Path, folder: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(folder, "alpha")
    asked = requirements(tmp_path, *HERE, "alpha")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://carol:old@example.invalid/simple")
    first = lock(asked, target("3.11.2"), store)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://carol:new@example.invalid/simple")
    assert lock(asked, target("3.11.2"), store, offline=True) == first
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://elsewhere.invalid/simple")
    with pytest.raises(LockError, match="not locked"):
        lock(asked, target("3.11.2"), store, offline=True)


def test_a_local_wheel_that_changed_under_its_name_is_locked_anew(
    tmp_path: Path, folder: Path, store: FolderStore
) -> None:
    wheel(folder, "alpha", files={"alpha.py": "one = 1\n"})
    asked = requirements(tmp_path, "--no-index", "./wheels/alpha-1.0-py3-none-any.whl")
    first = lock(asked, target("3.11.2"), store)
    wheel(folder, "alpha", files={"alpha.py": "two = 2\n"})
    assert lock(asked, target("3.11.2"), store).wheels["alpha"].blob != first.wheels["alpha"].blob


def test_a_spoilt_lock_is_made_again(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "alpha")
    asked = requirements(tmp_path, *HERE, "alpha")
    first = lock(asked, target("3.11.2"), store)
    (kept,) = store.cache("locks").glob("*.json")
    kept.write_text('{"python": "3.1')
    assert lock(asked, target("3.11.2"), store) == first


def test_a_hostile_wheel_does_not_enter_the_store(tmp_path: Path, folder: Path, store: FolderStore) -> None:
    wheel(folder, "evil", extra=(("../../outside.py", b""),))
    with pytest.raises(WheelError, match="evil"):
        lock(requirements(tmp_path, *HERE, "evil"), target("3.11.2"), store)
    assert not any(store.cache("locks").iterdir())


def test_the_interpreter_of_this_host_locks_too(tmp_path: Path, store: FolderStore) -> None:
    packages = lock(requirements(tmp_path, "idna==3.10"), interpreter(), store)
    assert versions(packages) == {"idna": "3.10"}
    assert packages.python == ".".join(str(part) for part in sys.version_info[:2])
