"""Is the store sound? Everything is hashed again, and every reference is followed."""

from __future__ import annotations

from collections.abc import Iterator

from replay.errors import CorruptBlob, StoreError
from replay.store import oci
from replay.store.base import Finding, RunEntry
from replay.store.blobs import Blobs
from replay.store.catalogue import Catalogue
from replay.store.documents import (
    lacking,
    line_of,
    needs_of_manifest,
    needs_of_run,
    needs_of_state,
    read_manifest,
    read_run,
    read_state,
)
from replay.store.files import storing
from replay.store.refs import DIGEST, shown
from replay.store.runlog import RunLog
from replay.store.work import Work


def check(blobs: Blobs, catalogue: Catalogue, log: RunLog, work: Work) -> list[Finding]:
    """Return what is wrong, nothing for a sound store. Blobs that nothing refers to are not wrong.

    Raises StoreError only where the store cannot be read at all.
    """
    with storing("check the store"):
        entries, findings = log.scan()
        findings += _blobs(blobs)
        findings += _pieces(blobs)
        findings += _states(blobs, catalogue)
        for entry in entries:
            findings += _run(blobs, catalogue, entry)
        findings += _tags(blobs, catalogue, {entry.run: entry.state for entry in entries})
        findings += [
            Finding(f"{shown(path)} was left by a process that is gone (harmless)", fatal=False)
            for path in work.abandoned()
        ]
    return findings


def _blobs(blobs: Blobs) -> Iterator[Finding]:
    for file in sorted(blobs.folder.iterdir()):
        digest = f"sha256:{file.name}"
        if not DIGEST.fullmatch(digest) or blobs.own_size(digest) is None:
            yield Finding(f"{shown(file.name)} lies among the blobs and is none (harmless)", fatal=False)
        else:
            yield from _verified(blobs, digest)


def _pieces(blobs: Blobs) -> Iterator[Finding]:
    try:
        made_of_parts = sorted(blobs.pieces.all())
    except StoreError as error:
        yield Finding(error.what, fatal=True)
        return
    for digest in made_of_parts:
        if blobs.size(digest) is None:
            yield Finding(f"blob {digest} has lost a part (harmless where nothing refers to it)", fatal=False)
        else:
            yield from _verified(blobs, digest)


def _verified(blobs: Blobs, digest: str) -> Iterator[Finding]:
    try:
        blobs.verify(digest)
    except StoreError as error:
        yield Finding(error.what, fatal=True)


def _states(blobs: Blobs, catalogue: Catalogue) -> Iterator[Finding]:
    for state_id in sorted(catalogue.ids()):
        owner = f"state {state_id}"
        try:
            descriptor = catalogue.manifest(state_id)
            manifest = read_manifest(descriptor.digest, blobs.get(descriptor.digest))
            if manifest.config.digest != state_id:
                yield Finding(f"{owner}: its manifest is that of {manifest.config.digest}", fatal=True)
            for problem in lacking(needs_of_manifest(manifest), blobs.size):
                yield Finding(f"{owner}: {problem}", fatal=True)
            for problem in lacking(needs_of_state(read_state(state_id, blobs.get(state_id))), blobs.size):
                yield Finding(f"{owner}: {problem}", fatal=True)
        except CorruptBlob:
            pass  # found among the blobs already
        except StoreError as error:
            yield Finding(f"{owner}: {error.what}", fatal=True)


def _run(blobs: Blobs, catalogue: Catalogue, entry: RunEntry) -> Iterator[Finding]:
    owner = f"run {shown(entry.run)}"
    try:
        record = read_run(entry.run, blobs.get(entry.run))
        catalogue.manifest(record.state)
        if line_of(record, entry.origin) != entry:
            yield Finding(f"{owner}: its line in the run log is not what its record says", fatal=True)
        for problem in lacking(needs_of_run(record), blobs.size):
            yield Finding(f"{owner}: {problem}", fatal=True)
    except CorruptBlob:
        pass  # found among the blobs already
    except StoreError as error:
        yield Finding(f"{owner}: {error.what}", fatal=True)


def _tags(blobs: Blobs, catalogue: Catalogue, runs: dict[str, str]) -> Iterator[Finding]:
    try:
        tags = catalogue.tags()
    except StoreError as error:
        yield Finding(error.what, fatal=True)
        return
    for name, descriptor in tags.items():
        owner = f"tag {shown(name)}"
        try:
            manifest = read_manifest(descriptor.digest, blobs.get(descriptor.digest))
            catalogue.manifest(manifest.config.digest)
            run = descriptor.annotation(oci.RUN)
            if run is not None and runs.get(run) != manifest.config.digest:
                yield Finding(f"{owner}: the log has no run {shown(run)} of its state", fatal=True)
            if blobs.size(descriptor.digest) != descriptor.size:
                yield Finding(f"{owner}: its manifest is not {descriptor.size} bytes long", fatal=True)
        except CorruptBlob:
            pass  # found among the blobs already
        except StoreError as error:
            yield Finding(f"{owner}: {error.what}", fatal=True)
