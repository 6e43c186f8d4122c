"""Which states there are, under which manifest, and which tags point at them: `states/` and `index.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from replay.errors import StoreError
from replay.store.documents import no_state
from replay.store.files import locked, storing, sync_folder, write_whole
from replay.store.oci import Descriptor, Index
from replay.store.refs import DIGEST, shown
from replay.store.work import Work


class Catalogue:
    """The references to manifests. `states/<hex of the state's id>` holds the descriptor of its manifest."""

    def __init__(self, folder: Path, lock: Path, work: Work) -> None:
        self.states = folder / "states"
        self.index_file = folder / "index.json"
        self._lock = lock
        self._work = work

    def add(self, state_id: str, manifest: Descriptor) -> None:
        """Record the manifest of a state. Raises StoreError."""
        data = manifest.encode()
        with storing("record a state"):
            file = self._file(state_id)
            if not file.exists() or file.read_bytes() != data:
                write_whole(file, data, self._work.temporary())

    def manifest(self, state_id: str) -> Descriptor:
        """Return where a state's manifest is. Raises NotFound, StoreError."""
        file = self._file(state_id)
        if not DIGEST.fullmatch(state_id) or not file.is_file():
            raise no_state(state_id)
        with storing("read a state"):
            data = file.read_bytes()
        try:
            return Descriptor.decode(data)
        except ValidationError as error:
            raise StoreError(
                f"{shown(file, 400)} cannot be read: it is no descriptor of a manifest",
                cause="the disk damaged it, or something else wrote into the store",
                do="remove the file and bind the job again: the same state gets its entry back",
            ) from error

    def ids(self) -> Iterator[str]:
        """Yield the ids of all states, in no order. Raises StoreError."""
        with storing("list the states"):
            names = [path.name for path in self.states.iterdir()]
        yield from filter(DIGEST.fullmatch, (f"sha256:{name}" for name in names))

    def remove(self, state_ids: Iterable[str]) -> None:
        """Forget states, durably; the caller knows that nothing points at them. Raises OSError."""
        for state_id in state_ids:
            self._file(state_id).unlink(missing_ok=True)
        sync_folder(self.states)

    def tags(self) -> dict[str, Descriptor]:
        """Return each tag's descriptor (annotated with the run, where the tag is a run's). Raises StoreError."""
        with storing("read the tags"):
            data = self.index_file.read_bytes()
        try:
            return Index.decode(data).tags()
        except ValidationError as error:
            raise StoreError(
                f"{shown(self.index_file, 400)} cannot be read: it is no OCI image index",
                cause="the disk damaged it, or something else wrote into the store",
                do='restore it from a copy; or write {"schemaVersion":2,"manifests":[]} into it and tag again: '
                "states and runs are untouched and `replay log` lists them",
            ) from error

    def point(self, tag: str, manifest: Descriptor, run: str | None) -> None:
        """Point a tag at a manifest (and a run), replacing what it pointed at. Raises StoreError."""
        with storing("write a tag"):
            temporary = self._work.temporary()  # before the lock, which it may need itself
            with locked(self._lock):
                index = Index(manifests=tuple(self.tags().values())).pointing(tag, manifest, run)
                write_whole(self.index_file, index.encode(), temporary)

    def _file(self, state_id: str) -> Path:
        return self.states / state_id.removeprefix("sha256:")
