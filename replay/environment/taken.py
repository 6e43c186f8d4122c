"""A lock that another tool wrote, taken as it is: exactly the files it names, fetched once by hash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from replay.digest import canonical, of_bytes
from replay.environment import closure, fromsource, index, lockfiles
from replay.environment.base import Interpreter
from replay.environment.build import Builder
from replay.environment.fingerprint import fingerprint
from replay.environment.lockfiles import Pick
from replay.environment.packages import PackageSet, Wheel
from replay.environment.selection import Selection, refusal
from replay.errors import LockError


def take(path: Path, selection: Selection, builder: Builder, *, offline: bool = False) -> PackageSet:
    """Return the closure that the lock at `path` holds for the builder's target; its wheels are in the store.

    Raises LockError where the lock is not for this target, a file cannot be had or source does not build,
    WheelError where one is not a sound wheel. No index is asked while the store has the files.
    """
    interpreter, store = builder.interpreter, builder.store
    picks = lockfiles.select(path, interpreter, selection)
    key = _key(picks, interpreter)
    known = closure.recall(key, store)
    if known is not None and all(store.has(wheel.blob) for wheel in known.wheels.values()):
        return known
    folder = store.scratch("lock")
    try:
        wheels = dict(_Taking(path, builder, folder, offline).wheels(picks))
        packages = closure.closure(interpreter, wheels)
        closure.remember(key, packages, store, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return packages


def _key(picks: Sequence[Pick], interpreter: Interpreter) -> str:
    target = interpreter.model_dump(mode="json", include=closure.TARGET)
    folders = [fingerprint(_path(pick.url)) for pick in picks if pick.kind == "folder" and _path(pick.url).is_dir()]
    document = {"format": 1, "picks": [asdict(pick) for pick in picks], "folders": folders, "target": target}
    return of_bytes(canonical(document))


@dataclass(frozen=True)
class _Taking:
    """One lock being taken, in a scratch folder."""

    path: Path
    builder: Builder
    folder: Path
    offline: bool

    def wheels(self, picks: Sequence[Pick]) -> Iterator[tuple[str, Wheel]]:
        """Yield every pick's name and wheel."""
        store = self.builder.store
        files = {pick.name: store.path(_blob(pick)) for pick in picks if _is_file(pick) and store.has(_blob(pick))}
        files |= self._fetched([pick for pick in picks if _is_file(pick) and pick.name not in files])
        for pick in picks:
            name, wheel = self._wheel(pick, files.get(pick.name))
            if name != pick.name or (pick.version is not None and wheel.version != pick.version):
                said = f"it says {pick.name} {pick.version or ''} where its file is {name} {wheel.version}"
                raise refusal(self.path, said, "write it anew with the tool that made it")
            yield name, wheel

    def _fetched(self, missing: Sequence[Pick]) -> dict[str, Path]:
        if not missing:
            return {}
        if self.offline:
            raise LockError(
                f"{len(missing)} files of the lock {str(self.path)!r} are not in the store, "
                f"among them {missing[0].filename}",
                cause="they were never fetched here, and no index may be asked",
                do="lock once with the network on: `replay lock`",
            )
        self.builder.progress(f"fetching {len(missing)} files of {self.path.name}")
        indexes = sorted({pick.index for pick in missing if pick.index and not pick.url})
        options = [word for url in indexes for word in ("--extra-index-url", url)]
        wanted = [index.Wanted(pick.name, pick.filename, pick.url, dict(pick.hashes or {})) for pick in missing]
        question = index.Question(self.path, self.path, self.builder.interpreter, self.folder)
        fetched = index.obtain(question, wanted, options)
        return {pick.name: file for pick, (file, _) in zip(missing, fetched, strict=True)}

    def _wheel(self, pick: Pick, file: Path | None) -> tuple[str, Wheel]:
        if pick.kind == "wheel" and file is not None:
            return closure.keep(file, pick.filename, self.builder.store)
        if file is not None:
            return fromsource.of_archive(self.builder, file, pick.filename, pick.subdirectory)
        if pick.kind == "vcs":
            return fromsource.of_repository(self.builder, pick.url or "", pick.commit, pick.subdirectory)
        start = self.path.resolve().parent
        return fromsource.of_folder(self.builder, _path(pick.url), pick.subdirectory, start=start)


def _is_file(pick: Pick) -> bool:
    return pick.kind in ("wheel", "sdist", "archive")


def _path(url: str | None) -> Path:
    return Path(unquote(urlsplit(url or "").path))


def _blob(pick: Pick) -> str:
    """Return the digest under which the store would have the file; of a lock without sha256, one nothing has."""
    return f"sha256:{(pick.hashes or {}).get('sha256', '0' * 64)}"
