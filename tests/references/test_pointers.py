"""Files kept by git-LFS and DVC: the pointer names the content, which is laid out where the job reads it.

Pointers, `.dvc` files and caches stand here as git-lfs 3.3 and dvc 3 write them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from replay.errors import InputError
from tests.references.conftest import Place

DECLARED = 'path = "data/customers.csv"\nkey = "id"'
REFERRED = f"{DECLARED}\ncopy = false"
OLD, NEW = b"id,x\n1,2\n", b"id,x\n1,3\n"


def git(place: Place, *words: str) -> None:
    subprocess.run(["git", "-C", str(place.root), *words], check=True, capture_output=True)


def pointed(place: Place, content: bytes, *, stored: bool = True) -> str:
    """Leave a git-LFS pointer in the working tree, as `git lfs` does without smudging; return the object's id."""
    oid = hashlib.sha256(content).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    (place.root / "data/customers.csv").write_text(text)
    if stored:
        write(place.root / f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", content)
    return oid


def write(file: Path, content: bytes) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def added(place: Place, content: bytes) -> str:
    """Leave a file as `dvc add` does: in the working tree, in the cache, and named by its `.dvc` file."""
    md5 = write(place.root / "data/customers.csv", content)
    write(place.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}", content)
    out = f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: customers.csv\n"
    (place.root / "data/customers.csv.dvc").write_text(out)
    return md5


def text(place: Place, state: str) -> bytes:
    return (place.lay(state) / "customers.csv").read_bytes()


def test_a_pointer_stands_for_its_object(place: Place) -> None:
    git(place, "init", "-q")
    oid = pointed(place, OLD)
    place.declare(REFERRED)
    state = place.bind()
    pointed(place, NEW)
    assert place.reference(state).identity == {"oid": oid}
    assert place.contract(state).rows == 1
    assert not place.copied(state)
    assert text(place, state) == OLD
    before, after = place.moved(state, place.bind())["data/customers"]
    assert before == f"git-lfs oid {oid[:12]}"
    assert after is not None
    assert after.startswith("git-lfs oid ")


def test_a_pointer_without_its_object_is_no_input(place: Place) -> None:
    git(place, "init", "-q")
    pointed(place, OLD, stored=False)
    place.declare(DECLARED)
    with pytest.raises(InputError, match="git lfs fetch"):
        place.bind()


def test_an_object_that_was_pruned_is_named(place: Place) -> None:
    git(place, "init", "-q")
    oid = pointed(place, OLD)
    place.declare(REFERRED)
    state = place.bind()
    place.remove(".git/lfs")
    assert f"no longer resolves: its object {oid[:12]} is not in this repository" in place.status(state)
    with pytest.raises(InputError, match=rf"git-lfs oid {oid[:12]}.*no longer resolves"):
        text(place, state)


def test_an_object_of_other_content_is_not_taken(place: Place) -> None:
    git(place, "init", "-q")
    oid = pointed(place, OLD)
    place.declare(REFERRED)
    state = place.bind()
    write(place.root / f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", NEW)
    with pytest.raises(InputError, match="no longer resolves"):
        text(place, state)


def test_a_checked_out_file_is_known_by_the_index(place: Place) -> None:
    git(place, "init", "-q")
    oid = pointed(place, OLD)
    git(place, "-c", "filter.lfs.process=", "-c", "filter.lfs.clean=cat", "add", "data/customers.csv")
    (place.root / "data/customers.csv").write_bytes(OLD)
    place.declare(REFERRED)
    assert place.reference(place.bind()).identity == {"oid": oid}
    (place.root / "data/customers.csv").write_bytes(NEW)
    place.declare(DECLARED)
    changed = place.bind()
    assert place.snapshot(changed).reference is None
    assert text(place, changed) == NEW


def test_a_dvc_file_is_pinned_by_its_md5_and_read_from_the_cache(place: Place) -> None:
    (place.root / ".dvc").mkdir()
    md5 = added(place, OLD)
    place.declare(REFERRED)
    state = place.bind()
    assert place.reference(state).identity == {"md5": md5}
    added(place, NEW)
    assert place.status(state).endswith(": resolves")
    assert text(place, state) == OLD
    place.remove(".dvc/cache")
    assert "neither checked out nor in DVC's cache" in place.status(state)
    with pytest.raises(InputError, match="`dvc fetch`"):
        text(place, state)


def test_a_file_changed_since_dvc_add_is_a_plain_file(place: Place) -> None:
    (place.root / ".dvc").mkdir()
    added(place, OLD)
    (place.root / "data/customers.csv").write_bytes(NEW)
    place.declare(DECLARED)
    state = place.bind()
    assert place.snapshot(state).reference is None
    assert text(place, state) == NEW
    place.declare(REFERRED)
    with pytest.raises(InputError, match="copy = false"):
        place.bind()


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_folder_of_dvc_is_its_listed_files(place: Place, checked_out: bool) -> None:
    (place.root / ".dvc").mkdir()
    content = {"a.csv": OLD, "sub/b c.csv": NEW}
    listed = []
    for path, data in content.items():
        md5 = hashlib.md5(data).hexdigest()
        write(place.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}", data)
        listed.append({"md5": md5, "relpath": path})
        if checked_out:
            write(place.root / "data/parts" / path, data)
    listing = json.dumps(listed).encode()
    md5 = hashlib.md5(listing).hexdigest()
    write(place.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}.dir", listing)
    (place.root / "data/parts.dvc").write_text(f"outs:\n- md5: {md5}.dir\n  size: 16\n  nfiles: 2\n  path: parts\n")
    place.declare('path = "data/parts"\ncopy = false')
    laid = place.lay(place.bind()) / "parts"
    assert {path: (laid / path).read_bytes() for path in content} == content


def test_a_list_that_leads_out_of_the_folder_is_refused(place: Place) -> None:
    (place.root / ".dvc").mkdir()
    listing = json.dumps([{"md5": "0" * 32, "relpath": "../../secret"}]).encode()
    md5 = hashlib.md5(listing).hexdigest()
    write(place.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}.dir", listing)
    (place.root / "data/parts.dvc").write_text(f"outs:\n- md5: {md5}.dir\n  path: parts\n")
    place.declare('path = "data/parts"')
    with pytest.raises(InputError, match="outside"):
        place.bind()
