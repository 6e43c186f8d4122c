"""Unpacking: what a wheel becomes, always the same bytes; what is refused before a byte is written."""

from __future__ import annotations

import base64
import csv
import hashlib
import stat
import subprocess
import threading
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from replay.engines.tool import output
from replay.environment.wheels import Unpacked, site_packages, unpack
from replay.errors import StoreError, WheelError
from replay.store.folder import FolderStore
from tests.environment.making import closure, interpreter, tool, wheel

SITE = site_packages(interpreter())


def unpacked(store: FolderStore, file: Path) -> Unpacked:
    (one,) = unpack(closure(store, file), interpreter(), store, tool).values()
    return one


def content(one: Unpacked) -> dict[str, bytes]:
    return {name: (one.prefix / name).read_bytes() for name in one.files}


def test_a_wheel_is_laid_out_as_an_environment(tmp_path: Path, store: FolderStore) -> None:
    file = wheel(
        tmp_path,
        "demo",
        files={
            "demo/__init__.py": "x = 1\n",
            "demo-1.0.data/data/share/demo/model.txt": "42",
            "demo-1.0.data/scripts/hello": "#!python\nprint('hello')\n",
            "demo-1.0.data/headers/demo.h": "",
            "demo-1.0.dist-info/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
        },
    )
    python = interpreter().markers["python_version"]
    one = unpacked(store, file)
    assert set(one.files) == {
        f"{SITE}/demo/__init__.py",
        f"{SITE}/demo/__pycache__/__init__.{interpreter().cache_tag}.pyc",
        *(f"{SITE}/demo-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")),
        f"{SITE}/demo-1.0.dist-info/entry_points.txt",
        "share/demo/model.txt",
        f"include/site/python{python}/demo/demo.h",
        "bin/hello",
        "bin/demo",
    }


def test_record_lists_every_file_with_its_hash(tmp_path: Path, store: FolderStore) -> None:
    scripts = {"demo-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = demo:main\n", "demo.py": "x = 1\n"}
    one = unpacked(store, wheel(tmp_path, "demo", files=scripts))
    site = one.prefix / SITE
    with (site / "demo-1.0.dist-info/RECORD").open(newline="") as file:
        rows = {name: hashed for name, hashed, _ in csv.reader(file)}
    assert {(site / name).resolve() for name in rows} == {(one.prefix / name).resolve() for name in one.files}
    for name, hashed in rows.items():
        if hashed:
            digest = hashlib.sha256((site / name).read_bytes()).digest()
            assert hashed == "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert [name for name, hashed in rows.items() if not hashed] == [
        f"__pycache__/demo.{interpreter().cache_tag}.pyc",
        "demo-1.0.dist-info/RECORD",
    ]
    assert Distribution.at(site / "demo-1.0.dist-info").metadata["Name"] == "demo"


def test_files_cannot_be_written_and_carry_one_time(tmp_path: Path, store: FolderStore) -> None:
    script = {"demo-1.0.data/scripts/hello": "#!python\n", "demo.py": "x = 1\n"}
    one = unpacked(store, wheel(tmp_path, "demo", files=script))
    status = {name: (one.prefix / name).stat() for name in one.files}
    assert {stat.S_IMODE(each.st_mode) for each in status.values()} == {0o444, 0o555}
    assert stat.S_IMODE(status["bin/hello"].st_mode) == 0o555
    assert len({each.st_mtime for each in status.values()}) == 1


def test_bytecode_is_unchecked_and_holds_no_path_of_this_machine(tmp_path: Path, store: FolderStore) -> None:
    one = unpacked(store, wheel(tmp_path, "demo", files={"demo/deep.py": "def f():\n    return {'a', 'b', 'c'}\n"}))
    data = (one.prefix / SITE / f"demo/__pycache__/deep.{interpreter().cache_tag}.pyc").read_bytes()
    assert data[:4].hex() == interpreter().magic
    assert int.from_bytes(data[4:8], "little") == 0b01  # PEP 552: hash-based, unchecked
    assert str(tmp_path).encode() not in data
    assert b"demo/deep.py" in data


def test_a_module_that_does_not_compile_stays_without_bytecode(tmp_path: Path, store: FolderStore) -> None:
    broken = {"demo/good.py": "x = 1\n", "demo/template.py": "{{ not python }\n", "demo/null.py": "x = '\0'\n"}
    one = unpacked(store, wheel(tmp_path, "demo", files=broken))
    assert [Path(name).name.split(".")[0] for name in one.files if name.endswith(".pyc")] == ["good"]


def test_the_same_bytes_in_any_store_and_any_company(tmp_path: Path) -> None:
    modules = {
        f"demo/m{n}.py": f"NAMES = frozenset(('a', 'b', 'c{n}'))\ndef f(a): return a in NAMES\n" for n in range(200)
    }
    demo = wheel(tmp_path, "demo", files=modules)
    other = wheel(tmp_path, "aaa", files={"aaa.py": "NAMES = ('demo', 'a', 'b', 'f', 'c1')\n"})
    alone, beside = FolderStore.open(tmp_path / "one"), FolderStore.open(tmp_path / "some/where/else")
    first = unpack(closure(alone, demo), interpreter(), alone, tool)["demo"]
    second = unpack(closure(beside, other, demo), interpreter(), beside, tool)["demo"]
    assert content(first) == content(second)
    assert len(first.files) == 2 * len(modules) + 4


def test_a_wheel_is_unpacked_once(tmp_path: Path, store: FolderStore) -> None:
    calls: list[str] = []

    def counting(script: str, folder: Path) -> str:
        calls.append(script)
        return tool(script, folder)

    one, two = wheel(tmp_path, "one", files={"one.py": ""}), wheel(tmp_path, "two", files={"two.py": ""})
    unpack(closure(store, one), interpreter(), store, counting)
    unpack(closure(store, one), interpreter(), store, counting)
    assert len(calls) == 1
    unpack(closure(store, one, two), interpreter(), store, counting)
    assert len(calls) == 2


def test_two_may_unpack_the_same_at_once(tmp_path: Path, store: FolderStore) -> None:
    packages = closure(store, wheel(tmp_path, "demo", files={"demo.py": "x = 1\n"}))
    both = threading.Barrier(2)
    results: list[Unpacked] = []

    def waiting(script: str, folder: Path) -> str:
        both.wait(60)
        return tool(script, folder)

    threads = [
        threading.Thread(target=lambda: results.append(unpack(packages, interpreter(), store, waiting)["demo"]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert content(results[0])


def linked(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("../outside.py", "leads out"),
        ("demo/../../outside.py", "leads out"),
        ("/etc/outside", "leads out"),
        ("demo\\..\\outside.py", "no plain path"),
        ("demo/new\nline.py", "no plain path"),
        (linked("demo/link"), "is a link"),
        ("demo/__init__.py", "occurs twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_no_plain_file_is_refused(
    tmp_path: Path, store: FolderStore, entry: str | zipfile.ZipInfo, fault: str
) -> None:
    evil = wheel(tmp_path, "evil", files={"demo/__init__.py": ""}, extra=((entry, b"/etc/passwd"),))
    with pytest.raises(WheelError, match=r"evil-1\.0") as caught:
        unpack(closure(store, evil), interpreter(), store, tool)
    assert fault in caught.value.cause
    assert not any(store.cache("unpacked").iterdir())
    assert not any("outside" in path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("scheme", ["scripts/../../../outside", "nonsense/file"])
def test_a_data_folder_leads_nowhere_else(tmp_path: Path, store: FolderStore, scheme: str) -> None:
    evil = wheel(tmp_path, "evil", extra=((f"evil-1.0.data/{scheme}", b""),))
    with pytest.raises(WheelError, match="evil"):
        unpack(closure(store, evil), interpreter(), store, tool)


def test_an_entry_point_leads_nowhere_else(tmp_path: Path, store: FolderStore) -> None:
    points = "[console_scripts]\n../../outside = demo:main\n"
    evil = wheel(tmp_path, "evil", files={"evil-1.0.dist-info/entry_points.txt": points})
    with pytest.raises(WheelError, match="evil"):
        unpack(closure(store, evil), interpreter(), store, tool)
    assert not any("outside" in path.name for path in tmp_path.rglob("*"))


def test_a_bomb_is_not_unpacked(tmp_path: Path, store: FolderStore) -> None:
    zeros = bytes(64 << 20)
    evil = wheel(tmp_path, "evil", extra=tuple((f"evil/{n}", zeros) for n in range(5)))
    with pytest.raises(WheelError) as caught:
        unpack(closure(store, evil), interpreter(), store, tool)
    assert "would unpack to" in caught.value.cause


@pytest.mark.parametrize("data", [b"", b"not a zip", None])
def test_what_is_no_archive_is_refused(tmp_path: Path, store: FolderStore, data: bytes | None) -> None:
    file = wheel(tmp_path, "evil", files={"evil.py": "x = 1\n" * 1000})
    file.write_bytes(file.read_bytes()[:-40] if data is None else data)
    with pytest.raises(WheelError, match=r"evil-1\.0"):
        unpack(closure(store, file), interpreter(), store, tool)


def test_a_wheel_without_its_papers_is_refused(tmp_path: Path, store: FolderStore) -> None:
    file = tmp_path / "bare-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as bare:
        bare.writestr("bare.py", "")
    with pytest.raises(WheelError, match="bare"):
        unpack(closure(store, file), interpreter(), store, tool)


def test_a_damaged_or_missing_blob_is_named(tmp_path: Path, store: FolderStore) -> None:
    packages = closure(store, wheel(tmp_path, "demo"))
    blob = store.path(packages.wheels["demo"].blob)
    blob.chmod(0o644)
    blob.write_bytes(b"PK other bytes")
    with pytest.raises(WheelError, match=r"demo-1\.0"):
        unpack(packages, interpreter(), store, tool)
    blob.unlink()
    with pytest.raises(WheelError, match=r"demo-1\.0"):
        unpack(packages, interpreter(), store, tool)


def test_a_disk_that_fills_while_bytecode_is_made_is_named_and_leaves_nothing(
    store: FolderStore, tmp_path: Path
) -> None:
    def bounded(script: str, folder: Path) -> str:
        command = ["prlimit", "--fsize=0", interpreter().executable, "-c", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return output("python", done.returncode, done.stdout, done.stderr)

    demo = wheel(tmp_path, "demo", files={"demo.py": "VALUE = 1\n"})
    with pytest.raises(StoreError, match="could not unpack wheels: File too large"):
        unpack(closure(store, demo), interpreter(), store, bounded)
    assert not list(store.cache("unpacked").iterdir())
    assert unpack(closure(store, demo), interpreter(), store, tool)
