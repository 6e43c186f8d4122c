"""The tree in a container of its base: read-only, with the base's own interpreter and bytecode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replay.engines.base import RunSpec
from replay.engines.docker import DockerEngine
from replay.environment.lock import lock
from replay.environment.tree import assemble
from replay.store.folder import FolderStore
from tests.environment.making import requirements

pytestmark = pytest.mark.docker

CODE = "import rapidfuzz.fuzz as f, six, sys; print(f.ratio('ab', 'ab'), six.__cached__, sys.path[1:])"


@pytest.mark.parametrize(("name", "python"), [("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13")])
def test_every_base_runs_from_its_own_tree(
    tmp_path: Path, docker_host: str, base_image: Callable[[str], str], name: str, python: str
) -> None:
    engine, store = DockerEngine(docker_host), FolderStore.open(tmp_path / "store")
    base = engine.base(base_image(name), None)
    interpreter = engine.interpreter(base)
    asked = requirements(tmp_path, "rapidfuzz==3.13.0", "six==1.17.0")

    def tool(script: str, folder: Path) -> str:
        return engine.python_tool(base, script, folder)

    tree = assemble(lock(asked, interpreter, store), interpreter, store, tool)
    (tmp_path / "work").mkdir()
    spec = RunSpec(base=base, command=["python", "-c", CODE], workspace=tmp_path / "work", environment=tree.path)
    said = engine.run(spec).log.decode()
    site = f"/opt/replay/env/lib/python{python}/site-packages"
    assert f"100.0 {site}/__pycache__/six.{interpreter.cache_tag}.pyc" in said
    assert site in said
    assert "dist-packages" not in said
