"""Source that is built: once, without network, the same bytes every time, in the engine that runs the jobs."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from replay.engines.local import LocalEngine
from replay.environment.base import Interpreter
from replay.environment.build import Workshop
from replay.environment.lock import lock
from replay.environment.packages import PackageSet
from replay.errors import LockError
from replay.execute import silent
from replay.store.folder import FolderStore
from replay.workshop import EngineWorkshop
from tests.environment.making import HERE, requirements, wheel

BACKEND = """
import os, pathlib, sys, zipfile
import helper

def get_requires_for_build_wheel(settings=None):
    return []

def build_wheel(folder, settings=None, metadata=None):
    print("this is the log of the build")
    assert "{fails}" == "no", "the {fails} header is missing"
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    code = pathlib.Path("{name}.py").read_text() + "helped = %r" % helper.word
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("{name}.py", code)
        made.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{needs}")
        wheel = "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        made.writestr(info + "/WHEEL", wheel)
        listed = ["{name}.py", info + "/METADATA", info + "/WHEEL", info + "/RECORD"]
        made.writestr(info + "/RECORD", "".join(path + ",,\\n" for path in listed))
    return name
"""
SYSTEM = '[build-system]\nrequires = ["helper"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def project(folder: Path, name: str, version: str = "1.0", *, fails: str = "no", needs: str = "") -> Path:
    """Write a project with a build backend of its own that needs one package and stamps the time, as most do."""
    folder.mkdir(parents=True, exist_ok=True)
    text = BACKEND.format(name=name, version=version, fails=fails, needs=f"Requires-Dist: {needs}\\n" if needs else "")
    (folder / "backend.py").write_text(text)
    (folder / "pyproject.toml").write_text(SYSTEM)
    (folder / f"{name}.py").write_text("x = 1\n")
    return folder


def sdist(folder: Path, name: str, version: str = "1.0", *, fails: str = "no", needs: str = "") -> Path:
    made = project(folder.parent / f"{name}-{version}", name, version, fails=fails, needs=needs)
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(made, arcname=made.name)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files that stands in for an index, with what the builds need."""
    place = tmp_path / "wheels"
    wheel(place, "helper", files={"helper.py": "word = 'helped'\n"})
    return place


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine()


@pytest.fixture
def here(engine: LocalEngine) -> Interpreter:
    return engine.interpreter(engine.base("", None))


def shop(engine: LocalEngine, store: FolderStore) -> Workshop:
    return EngineWorkshop(engine, engine.base("", None), store, silent)


def locked(asked: Path, engine: LocalEngine, store: FolderStore, *, offline: bool = False) -> PackageSet:
    here = engine.interpreter(engine.base("", None))
    return lock(asked, here, store, workshop=shop(engine, store), offline=offline)


def held(store: FolderStore, packages: PackageSet, name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(store.path(packages.wheels[name].blob)) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def test_a_package_that_exists_as_source_only_is_built(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    file = sdist(folder, "gamma", needs="beta>=1")
    wheel(folder, "beta")
    packages = locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert set(packages.wheels) == {"beta", "gamma"}
    gamma = packages.wheels["gamma"]
    assert gamma.requires == ("beta>=1",)
    assert gamma.source is not None
    assert gamma.source.origin == "gamma-1.0.tar.gz"
    assert gamma.source.content == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(gamma.source.build) == {"helper"}
    assert packages.wheels["beta"].source is None
    assert b"helped = 'helped'" in held(store, packages, "gamma")["gamma.py"]
    # Locked once, neither index nor build is needed.
    assert locked(requirements(tmp_path, *HERE, "gamma"), engine, store, offline=True) == packages


def test_what_a_package_needs_is_built_as_well(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    sdist(folder, "gamma")
    sdist(folder, "delta", "2.0")
    wheel(folder, "alpha", requires=("gamma", "delta>=2"))
    packages = locked(requirements(tmp_path, *HERE, "alpha"), engine, store)
    assert set(packages.wheels) == {"alpha", "gamma", "delta"}


def test_two_builds_give_the_same_bytes(tmp_path: Path, folder: Path, engine: LocalEngine) -> None:
    sdist(folder, "gamma")
    asked = requirements(tmp_path, *HERE, "gamma")
    one = locked(asked, engine, FolderStore.open(tmp_path / "one"))
    time.sleep(2.1)  # a zip archive counts time in steps of two seconds
    two = locked(asked, engine, FolderStore.open(tmp_path / "quite" / "another"))
    assert one == two


def test_a_source_that_does_not_build_shows_the_end_of_its_log(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    sdist(folder, "gamma", fails="libxyz")
    with pytest.raises(LockError, match=r"gamma-1\.0\.tar\.gz' does not build") as caught:
        locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert "the libxyz header is missing" in caught.value.cause
    assert not list(store.cache("built").iterdir())
    assert not list(store.cache("locks").glob("gamma*"))


def test_a_build_requirement_that_is_not_there_is_named(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    sdist(folder, "gamma")
    (folder / "helper-1.0-py3-none-any.whl").unlink()
    with pytest.raises(LockError, match="gamma") as caught:
        locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert "helper" in str(caught.value)


def test_a_hash_locked_source_is_verified_and_built(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    digits = hashlib.sha256(sdist(folder, "gamma").read_bytes()).hexdigest()
    asked = requirements(tmp_path, *HERE, f"gamma==1.0 --hash=sha256:{digits}")
    assert locked(asked, engine, store).wheels["gamma"].source is not None
    asked = requirements(tmp_path, *HERE, f"gamma==1.0 --hash=sha256:{'0' * 64}")
    with pytest.raises(LockError, match="another hash") as caught:
        locked(asked, engine, store)
    assert digits in caught.value.cause


@pytest.mark.parametrize("line", ["./lib", "-e ./lib", "gamma @ file://{here}/lib", "--editable=./lib"])
def test_a_folder_is_built_as_it_is_now(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, line: str
) -> None:
    project(tmp_path / "lib", "gamma")
    asked = requirements(tmp_path, *HERE, line.format(here=tmp_path))
    first = locked(asked, engine, store)
    assert first.wheels["gamma"].source is not None
    assert first.wheels["gamma"].source.origin == "lib"
    (tmp_path / "lib/gamma.py").write_text("x = 2\n")
    second = locked(asked, engine, store)
    assert held(store, second, "gamma")["gamma.py"].startswith(b"x = 2")
    assert locked(asked, engine, store, offline=True) == second


def test_extras_and_markers_of_a_folder_count(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    project(tmp_path / "lib", "gamma", needs="beta; extra == 'more'\\nProvides-Extra: more")
    wheel(folder, "beta")
    assert set(locked(requirements(tmp_path, *HERE, "./lib[more]"), engine, store).wheels) == {"beta", "gamma"}
    assert set(locked(requirements(tmp_path, *HERE, "./lib"), engine, store).wheels) == {"gamma"}
    never = requirements(tmp_path, *HERE, "./lib ; python_version < '3'")
    assert locked(never, engine, store).wheels == {}


def git(place: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(
        ["git", "-C", str(place), *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = project(tmp_path / "repository/below", "gamma").parent
    git(place, "init", "-q", "-b", "main")
    git(place, "add", ".")
    git(place, "commit", "-qm", "one")
    git(place, "tag", "v1")
    (place / "below/gamma.py").write_text("x = 2\n")
    git(place, "commit", "-qam", "two")
    return place


@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@{commit}"])
def test_a_repository_is_pinned_to_its_commit(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, repository: Path, revision: str
) -> None:
    old, new = git(repository, "rev-parse", "v1"), git(repository, "rev-parse", "main")
    line = f"gamma @ git+file://{repository}{revision.format(commit=old)}#subdirectory=below"
    gamma = locked(requirements(tmp_path, *HERE, line), engine, store).wheels["gamma"]
    assert gamma.source is not None
    assert gamma.source.content == f"git:{old if revision in ('@v1', '@{commit}') else new}"


def test_a_branch_stays_where_it_was_locked(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, repository: Path
) -> None:
    asked = requirements(tmp_path, *HERE, f"-e git+file://{repository}@main#egg=gamma&subdirectory=below")
    first = locked(asked, engine, store)
    (repository / "below/gamma.py").write_text("x = 3\n")
    git(repository, "commit", "-qam", "three")
    assert locked(asked, engine, store) == first
    here = engine.interpreter(engine.base("", None))
    again = lock(asked, here, store, workshop=shop(engine, store), upgrade=True)
    assert held(store, again, "gamma")["gamma.py"].startswith(b"x = 3")


@pytest.mark.parametrize(
    "url", ["git+file://{here}/gone", "git+file://{here}/repository@nowhere", "hg+https://x.invalid/y"]
)
def test_a_repository_that_cannot_be_had_is_named_without_credentials(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, repository: Path, url: str
) -> None:
    with pytest.raises(LockError, match="cannot be used"):
        locked(requirements(tmp_path, *HERE, f"gamma @ {url.format(here=tmp_path)}"), engine, store)
    with pytest.raises(LockError) as caught:
        locked(requirements(tmp_path, "gamma @ git+http://carol:s3cret@127.0.0.1:9/x"), engine, store)
    assert "s3cret" not in str(caught.value)


def test_a_lock_of_another_tool_may_hold_source(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, repository: Path
) -> None:
    file = sdist(folder, "delta")
    digits = hashlib.sha256(file.read_bytes()).hexdigest()
    project(tmp_path / "lib", "eps")
    text = f"""lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "delta"
version = "1.0"
sdist = {{name = "delta-1.0.tar.gz", path = "wheels/delta-1.0.tar.gz", hashes = {{sha256 = "{digits}"}}}}
[[packages]]
name = "eps"
directory = {{path = "lib", editable = true}}
[[packages]]
name = "gamma"
[packages.vcs]
type = "git"
url = "file://{repository}"
commit-id = "{git(repository, "rev-parse", "v1")}"
subdirectory = "below"
"""
    (tmp_path / "pip.txt").write_text("")
    asked = requirements(tmp_path, text, name="pylock.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        packages = locked(asked, engine, store)
    assert all(packages.wheels[name].source for name in ("delta", "eps", "gamma"))
    assert packages.wheels["delta"].source.content == f"sha256:{digits}"  # type: ignore[union-attr]


def archive_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


@pytest.mark.parametrize(
    "member",
    [
        (tarfile.TarInfo("../outside.py"), b"x"),
        (tarfile.TarInfo("gamma-1.0/../../outside.py"), b"x"),
        link("gamma-1.0/out", "../../.."),
        link("gamma-1.0/out", "/etc/passwd"),
    ],
    ids=["parent", "inner parent", "link out", "absolute link"],
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine, member: tuple[tarfile.TarInfo, bytes]
) -> None:
    archive_of(folder / "gamma-1.0.tar.gz", member)
    with pytest.raises(LockError, match=r"gamma-1\.0\.tar\.gz"):
        locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert not list(tmp_path.rglob("outside.py"))


def test_an_archive_that_is_a_bomb_or_no_archive_is_refused(
    tmp_path: Path, folder: Path, store: FolderStore, engine: LocalEngine
) -> None:
    archive_of(folder / "gamma-1.0.tar.gz", (tarfile.TarInfo("gamma-1.0/big"), bytes(300 << 20)))
    with pytest.raises(LockError, match="gamma") as caught:
        locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert "would unpack to" in caught.value.cause
    (folder / "gamma-1.0.tar.gz").write_bytes(b"no archive at all")
    with pytest.raises(LockError, match="gamma") as caught:
        locked(requirements(tmp_path, *HERE, "gamma"), engine, store)
    assert "not a sound source archive" in caught.value.cause
