"""The folder store: the contract, and what only files can suffer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.digest import of_bytes
from replay.errors import CorruptBlob, InputError, NotFound, StoreError
from replay.store.base import Resolved
from replay.store.folder import FolderStore
from tests.store.contract import StoreContract
from tests.store.samples import add_runs, add_state, record


def overwrite(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)


class TestFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        return FolderStore.open(tmp_path / ".replay")

    @pytest.fixture
    def spoil(self, store: FolderStore) -> Callable[[str, bytes], None]:
        return lambda digest, data: overwrite(blob_file(store, digest), data)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / ".replay")


def blob_file(store: FolderStore, digest: str) -> Path:
    return store.root / "blobs/sha256" / digest.removeprefix("sha256:")


# -- opening


def test_what_one_process_wrote_the_next_reads(store: FolderStore) -> None:
    state = add_state(store)
    runs = add_runs(store, state, 2)
    store.tag("prod", Resolved(state, runs[0]))
    again = FolderStore.open(store.root, create=False)
    assert [entry.run for entry in again.runs()] == runs
    assert again.resolve("prod") == Resolved(state, runs[0])


def test_each_kind_of_write_can_be_the_first_of_a_process(store: FolderStore) -> None:
    state = add_state(store)
    new = record(store, state, 1)
    FolderStore.open(store.root).tag("prod", Resolved(state, None))
    FolderStore.open(store.root).add_run(new)
    FolderStore.open(store.root).scratch("rerun")
    assert store.resolve("last") == Resolved(state, new.id)
    assert store.resolve("prod") == Resolved(state, None)


def test_no_store_is_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        FolderStore.open(tmp_path / ".replay", create=False)
    assert not (tmp_path / ".replay").exists()


def test_another_folder_is_not_taken_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear to somebody")
    with pytest.raises(StoreError, match="is not a store"):
        FolderStore.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".replay").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        FolderStore.open(tmp_path / ".replay")


@pytest.mark.parametrize(
    ("marker", "advice"),
    [
        ('{"format":"replay.store/2"}', "update Replay"),
        ("{", "restore"),
        ("[]", "restore"),
        ('{"format":7}', "restore"),
    ],
)
def test_a_store_of_another_format_is_left_alone(store: FolderStore, marker: str, advice: str) -> None:
    (store.root / "store.json").write_text(marker)
    with pytest.raises(StoreError) as caught:
        FolderStore.open(store.root)
    assert advice in caught.value.do
    assert (store.root / "store.json").read_text() == marker


@pytest.mark.parametrize(
    "lost", [("store.json",), ("store.json", "index.json"), ("store.json", "runs.jsonl", "oci-layout")]
)
def test_a_store_whose_making_was_cut_short_is_finished(store: FolderStore, lost: tuple[str, ...]) -> None:
    for name in lost:
        (store.root / name).unlink()
    (store.root / "tmp/create").write_bytes(b"{")
    again = FolderStore.open(store.root)
    assert again.fsck() == []
    assert again.runs() == []


# -- blobs


def test_a_truncated_blob_is_written_again_when_it_is_kept_again(store: FolderStore, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    digest = store.put(data).blob
    overwrite(blob_file(store, digest), data[:1000])
    with pytest.raises(CorruptBlob):
        store.get(digest)
    (tmp_path / "source").write_bytes(data)
    store.put_file(tmp_path / "source")
    assert store.get(digest) == data
    assert store.fsck() == []


def test_what_to_do_about_a_corrupt_blob_works(store: FolderStore) -> None:
    digest = store.put(b"weights").blob
    overwrite(blob_file(store, digest), b"weight5")
    with pytest.raises(CorruptBlob) as caught:
        store.get(digest)
    assert str(blob_file(store, digest)) in caught.value.do
    blob_file(store, digest).unlink()
    store.put(b"weights")
    assert store.get(digest) == b"weights"


def test_a_blob_changed_after_it_was_verified_is_noticed(store: FolderStore) -> None:
    digest = store.put(b"weights").blob
    times = store.path(digest).stat()
    overwrite(blob_file(store, digest), b"weight5")
    os.utime(blob_file(store, digest), ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(CorruptBlob):
        store.path(digest)


def test_a_link_in_a_blobs_place_is_no_blob(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    blob_file(store, of_bytes(b"secret")).symlink_to(tmp_path / "secret")
    assert not store.has(of_bytes(b"secret"))
    with pytest.raises(NotFound):
        store.get(of_bytes(b"secret"))
    store.put(b"secret")
    assert not blob_file(store, of_bytes(b"secret")).is_symlink()


def test_a_pipe_is_refused_without_waiting_for_it(store: FolderStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a file"):
        store.put_file(tmp_path / "pipe")


def test_a_file_that_grows_while_it_is_read_is_noticed(store: FolderStore, tmp_path: Path) -> None:
    source = tmp_path / "growing.csv"
    source.write_bytes(bytes(20_000_000))
    code = "import sys\nfile = open(sys.argv[1], 'ab', 0)\nprint(flush=True)\nwhile True: file.write(b'x')"
    with subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(InputError, match="changed while"):
                store.put_file(source)
        finally:
            writer.kill()
    assert store.fsck() == []
    assert list((store.root / "blobs/sha256").iterdir()) == []


# -- the log and the tags


def test_a_line_that_was_not_finished_is_passed_over_and_removed(store: FolderStore) -> None:
    state = add_state(store)
    runs = add_runs(store, state, 3)
    log = store.root / "runs.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert [entry.run for entry in store.runs()] == runs[:2]
    assert store.resolve("last").run == runs[1]
    assert [finding.fatal for finding in store.fsck()] == [False]
    (added,) = add_runs(store, state, 1, first=9)
    assert [entry.run for entry in store.runs()] == [*runs[:2], added]
    assert store.fsck() == []


def test_opening_removes_a_line_that_was_not_finished(store: FolderStore) -> None:
    add_runs(store, add_state(store), 1)
    log = store.root / "runs.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"run":')
    FolderStore.open(store.root)
    assert log.read_bytes() == whole


def test_last_is_found_from_the_end_of_a_long_log(store: FolderStore) -> None:
    state = add_state(store)
    ids = add_runs(store, state, 3)
    log = store.root / "runs.jsonl"
    first, second, third = log.read_bytes().splitlines(keepends=True)
    other = second.replace(b'"reason":"run"', b'"reason":"probe"')
    log.write_bytes(first + b"not JSON\n" + second + other * 2000 + third + other * 2000)
    assert store.resolve("last").run == ids[2]
    assert store.resolve("last~1").run == ids[1]
    with pytest.raises(StoreError, match="not JSON"):
        store.runs()
    assert any("line 2 of the run log" in finding.what and finding.fatal for finding in store.fsck())


def test_a_truncated_index_takes_only_the_tags(store: FolderStore) -> None:
    state = add_state(store)
    (run,) = add_runs(store, state, 1)
    store.tag("prod", Resolved(state, run))
    index = store.root / "index.json"
    index.write_bytes(index.read_bytes()[:40])
    for use in (store.tags, lambda: store.resolve("prod"), lambda: store.tag("next", Resolved(state, run))):
        with pytest.raises(StoreError, match=r"index\.json"):
            use()
    assert store.resolve("last").run == run
    assert store.run(run).state == state
    assert any("index.json" in finding.what and finding.fatal for finding in store.fsck())
    index.write_text('{"schemaVersion":2,"manifests":[]}')
    store.tag("prod", Resolved(state, run))
    assert store.resolve("prod").run == run


@pytest.mark.parametrize("gone", ["run", "state", "layer", "manifest", "output"])
def test_fsck_names_what_was_lost(store: FolderStore, gone: str) -> None:
    state = add_state(store)
    (run,) = add_runs(store, state, 1)
    store.tag("prod", Resolved(state, run))
    manifest = json.loads((store.root / "index.json").read_text())["manifests"][0]["digest"]
    output = store.run(run).outputs["scores"].files["out.csv"].blob
    layer = store.state(state).layers["model"]
    lost = {"run": run, "state": state, "layer": layer, "manifest": manifest, "output": output}[gone]
    blob_file(store, lost).unlink()
    findings = store.fsck()
    assert findings
    assert any(lost in finding.what and finding.fatal for finding in findings)


# -- an OCI image layout


def test_every_descriptor_is_right(store: FolderStore) -> None:
    """As a registry client walks it: index, manifests, config and layers, each with its size and digest."""
    states = [add_state(store, job) for job in ("churn", "fraud")]
    for number, state in enumerate(states):
        store.tag(f"v{number}", Resolved(state, add_runs(store, state, 1, first=number)[0]))
    assert json.loads((store.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.root / "index.json").read_text())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    assert [d["annotations"]["org.opencontainers.image.ref.name"] for d in index["manifests"]] == ["v0", "v1"]
    for descriptor, state in zip(index["manifests"], states, strict=True):
        manifest = json.loads(checked(store, descriptor))
        assert manifest["schemaVersion"] == 2
        assert manifest["mediaType"] == descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert manifest["artifactType"] == descriptor["artifactType"] == "application/vnd.replay.state.v1"
        assert manifest["config"]["digest"] == state
        assert len(manifest["layers"]) == 6
        for part in (manifest["config"], *manifest["layers"]):
            checked(store, part)


def test_the_layout_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    layouts = []
    for name in ("a", "b"):
        store = FolderStore.open(tmp_path / name)
        state = add_state(store)
        store.tag("prod", Resolved(state, add_runs(store, state, 1)[0]))
        files = (path for path in store.root.rglob("*") if path.is_file() and "tmp" not in path.parts)
        layouts.append({path.relative_to(store.root): path.read_bytes() for path in files})
    assert layouts[0] == layouts[1]


def checked(store: FolderStore, descriptor: dict[str, object]) -> bytes:
    data = blob_file(store, str(descriptor["digest"])).read_bytes()
    assert (len(data), of_bytes(data)) == (descriptor["size"], descriptor["digest"])
    return data
