"""Layers of an environment: one digest wherever they are made, and what they show is what a tree holds."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from replay.environment.tree import assemble
from replay.errors import StoreError, WheelError
from replay.image.archive import layer_blob
from replay.image.compose import Environment
from replay.store.folder import FolderStore
from tests.environment.making import tool, wheel
from tests.image.making import environment, shown


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "wheels"
    return [
        wheel(folder, "alpha", files={"alpha/__init__.py": "A = 1\n", "alpha/deep/er.txt": "x\n"}),
        wheel(folder, "beta", files={"beta.py": "import alpha\n", "shared/one.txt": "beta's\n"}),
        wheel(folder, "gamma", files={"gamma.py": "G = 3\n", "shared/one.txt": "gamma's\n"}),
    ]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / "store")


def digests(made: Environment) -> list[str]:
    return [made.image.id, *(layer.diff_id for layer in made.image.layers)]


def test_one_digest_in_another_folder_under_another_umask_time_zone_and_order(
    tmp_path: Path, store: FolderStore, wheels: list[Path]
) -> None:
    script = textwrap.dedent("""
        import json, os, sys
        from pathlib import Path
        from replay.store.folder import FolderStore
        from tests.image.making import environment
        os.umask(0o077)
        made = environment(FolderStore.open(Path(sys.argv[1])), *map(Path, sys.argv[2:]))
        print(json.dumps([made.image.id, *(layer.diff_id for layer in made.image.layers)]))
    """)
    shuffled = random.Random(3).sample(wheels, len(wheels))
    other = {**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, str(tmp_path / "quite/another place"), *map(str, shuffled)]
    done = subprocess.run(command, env=other, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(done.stdout) == digests(environment(store, *wheels))


def test_one_digest_from_a_cold_and_a_warm_cache(store: FolderStore, wheels: list[Path]) -> None:
    cold = digests(environment(store, *wheels))
    assert digests(environment(store, *wheels)) == cold
    shutil.rmtree(store.cache("layers"))
    assert digests(environment(store, *wheels)) == cold


def test_the_image_shows_what_the_tree_holds(store: FolderStore, wheels: list[Path]) -> None:
    made = environment(store, *wheels)
    tree = assemble(made.packages, made.interpreter, store, tool).path
    on_disk = {}
    for path in tree.rglob("*"):
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        on_disk[f"opt/replay/env/{path.relative_to(tree)}"] = (path.lstat().st_mode & 0o7777, data)
    assert {path: it for path, it in shown(made.image.layers).items() if path != "opt/replay/env"} == on_disk


def test_a_swapped_wheel_lies_on_top_and_shows_the_same_as_if_it_had_its_own_place(
    tmp_path: Path, store: FolderStore, wheels: list[Path]
) -> None:
    before = environment(store, *wheels)
    newer = wheel(tmp_path / "wheels", "alpha", "2.0", files={"alpha/__init__.py": "A = 2\n", "alpha/deep": "a file\n"})
    after = environment(store, newer, *wheels[1:])
    known = before.image.layers
    delivered = after.over(known)
    assert [layer.title for layer in delivered.layers[len(known) :]] == ["alpha 2.0", "environment"]
    assert shown(delivered.layers) == shown(after.image.layers)
    back = before.over(delivered.layers)
    assert [layer.title for layer in back.layers[len(delivered.layers) :]] == ["environment"]
    assert shown(back.layers) == shown(before.image.layers)


def test_a_package_taken_out_leaves_no_empty_folder_to_import(store: FolderStore, wheels: list[Path]) -> None:
    before, after = environment(store, *wheels), environment(store, *wheels[1:])
    assert shown(after.over(before.image.layers).layers) == shown(after.image.layers)
    assert not [path for path in shown(after.over(before.image.layers).layers) if "alpha" in path]


def test_a_changed_file_of_an_unpacked_wheel_is_refused_and_named(store: FolderStore, wheels: list[Path]) -> None:
    made = environment(store, *wheels)
    (alpha,) = (layer for layer in made.image.layers if layer.title.startswith("alpha"))
    victim = next(made.wheels["alpha"].prefix.rglob("alpha/__init__.py"))
    victim.chmod(0o644)
    victim.write_text("A = 9\n")
    victim.chmod(0o444)
    with pytest.raises(StoreError, match=r"layer of alpha 1\.0 is not the one recorded: \S+/alpha/__init__\.py differ"):
        list(layer_blob(alpha, store).write())


def test_a_changed_byte_in_a_wheel_is_refused_and_named(store: FolderStore, wheels: list[Path]) -> None:
    entry = store.put_file(wheels[0])
    blob = store.root / "blobs/sha256" / entry.blob.removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(WheelError, match=r"alpha-1\.0-py3-none-any\.whl"):
        environment(store, *wheels)
