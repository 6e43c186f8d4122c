"""A private index with a password: it is used, and it is nowhere afterwards."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.environment.lock import lock, relock
from replay.environment.selection import Selection
from replay.errors import LockError
from replay.store.folder import FolderStore
from tests.environment.making import requirements, target, wheel
from tests.support.simple_index import Index, serve

LOGIN = "carol:s3cret-pa55"
OURS = target("3.11.2")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's pip: no files, no variables, no home."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    wheel(tmp_path / "files", "alpha", requires=("beta",))
    wheel(tmp_path / "files", "beta", files={"beta.py": "x = 1\n"})
    with serve(tmp_path / "files", login=LOGIN) as running:
        yield running


def secretless(*folders: Path) -> None:
    """No file below holds the password, plain or as the header that carries it."""
    for folder in folders:
        for path in (path for path in folder.rglob("*") if path.is_file()):
            data = path.read_bytes()
            assert b"s3cret" not in data, path
            assert b"Y2Fyb2w6czNjcmV0" not in data, path


def test_credentials_in_the_file(tmp_path: Path, store: FolderStore, index: Index) -> None:
    asked = requirements(tmp_path, f"--index-url {index.url}", "alpha")
    said: list[str] = []
    packages = lock(asked, OURS, store, progress=said.append)
    assert set(packages.wheels) == {"alpha", "beta"}
    relock(asked, tmp_path / "replay.lock", OURS, store)
    asked.unlink()
    secretless(store.root, tmp_path)
    assert "s3cret" not in packages.encode().decode() + "".join(said)


@pytest.mark.parametrize("line", ["--index-url ${{INDEX}}", "--extra-index-url=${{INDEX}}"])
def test_credentials_in_a_variable_of_the_file(
    tmp_path: Path, store: FolderStore, index: Index, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX", index.url)
    if "extra" in line:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
    lock(requirements(tmp_path, line.format(), "alpha"), OURS, store)
    secretless(store.root, tmp_path)


@pytest.mark.parametrize("locker", ["pip-tools", "uv"])
def test_credentials_in_pips_variable(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch, uv: Path, locker: str
) -> None:
    monkeypatch.setenv("PATH", f"{uv}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    selection = Selection(locker=locker)  # type: ignore[arg-type]
    lock(requirements(tmp_path, "alpha"), OURS, store, selection=selection)
    secretless(store.root)


def test_credentials_in_netrc(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, password = LOGIN.split(":")
    netrc = tmp_path / "home/.netrc"
    netrc.write_text(f"machine 127.0.0.1 login {user} password {password}\n")
    netrc.chmod(stat.S_IRUSR)
    lock(requirements(tmp_path, f"--index-url {index.plain}", "alpha"), OURS, store)
    secretless(store.root)


def test_a_lock_that_names_the_index_uses_them_too(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    digits = hashlib.sha256((tmp_path / "files/beta-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    address = f"http://127.0.0.1:{index.port}/files/beta-1.0-py3-none-any.whl"
    file = f'{{name = "beta-1.0-py3-none-any.whl", url = "{address}", hashes = {{sha256 = "{digits}"}}}}'
    text = f'lock-version = "1.0"\ncreated-by = "t"\n[[packages]]\nname = "beta"\nversion = "1.0"\nwheels = [{file}]\n'
    assert set(lock(requirements(tmp_path, text, name="pylock.toml"), OURS, store).wheels) == {"beta"}
    secretless(store.root)


@pytest.mark.parametrize("locker", ["pip-tools", "uv"])
def test_a_wrong_password_is_no_part_of_the_error(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch, uv: Path, locker: str
) -> None:
    monkeypatch.setenv("PATH", f"{uv}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    wrong = index.url.replace("pa55", "wrong")
    monkeypatch.setenv("PIP_INDEX_URL", wrong)
    with pytest.raises(LockError) as caught:
        lock(requirements(tmp_path, "alpha"), OURS, store, selection=Selection(locker=locker))  # type: ignore[arg-type]
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"
    assert index.refused
    secretless(store.root)


def test_a_wheel_in_the_store_is_not_downloaded_again(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    first = lock(requirements(tmp_path, "alpha"), OURS, store)
    assert sorted(index.files) == sorted(wheel.filename for wheel in first.wheels.values())  # nor twice at first
    index.files.clear()
    wheel(tmp_path / "files", "gamma", requires=("alpha",))
    lock(requirements(tmp_path, "gamma"), OURS, store)
    assert set(index.files) == {"gamma-1.0-py3-none-any.whl"}


def test_a_spoilt_file_among_the_known_is_downloaded_again(
    tmp_path: Path, store: FolderStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    first = lock(requirements(tmp_path, "beta"), OURS, store)
    (held,) = store.cache("wheels").iterdir()
    held.unlink()
    held.write_bytes(b"spoilt")
    index.files.clear()
    assert lock(requirements(tmp_path, "beta"), OURS, store, upgrade=True) == first
    assert index.files
