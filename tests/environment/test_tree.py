"""Trees: an environment that runs, is the same everywhere, and says where packages contradict each other."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from replay.environment.base import Interpreter
from replay.environment.lock import lock
from replay.environment.packages import PackageSet, Wheel
from replay.environment.tree import Tree, assemble
from replay.environment.wheels import EPOCH, site_packages
from replay.errors import EngineError, WheelError
from replay.store.folder import FolderStore
from tests.environment.making import closure, interpreter, requirements, tool, wheel

SITE = site_packages(interpreter())


def tree_of(store: FolderStore, *files: Path) -> Tree:
    return assemble(closure(store, *files), interpreter(), store, tool)


def python(tree: Tree, code: str) -> str:
    command = [tree.path / "bin/python", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


def everything(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    """Every path below, with mode, time and content (a link's target)."""
    held = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        link = path.is_symlink()
        data = os.fsencode(path.readlink()) if link else path.read_bytes() if path.is_file() else b""
        held[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime, data)
    return held


def test_an_empty_closure_is_an_environment_too(store: FolderStore) -> None:
    tree = tree_of(store)
    assert tree.findings == ()
    assert python(tree, "import sys; print(sys.prefix != sys.base_prefix)") == "True"
    assert python(tree, "import importlib.metadata as m; print(len(list(m.distributions())))") == "0"


def test_real_packages_run_from_it(tmp_path: Path, store: FolderStore) -> None:
    asked = requirements(tmp_path, "rapidfuzz==3.13.0", "python-dateutil==2.9.0.post0", "charset-normalizer==3.4.2")
    tree = assemble(lock(asked, interpreter(), store), interpreter(), store, tool)
    assert tree.findings == ()
    code = "import rapidfuzz.fuzz as f, dateutil.parser as p; print(f.ratio('ab', 'ab'), p.parse('2026-01-02').day)"
    assert python(tree, code) == "100.0 2"
    names = python(tree, "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))")
    assert names == "['RapidFuzz', 'charset-normalizer', 'python-dateutil', 'six']"
    said = subprocess.run(
        [tree.path / "bin/normalizer", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert "Charset-Normalizer 3.4.2" in said


DEBIAN = Path("/usr/bin/python3")  # hides what it does not call site-packages but dist-packages


@pytest.mark.parametrize("executable", [sys.executable, *([str(DEBIAN)] if DEBIAN.exists() else [])])
def test_the_bases_own_packages_are_hidden(tmp_path: Path, store: FolderStore, executable: str) -> None:
    base = interpreter(executable)
    short = base.markers["python_version"]
    tree = assemble(PackageSet(python=short, platform="any"), base, store, tool)
    found = json.loads(python(tree, "import json, sys; print(json.dumps([p for p in sys.path if 'packages' in p]))"))
    assert found == [str(tree.path / f"lib/python{short}/site-packages")]
    assert python(tree, "import platform; print(platform.python_version())") == base.version


def test_it_works_wherever_it_is(tmp_path: Path, store: FolderStore) -> None:
    points = {"demo-1.0.dist-info/entry_points.txt": "[console_scripts]\nwhere = demo:main\n"}
    code = "import sys\ndef main():\n    print(sys.prefix, __file__, __cached__, sys.argv[1:])\n"
    tree = tree_of(store, wheel(tmp_path, "demo", files={**points, "demo.py": code}))
    moved = tmp_path / "an other place"
    shutil.copytree(tree.path, moved, symlinks=True)
    (tmp_path / "alias").symlink_to(moved / "bin/where")
    said = subprocess.run([tmp_path / "alias", "a b"], check=True, capture_output=True, text=True).stdout
    site = moved / SITE
    assert said.strip() == f"{moved} {site}/demo.py {site}/__pycache__/demo.{interpreter().cache_tag}.pyc ['a b']"


def test_the_same_closure_is_the_same_tree_in_any_store(tmp_path: Path) -> None:
    asked = requirements(tmp_path, "rapidfuzz==3.13.0", "idna==3.10", "tzdata==2025.2")
    trees = []
    for place in ("one", "quite/another place"):
        store = FolderStore.open(tmp_path / place)
        trees.append(assemble(lock(asked, interpreter(), store), interpreter(), store, tool).path)
    assert trees[0].name == trees[1].name
    assert everything(trees[0]) == everything(trees[1])


def test_it_is_made_once_and_shares_its_files(tmp_path: Path, store: FolderStore) -> None:
    one = wheel(tmp_path, "one", files={"one.py": "x = 1\n"})
    two = wheel(tmp_path, "two", files={"two.py": "x = 2\n"})
    first, wider = tree_of(store, one), tree_of(store, one, two)
    assert tree_of(store, one) == first
    assert first.path != wider.path
    assert (first.path / SITE / "one.py").samefile(wider.path / SITE / "one.py")


def test_a_job_cannot_write_into_its_packages(tmp_path: Path, store: FolderStore) -> None:
    tree = tree_of(store, wheel(tmp_path, "one", files={"one/__init__.py": "x = 1\n"}))
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in tree.path.rglob("*") if not path.is_symlink()}
    assert not any(mode & 0o222 for mode in modes)


def test_two_owners_of_a_path_are_a_finding_and_the_later_name_stands(tmp_path: Path, store: FolderStore) -> None:
    one = wheel(tmp_path, "aaa", files={"shared.py": "owner = 'aaa'\n", "same.py": "x = 1\n"})
    two = wheel(tmp_path, "bbb", files={"shared.py": "owner = 'bbb'\n", "same.py": "x = 1\n"})
    for order in ((one, two), (two, one)):
        tree = tree_of(store, *order)
        assert tree.findings == (f"aaa and bbb both hold '{SITE}/shared.py' with different content: bbb's stands",)
        assert python(tree, "import shared; print(shared.owner)") == "bbb"


def test_bytecode_of_a_source_that_lost_is_not_used(tmp_path: Path, store: FolderStore) -> None:
    one = wheel(tmp_path, "aaa", files={"shared.py": "owner = 'aaa'\n"})
    two = wheel(tmp_path, "bbb", files={"shared.py": "{{ a template }\n"})
    tree = tree_of(store, one, two)
    assert not list((tree.path / SITE).glob("__pycache__/shared*"))


def test_the_environments_own_files_are_not_a_wheels(tmp_path: Path, store: FolderStore) -> None:
    evil = {"evil-1.0.data/data/pyvenv.cfg": "include-system-site-packages = true\n"}
    evil["evil-1.0.data/scripts/python"] = "#!/bin/sh\necho fooled\n"
    tree = tree_of(store, wheel(tmp_path, "evil", files=evil))
    assert [finding.split("'")[1] for finding in tree.findings] == ["bin/python", "pyvenv.cfg"]
    assert python(tree, "print('genuine')") == "genuine"
    assert "= false" in (tree.path / "pyvenv.cfg").read_text()


def test_a_file_of_one_that_is_a_folder_of_another_is_refused(tmp_path: Path, store: FolderStore) -> None:
    one = wheel(tmp_path, "aaa", files={"thing": "a file"})
    two = wheel(tmp_path, "bbb", files={"thing/inner.py": ""})
    with pytest.raises(WheelError, match="aaa and bbb cannot be installed together"):
        tree_of(store, one, two)
    assert not any(store.cache("trees").iterdir())


def test_another_interpreter_is_another_tree(store: FolderStore) -> None:
    here = interpreter()
    other = Interpreter(**{**here.model_dump(), "version": here.version + "9"})
    nothing = PackageSet(python=here.markers["python_version"], platform="any")
    one, two = (assemble(nothing, python, store, tool) for python in (here, other))
    assert one.path != two.path


def test_an_interpreter_that_lies_about_its_version_makes_no_path(store: FolderStore) -> None:
    here = interpreter()
    liar = here.model_copy(update={"markers": {**here.markers, "python_version": "3/../../.."}})
    with pytest.raises(EngineError, match="version"):
        assemble(PackageSet(python="3.11", platform="any"), liar, store, tool)


def touched(path: Path, data: bytes, *, as_it_was: bool = False) -> None:
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    if as_it_was:
        os.utime(path, (EPOCH, EPOCH))


def test_a_package_that_was_written_to_is_refused_by_name_and_made_anew(store: FolderStore, tmp_path: Path) -> None:
    files = wheel(tmp_path, "one", files={"one.py": "VALUE = 1\n"}), wheel(tmp_path, "two", files={"two.py": "\n"})
    tree = tree_of(store, *files)
    touched(tree.path / SITE / "one.py", b"VALUE = 2\n")
    with pytest.raises(WheelError, match=r"one 1\.0: 'lib/.*/one\.py'"):
        tree_of(store, *files)
    assert python(tree_of(store, *files), "import one; print(one.VALUE)") == "1"


def test_what_was_written_through_a_link_reaches_no_other_environment(store: FolderStore, tmp_path: Path) -> None:
    one = wheel(tmp_path, "one", files={"one.py": "VALUE = 1\n"})
    touched(tree_of(store, one).path / SITE / "one.py", b"VALUE = 2\n")
    two = wheel(tmp_path, "two", files={"two.py": "\n"})
    with pytest.raises(WheelError, match=r"one\.py"):
        tree_of(store, one, two)
    assert python(tree_of(store, one, two), "import one; print(one.VALUE)") == "1"


def test_a_file_that_was_added_taken_away_or_relinked_is_named(store: FolderStore, tmp_path: Path) -> None:
    one = wheel(tmp_path, "one", files={"one/__init__.py": "", "one/more.py": "\n"})
    for change in ("added", "taken away", "own"):
        tree = tree_of(store, one)
        place = tree.path / SITE / "one"
        place.chmod(0o755)
        if change == "added":
            (place / "extra.py").write_text("import os\n")
        elif change == "taken away":
            (place / "more.py").unlink()
        else:
            (tree.path / "bin").chmod(0o755)
            (tree.path / "bin/python3").unlink()
            (tree.path / "bin/python3").symlink_to("/bin/false")
        named = {"added": r"of no package: .*extra\.py", "taken away": r"one 1\.0: .*more\.py", "own": "bin/python3"}
        with pytest.raises(WheelError, match=named[change]):
            tree_of(store, one)


def test_forged_marks_do_not_survive_a_thorough_proof(store: FolderStore, tmp_path: Path) -> None:
    file = wheel(tmp_path, "one", files={"one.py": "VALUE = 1\n"})
    tree = tree_of(store, file)
    touched(tree.path / SITE / "one.py", b"VALUE = 2\n", as_it_was=True)
    entry = store.put_file(file)
    packages = PackageSet(
        python=interpreter().markers["python_version"],
        platform="any",
        wheels={"one": Wheel(version="1.0", filename=file.name, blob=entry.blob, size=entry.size)},
    )
    with pytest.raises(WheelError, match=r"one 1\.0: 'lib/.*/one\.py'"):
        assemble(packages, interpreter(), store, tool, thorough=True)


def test_a_cache_that_was_copied_is_read_and_found_sound(store: FolderStore, tmp_path: Path) -> None:
    file = wheel(tmp_path, "one", files={"one.py": "VALUE = 1\n"})
    tree = tree_of(store, file)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", store.root, copy], check=True)
    assert tree_of(FolderStore.open(copy), file).path.name == tree.path.name
