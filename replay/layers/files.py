"""Reading files of a project into the store: shared by the layers that hold files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from replay.errors import InputError
from replay.excerpt import excerpt
from replay.layers.parts import Split
from replay.layers.split import LARGEST, split
from replay.state import Change, FileEntry
from replay.store.base import BlobRef, Store

SKIPPED = frozenset({".git", ".hg", ".replay", "__pycache__", ".venv", ".ipynb_checkpoints"})
"""Folders that are never part of a job, wherever they stand."""

Files = Mapping[str, FileEntry]


@dataclass(frozen=True)
class Differing:
    """A file that differs, what its change is called, and its parts where it can be taken apart."""

    path: str
    name: str
    before: FileEntry | None
    after: FileEntry | None
    split: Split | None


def readable(path: Path) -> bool:
    """Whether the job may read `path`.

    The system is asked, except for root, whom it never refuses: there a file counts as denied when its
    mode grants reading (of a folder: entering) to nobody, since jobs run without root's powers.
    """
    if os.geteuid() != 0:
        return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    mode = path.stat().st_mode
    return bool(mode & 0o444) and (not stat.S_ISDIR(mode) or bool(mode & 0o111))


def walk(root: Path, path: str) -> Iterator[str]:
    """Yield the files at or below `path`, as paths in the project, sorted. Links to files are followed.

    Raises InputError for what is neither file nor folder, and for a name that is not UTF-8 text.
    """
    start = root / path
    if start.is_file():
        yield str(PurePosixPath(path))
        return
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            file = Path(folder, name)
            if name.endswith(".pyc"):
                continue
            if not file.is_file():
                raise InputError(
                    f"{file.relative_to(root)} is neither a file nor a folder",
                    cause="a broken link, a socket or a device lies among the declared paths",
                    do="remove it, or declare narrower paths in replay.toml",
                )
            yield _text(file.relative_to(root).as_posix())


def keep(root: Path, paths: Iterable[str], store: Store) -> dict[str, FileEntry]:
    """Put files of the project into the store; return their entries by path. Raises InputError."""
    names = sorted(paths)
    return dict(zip(names, store.put_files([root / name for name in names]), strict=True))


def differing(layer: str, good: Files, bad: Files, store: Store) -> list[Differing]:
    """Return the files that two sets of files do not share, taken apart where that can be."""
    named = _naming(layer, good.keys() | bad.keys())
    return [
        Differing(path, named(path), good.get(path), bad.get(path), _split(layer, path, good, bad, store))
        for path in sorted(good.keys() | bad.keys())
        if good.get(path) != bad.get(path)
    ]


def file_changes(files: Iterable[Differing]) -> Iterator[Change]:
    """Yield the changes of differing files: of a file that can be taken apart its parts, else the file."""
    for file in files:
        if file.split is None:
            yield Change(name=file.name, before=_brief(file.before), after=_brief(file.after))
            continue
        for part in file.split.parts:
            shown = (excerpt(side, part.suffix) for side in (part.before, part.after))
            yield Change(name=file.name + part.suffix, before=next(shown), after=next(shown))


def mix_files(layer: str, good: Files, bad: Files, taken: frozenset[str], store: Store) -> dict[str, FileEntry]:
    """Return the files of `good` with those named in `taken`, or their parts, as they are in `bad`."""
    named = _naming(layer, good.keys() | bad.keys())
    found: dict[str, FileEntry] = {}
    for path in sorted(good.keys() | bad.keys()):
        name = named(path)
        own = {change for change in taken if change == name or change.startswith((f"{name}#", f"{name}/"))}
        parted = _split(layer, path, good, bad, store) if own else None
        suffixes = [part.suffix for part in parted.parts if name + part.suffix in own] if parted else []
        if parted is not None and 0 < len(suffixes) < len(parted.parts):
            mixed = store.put(parted.mixed(suffixes))
            found[path] = mixed.model_copy(update={"executable": good[path].executable})
        elif path in (side := bad if suffixes or name in own else good):
            found[path] = side[path]
    return found


def _split(layer: str, path: str, good: Files, bad: Files, store: Store) -> Split | None:
    """Take a file apart, where both sides have it and no other file's name could be taken for one of its parts."""
    before, after = good.get(path), bad.get(path)
    if before is None or after is None or before == after or before.executable != after.executable:
        return None
    if max(before.size, after.size) > LARGEST:
        return None
    if any(other.startswith((f"{path}#", f"{path}/")) for other in good.keys() | bad.keys()):
        return None
    return split(path, store.get(before.blob), store.get(after.blob), learned=layer == "model")


def file_blobs(files: dict[str, FileEntry]) -> Iterator[BlobRef]:
    """Yield the blobs of a set of files."""
    for path, entry in files.items():
        yield BlobRef(entry.blob, entry.size, "application/octet-stream", path)


class _naming:  # noqa: N801 - used as a function: `named(path)`
    """Names a file's change: `layer/path`, said once where every path begins with the layer's own name."""

    def __init__(self, layer: str, paths: Iterable[str]) -> None:
        self.prefix = "" if all(path.startswith(f"{layer}/") for path in paths) else f"{layer}/"

    def __call__(self, path: str) -> str:
        return self.prefix + path


def _brief(entry: FileEntry | None) -> str | None:
    if entry is None:
        return None
    return entry.blob.removeprefix("sha256:")[:12] + (" (executable)" if entry.executable else "")


def _text(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{path.encode('utf-8', 'backslashreplace').decode()} has a name that is not UTF-8",
            cause="the file was named on a system with another encoding",
            do="rename it, or declare narrower paths in replay.toml",
        ) from None
    return path
