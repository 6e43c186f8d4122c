"""Compiled packages that lack something of the base are named when the state is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.engines.local import LocalEngine
from replay.environment.lock import lock
from replay.execute import silent
from replay.smoke import smoke
from replay.store.folder import FolderStore
from replay.workshop import EngineWorkshop
from tests.environment.making import HERE, requirements, wheel

LOADS = "import ctypes\nctypes.CDLL({library!r})\n"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / "store")


def tried(tmp_path: Path, store: FolderStore, *lines: str) -> tuple[str, ...]:
    engine = LocalEngine()
    base = engine.base("", None)
    here = engine.interpreter(base)
    packages = lock(requirements(tmp_path, *lines), here, store)
    return smoke(packages, here, store, EngineWorkshop(engine, base, store, silent))


def test_a_missing_library_is_named_with_the_wheel_that_needs_it(tmp_path: Path, store: FolderStore) -> None:
    tag = LocalEngine().interpreter(LocalEngine().base("", None)).platforms[0]
    files = {"needy/__init__.py": LOADS.format(library="libnowhere.so.7"), "needy/lib_needy.so": "no library"}
    wheel(tmp_path / "wheels", "needy", files=files, tag=f"py3-none-{tag}")
    wheel(tmp_path / "wheels", "plain", files={"plain.py": "raise SystemExit(3)\n"})
    for _ in ("tried", "remembered"):
        (finding,) = tried(tmp_path, store, *HERE, "needy", "plain")
        assert finding.startswith(f"needy-1.0-py3-none-{tag}.whl needs libnowhere.so.7")
        assert "`import needy` fails" in finding


def test_a_module_that_is_no_library_is_named(tmp_path: Path, store: FolderStore) -> None:
    tag = LocalEngine().interpreter(LocalEngine().base("", None)).platforms[0]
    wheel(tmp_path / "wheels", "torn", files={"torn.abi3.so": "no library"}, tag=f"py3-none-{tag}")
    (finding,) = tried(tmp_path, store, *HERE, "torn")
    assert "`import torn` fails on this base" in finding


def test_sound_packages_are_no_finding(tmp_path: Path, store: FolderStore) -> None:
    assert tried(tmp_path, store, "rapidfuzz==3.13.0", "charset-normalizer==3.4.2") == ()
