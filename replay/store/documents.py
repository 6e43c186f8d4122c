"""The documents a store keeps: read back with care, and what each of them needs to be there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from replay.errors import NotFound, StoreError
from replay.record import RUN_FORMAT, RunRecord
from replay.state import STATE_FORMAT, ReleaseState
from replay.store.base import BlobRef, RunEntry
from replay.store.oci import TITLE, Manifest
from replay.store.refs import shown

D = TypeVar("D", ReleaseState, RunRecord, Manifest)

SizeOf = Callable[[str], int | None]
"""Tells a blob's size in bytes by its digest, None where it is not kept."""


class Need(NamedTuple):
    """A blob that a document refers to: what for, and its size in bytes where the document says it."""

    digest: str
    purpose: str
    size: int | None = None


def read_state(state_id: str, data: bytes) -> ReleaseState:
    """Return the state in a verified blob. Raises StoreError where it is none, or of a newer format."""
    state = _read(ReleaseState, "Release State", state_id, data)
    _check_format(state.format, STATE_FORMAT, state_id)
    return state


def read_run(run_id: str, data: bytes) -> RunRecord:
    """Return the run record in a verified blob. Raises StoreError where it is none, or of a newer format."""
    record = _read(RunRecord, "run record", run_id, data)
    _check_format(record.format, RUN_FORMAT, run_id)
    return record


def read_manifest(digest: str, data: bytes) -> Manifest:
    """Return the manifest in a verified blob. Raises StoreError where it is not the manifest of a state."""
    return _read(Manifest, "manifest of a Release State", digest, data)


def line_of(record: RunRecord, origin: str = "") -> RunEntry:
    """Return the line of the run log for a record."""
    return RunEntry(
        run=record.id,
        state=record.state,
        job=record.job,
        reason=record.reason,
        started=record.started,
        exit_code=record.exit_code,
        engine=record.engine.name,
        origin=origin,
    )


def needs_of_state(state: ReleaseState, blobs: Iterable[BlobRef] = ()) -> Iterator[Need]:
    """Yield what a state needs: its layers, and the blobs these refer to."""
    yield from (Need(digest, f"layer {name}") for name, digest in state.layers.items())
    yield from (Need(ref.digest, ref.title, ref.size) for ref in blobs)


def needs_of_manifest(manifest: Manifest) -> Iterator[Need]:
    """Yield what a manifest refers to."""
    for part in (manifest.config, *manifest.layers):
        yield Need(part.digest, part.annotation(TITLE) or part.media_type, part.size)


def needs_of_run(record: RunRecord) -> Iterator[Need]:
    """Yield what a run record refers to: its log, the files of its outputs and what its image holds."""
    yield Need(record.log, "the run's log")
    for name, output in record.outputs.items():
        for path, file in output.files.items():
            yield Need(file.blob, f"{path} of output {name}", file.size)
    for layer in record.image.layers if record.image else ():
        yield Need(layer.listing, f"the files of the image's layer {layer.title}")


def lacking(needs: Iterable[Need], size_of: SizeOf) -> Iterator[str]:
    """Yield a sentence for every need that is not met."""
    for need in needs:
        found = size_of(need.digest)
        blob = f"blob {shown(need.digest)} ({shown(need.purpose)})"
        if found is None:
            yield f"{blob} is not in the store"
        elif need.size not in (None, found):
            yield f"{blob} is {found} bytes long, not {need.size}"


def require(owner: str, needs: Iterable[Need], size_of: SizeOf) -> None:
    """Raise NotFound where one of `needs` is not met."""
    for problem in lacking(needs, size_of):
        raise NotFound(
            f"{shown(owner)} refers to something the store does not hold: {problem}",
            cause="it was never kept here, or it was damaged or removed since",
            do="keep it first; `replay fsck` tells what else is missing",
        )


def check_run_of(state_id: str, run_id: str, record: RunRecord) -> None:
    """Raise StoreError where a record is not a run of the state."""
    if record.state != state_id:
        raise StoreError(
            f"run {run_id} is not a run of state {state_id}",
            cause="the run and the state come from different places",
            do="resolve the run's id and use what that gives",
        )


def no_blob(digest: str) -> NotFound:
    """Return the error for a blob that is not there."""
    return NotFound(
        f"blob {shown(digest)} is not in the store",
        cause="it was never kept here, or it was removed",
        do="`replay fsck` lists everything that is missing; a copy of the store, or repeating the run, brings it back",
    )


def no_state(state_id: str) -> NotFound:
    """Return the error for a state that is not there."""
    return NotFound(
        f"there is no state {shown(state_id)} in the store",
        cause="it was never bound here, or this is the id of something else (a run, a blob)",
        do="`replay log` lists the runs and their states",
    )


def _read(kind: type[D], name: str, digest: str, data: bytes) -> D:
    try:
        return kind.decode(data)
    except ValidationError as error:
        raise StoreError(
            f"blob {digest} is no {name} that can be read here ({error.error_count()} things do not fit)",
            cause="the id names something else, or a newer version of Replay wrote it",
            do="`replay log` lists the ids of runs and states; if it is one of them, update Replay",
        ) from error


def _check_format(found: str, known: str, digest: str) -> None:
    if found != known:
        raise StoreError(
            f"blob {digest} has the format '{shown(found)}'; this version reads {known!r}",
            cause="a newer version of Replay wrote it",
            do="update Replay",
        )
