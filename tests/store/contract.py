"""What every store promises. A test class inherits this and brings two fixtures, `store` and `spoil`."""

from __future__ import annotations

import itertools
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.digest import of_bytes, short
from replay.errors import CorruptBlob, InputError, NotFound, StoreError
from replay.state import ReleaseState
from replay.store.base import BlobRef, Resolved, Store
from tests.store.samples import add_runs, add_state, record

NOWHERE = of_bytes(b"never kept")
HOSTILE = [
    "",
    " ",
    "../x",
    "a/b",
    "a\nb",
    "last",
    "last~1",
    "-x",
    ".x",
    "a..b",
    "x" * 129,
    "ä",
    "a\x00b",
    "sha256:ab",
    "0" * 64,
]


class StoreContract:
    @pytest.fixture
    def store(self) -> Store:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def spoil(self, store: Store) -> Callable[[str, bytes], None]:
        """Put other bytes under a digest, behind the store's back."""
        raise NotImplementedError

    # -- blobs

    @pytest.mark.parametrize("data", [b"", b"scores", b"\x00\xff" * 1_500_000])
    def test_a_blob_comes_back_by_its_digest(self, store: Store, data: bytes) -> None:
        entry = store.put(data)
        assert (entry.blob, entry.size, entry.executable) == (of_bytes(data), len(data), False)
        assert store.has(entry.blob)
        assert store.get(entry.blob) == data
        assert store.path(entry.blob).read_bytes() == data

    def test_keeping_a_blob_twice_is_keeping_it_once(self, store: Store) -> None:
        assert store.put(b"same") == store.put(b"same")

    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_a_file_is_kept_with_its_execute_bit(self, store: Store, tmp_path: Path, size: int) -> None:
        source = tmp_path / "score.sh"
        source.write_bytes(os.urandom(size))
        source.chmod(0o755)
        entry = store.put_file(source)
        assert entry.executable
        assert store.get(entry.blob) == source.read_bytes()
        source.chmod(0o644)
        assert store.put_file(source) == entry.model_copy(update={"executable": False})

    def test_many_files_are_kept_at_once(self, store: Store, tmp_path: Path) -> None:
        sources = [*small_files(tmp_path, 200), grown(tmp_path, 9_000_000)[0]]
        sources[3].chmod(0o755)
        entries = store.put_files([*sources, sources[0]])
        assert [entry.executable for entry in entries] == [number == 3 for number in range(202)]
        for source, entry in zip([*sources, sources[0]], entries, strict=True):
            content = source.read_bytes()
            assert (entry.blob, entry.size) == (of_bytes(content), len(content))
            assert store.has(entry.blob)
            assert store.get(entry.blob) == store.path(entry.blob).read_bytes() == content
        info = store.path(entries[7].blob).stat()
        assert (stat.S_IMODE(info.st_mode), info.st_mtime) == (0o444, 315_532_800)
        assert store.put_files(sources) == entries[:-1]
        assert store.put_files([]) == []
        assert store.fsck() == []

    def test_a_state_may_rest_on_files_kept_together(self, store: Store, tmp_path: Path) -> None:
        entries = store.put_files(small_files(tmp_path, 200))
        blobs = [BlobRef(entry.blob, entry.size, "text/plain", str(number)) for number, entry in enumerate(entries)]
        state = ReleaseState(job="images", outputs={}, layers={})
        assert store.add_state(state, blobs) == state.id
        assert store.fsck() == []

    def test_one_file_of_many_that_cannot_be_read_is_an_input_error(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"missing\.csv"):
            store.put_files([*small_files(tmp_path, 100), tmp_path / "missing.csv"])
        assert store.fsck() == []

    def test_a_file_that_grew_is_another_blob(self, store: Store, tmp_path: Path) -> None:
        entries = [store.put_file(file) for file in grown(tmp_path, 12_000_000)]
        for file, entry in zip(grown(tmp_path, 12_000_000), entries, strict=True):
            assert store.get(entry.blob) == store.path(entry.blob).read_bytes() == file.read_bytes()
            assert entry.blob == of_bytes(file.read_bytes())
        assert len({entry.blob for entry in entries}) == 2
        assert store.fsck() == []

    def test_what_is_lent_is_found_and_no_state_may_rest_on_it(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "lent").write_bytes(b"lent")
        entry = store.lend(tmp_path / "lent")
        assert store.get(entry.blob) == store.path(entry.blob).read_bytes() == b"lent"
        assert (store.holds(entry.blob), store.has(entry.blob)) == (True, False)
        state = store.state(add_state(store))
        with pytest.raises(NotFound):
            store.add_state(state, [BlobRef(entry.blob, entry.size, "text/plain", "lent")])
        assert store.fsck() == []
        assert store.put(b"lent").blob == entry.blob
        assert store.has(entry.blob)

    def test_a_path_is_read_only_and_the_same_everywhere(self, store: Store) -> None:
        info = store.path(store.put(b"wheel").blob).stat()
        assert stat.S_IMODE(info.st_mode) == 0o444
        assert info.st_mtime == 315_532_800

    def test_a_file_that_cannot_be_read_is_an_input_error(self, store: Store, tmp_path: Path) -> None:
        for path in (tmp_path / "missing.csv", tmp_path):
            with pytest.raises(InputError):
                store.put_file(path)

    @pytest.mark.parametrize("digest", [NOWHERE, "", "sha256:", "sha256:../../etc/passwd", "md5:00", "a\nb"])
    def test_a_blob_that_is_not_there(self, store: Store, digest: str) -> None:
        assert not store.has(digest)
        for read in (store.get, store.path, store.run, store.state):
            with pytest.raises(NotFound):
                read(digest)

    def test_a_corrupt_blob_is_never_handed_out(self, store: Store, spoil: Callable[[str, bytes], None]) -> None:
        digest = store.put(b"weights").blob
        spoil(digest, b"weight5")
        for read in (store.get, store.path):
            with pytest.raises(CorruptBlob, match=digest):
                read(digest)
        assert any(digest in finding.what and finding.fatal for finding in store.fsck())

    # -- states and runs

    def test_a_state_comes_back_by_its_id(self, store: Store) -> None:
        state_id = add_state(store)
        assert store.state(state_id).id == state_id
        assert add_state(store) == state_id

    def test_a_state_without_layers_is_a_state(self, store: Store) -> None:
        state = ReleaseState(job="empty", outputs={}, layers={})
        assert store.state(store.add_state(state, [])) == state
        assert store.fsck() == []

    def test_a_state_is_refused_while_its_blobs_are_missing(self, store: Store) -> None:
        bare = ReleaseState(job="churn", outputs={}, layers={})
        with pytest.raises(NotFound, match="weights"):
            store.add_state(bare, [BlobRef(NOWHERE, 3, "text/plain", "weights")])
        with pytest.raises(NotFound, match="layer model"):
            store.add_state(ReleaseState(job="churn", outputs={}, layers={"model": NOWHERE}), [])
        with pytest.raises(NotFound, match="bytes long"):
            store.add_state(bare, [BlobRef(store.put(b"four").blob, 5, "text/plain", "weights")])
        with pytest.raises(NotFound):
            store.state(bare.id)

    def test_a_run_comes_back_by_its_id(self, store: Store) -> None:
        wanted = record(store, add_state(store), 1)
        assert store.run(store.add_run(wanted)) == wanted

    def test_the_log_lists_runs_oldest_first(self, store: Store) -> None:
        ids = add_runs(store, add_state(store), 5)
        assert [entry.run for entry in store.runs()] == ids
        assert store.runs()[0].started == "2024-10-01T00:00:00Z"

    def test_recording_the_same_run_twice_lists_it_once(self, store: Store) -> None:
        run = record(store, add_state(store), 1)
        assert store.add_run(run) == store.add_run(run)
        assert len(store.runs()) == 1

    def test_a_run_is_refused_while_its_state_or_outputs_are_missing(self, store: Store) -> None:
        sound = record(store, add_state(store), 1)
        for field in ("state", "log"):
            with pytest.raises(NotFound):
                store.add_run(sound.model_copy(update={field: NOWHERE}))
        assert store.runs() == []

    def test_the_id_of_another_thing_is_not_a_state_or_run(self, store: Store) -> None:
        state_id = add_state(store)
        (run_id,) = add_runs(store, state_id, 1)
        with pytest.raises(NotFound):
            store.state(run_id)
        with pytest.raises(StoreError, match="no run record"):
            store.run(state_id)

    # -- tags and references

    def test_a_tag_points_where_it_was_last_put(self, store: Store) -> None:
        state = add_state(store)
        first, second = add_runs(store, state, 2)
        store.tag("prod", Resolved(state, first))
        store.tag("prod", Resolved(state, second))
        store.tag("2024.10", Resolved(state, None))
        assert store.tags() == {"2024.10": Resolved(state, None), "prod": Resolved(state, second)}
        assert store.resolve("prod") == Resolved(state, second)
        assert store.resolve("2024.10") == Resolved(state, None)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_bad_tag_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(StoreError, match="cannot be a tag"):
            store.tag(name, Resolved(add_state(store), None))
        assert store.tags() == {}

    def test_a_tag_needs_a_target_that_exists_and_fits(self, store: Store) -> None:
        state, other = add_state(store), add_state(store, "other")
        (run,) = add_runs(store, state, 1)
        for target in (Resolved(NOWHERE, None), Resolved(state, NOWHERE)):
            with pytest.raises(NotFound):
                store.tag("prod", target)
        with pytest.raises(StoreError, match="not a run of"):
            store.tag("prod", Resolved(other, run))
        assert store.tags() == {}

    def test_last_counts_only_runs_of_the_user(self, store: Store) -> None:
        state = add_state(store)
        first, second = add_runs(store, state, 2)
        store.add_run(record(store, state, 7, reason="rerun"))
        store.add_run(record(store, state, 8, reason="probe"))
        assert store.resolve("last").run == second
        assert store.resolve("last~0").run == second
        assert store.resolve("last~1").run == first
        with pytest.raises(NotFound, match="last~2"):
            store.resolve("last~2")

    def test_ids_and_unique_prefixes_resolve(self, store: Store) -> None:
        state = add_state(store)
        (run,) = add_runs(store, state, 1)
        for name, wanted in ((run, Resolved(state, run)), (state, Resolved(state, None))):
            for ref in (name, name[:27], name[7:], name[7:27], name[7:27].upper()):
                assert store.resolve(ref) == wanted

    def test_an_ambiguous_prefix_names_the_candidates(self, store: Store) -> None:
        shared, alike = two_states_whose_ids_begin_alike()
        for state in alike:
            store.add_state(state, [])
        with pytest.raises(NotFound, match="ambiguous") as caught:
            store.resolve(shared)
        assert all(short(state.id) in caught.value.what for state in alike)

    def test_a_misspelt_tag_is_suggested(self, store: Store) -> None:
        store.tag("production", Resolved(add_state(store), None))
        with pytest.raises(NotFound) as caught:
            store.resolve("prodution")
        assert "production" in caught.value.do

    @pytest.mark.parametrize("ref", [*HOSTILE, "abc", "last~-1", "last~" + "9" * 5000, "x" * 100_000, "last\n"])
    def test_a_ref_that_names_nothing(self, store: Store, ref: str) -> None:
        with pytest.raises(NotFound) as caught:
            store.resolve(ref)
        assert "\n" not in caught.value.what
        assert len(caught.value.what) < 400

    # -- work in progress

    def test_scratch_is_new_each_time_and_writable(self, store: Store) -> None:
        first, second = store.scratch("rerun"), store.scratch("rerun")
        assert first != second
        (first / "out.csv").write_text("1")
        assert list(second.iterdir()) == []

    def test_a_cache_is_one_folder_a_kind(self, store: Store) -> None:
        (store.cache("trees") / "x").write_text("1")
        assert (store.cache("trees") / "x").read_text() == "1"
        assert list(store.cache("wheels").iterdir()) == []

    @pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc"])
    def test_a_folder_stays_inside_the_store(self, store: Store, name: str) -> None:
        for make in (store.scratch, store.cache):
            with pytest.raises(ValueError, match="folder"):
                make(name)

    # -- what nothing needs

    def test_what_nothing_needs_is_collected(self, store: Store, tmp_path: Path) -> None:
        state = add_state(store)
        (run,) = add_runs(store, state, 1)
        alike = os.urandom(24 << 20)  # files that share most of their bytes are not kept in one another's debt
        files = [tmp_path / "a", tmp_path / "b"]
        for number, file in enumerate(files):
            file.write_bytes(alike + bytes([number]) * 1000)
        garbage, wanted = map(store.put_file, files)
        ref = BlobRef(wanted.blob, wanted.size, "application/octet-stream", "weights")
        large = store.add_state(ReleaseState(job="large", outputs={}, layers={}), [ref])
        would = store.collect(dry_run=True)
        assert store.has(garbage.blob)
        done = store.collect()
        assert done == would
        assert (done.runs, done.states) == ((), ())
        assert not store.has(garbage.blob) or done.blobs == 0
        assert store.get(wanted.blob) == files[1].read_bytes()
        assert (store.state(state).id, store.run(run).id, store.state(large).id) == (state, run, large)
        assert store.fsck() == []
        assert store.collect().blobs == 0

    def test_a_run_that_is_dropped_takes_its_state_along(self, store: Store) -> None:
        first, second, third = (add_state(store, job) for job in ("churn", "fraud", "price"))
        (gone,), (tagged,), (kept,) = (add_runs(store, state, 1, n) for n, state in enumerate((first, second, third)))
        store.tag("prod", Resolved(second, tagged))
        log = store.run(gone).log
        done = store.collect({gone, tagged})
        assert (done.runs, done.states) == ((gone,), (first,))
        assert [entry.run for entry in store.runs()] == [tagged, kept]
        assert not store.has(log)
        for read, digest in ((store.state, first), (store.run, gone)):
            with pytest.raises(NotFound):
                read(digest)
        assert store.resolve("prod") == Resolved(second, tagged)
        assert store.fsck() == []
        assert add_state(store) == first  # it can come back

    def test_a_state_without_a_run_stays_until_runs_are_dropped(self, store: Store) -> None:
        bare, named = add_state(store), add_state(store, "named")
        store.tag("named", Resolved(named, None))
        assert store.collect().states == ()
        assert store.collect(()).states == (bare,)
        assert store.state(named).id == named
        assert store.fsck() == []

    def test_caches_go_when_asked(self, store: Store) -> None:
        (store.cache("trees") / "x").write_text("12345")
        assert store.collect().cache_bytes == 0
        assert store.collect(caches=True).cache_bytes == 5
        assert list(store.cache("trees").iterdir()) == []

    def test_a_pulled_run_says_where_it_is_from_and_is_not_the_last(self, store: Store) -> None:
        state = add_state(store)
        (own,) = add_runs(store, state, 1)
        pulled = store.add_run(record(store, state, 9), origin="registry.example.org/churn:prod")
        assert [entry.origin for entry in store.runs()] == ["", "registry.example.org/churn:prod"]
        assert store.resolve("last").run == own
        assert store.resolve(pulled).run == pulled
        assert store.fsck() == []

    def test_a_used_store_is_sound(self, store: Store) -> None:
        assert store.fsck() == []
        state = add_state(store)
        runs = add_runs(store, state, 3)
        store.tag("prod", Resolved(state, runs[0]))
        store.put(b"nothing refers to this")
        store.scratch("work")
        assert store.fsck() == []


def small_files(folder: Path, count: int) -> list[Path]:
    """Make files of a few hundred bytes, some of them alike, one empty."""
    files = [folder / f"{number}.txt" for number in range(count)]
    for number, file in enumerate(files):
        file.write_text(f"{number // 2}\n" * number)
    return files


def grown(folder: Path, size: int) -> tuple[Path, Path]:
    """Make a file of `size` bytes, and one to which 1 % was added."""
    content = random.Random(5).randbytes(size + size // 100)
    before, after = folder / "before.bin", folder / "after.bin"
    before.write_bytes(content[:size])
    after.write_bytes(content)
    return before, after


def two_states_whose_ids_begin_alike() -> tuple[str, tuple[ReleaseState, ReleaseState]]:
    """Return four hex digits and two states whose ids begin with them."""
    seen: dict[str, ReleaseState] = {}
    for number in itertools.count():
        state = ReleaseState(job=f"job {number}", outputs={}, layers={})
        digits = state.id[7:11]
        if digits in seen:
            return digits, (seen[digits], state)
        seen[digits] = state
    raise AssertionError("unreachable")
