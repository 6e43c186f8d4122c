"""From requirements to the wheels of a closure: source is built as it turns up, then pip is asked again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from replay.environment import fromsource, index, uv
from replay.environment.base import Interpreter
from replay.environment.build import Builder
from replay.environment.closure import keep, known
from replay.environment.packages import Wheel
from replay.environment.requirements import Line, Requirements, without_credentials
from replay.environment.selection import Locker
from replay.environment.sources import Sourced
from replay.environment.trouble import SourceOnly
from replay.errors import LockError
from replay.store.base import Store

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile(r"--hash[= ](\S+:\S+)")
_OF_INDEXES = re.compile(r"^(-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--trusted-host|--pre)\b")


@dataclass(frozen=True)
class How:
    """Which tool chooses versions, and which of them it prefers (by package)."""

    locker: Locker = "pip-tools"
    prefer: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Resolution:
    """One resolution under way, in a scratch `folder`. Where the `builder` has no workshop source is refused."""

    asked: Requirements
    interpreter: Interpreter
    store: Store
    folder: Path
    builder: Builder
    progress: Callable[[str], None]
    how: How = field(default_factory=How)
    _lines: dict[Line, str] = field(default_factory=dict)
    _built: dict[str, Wheel] = field(default_factory=dict)
    _rounds: int = 0

    def wheels(self, pins: Path | None = None) -> dict[str, Wheel]:
        """Return the closure's wheels, all in the store; at the versions of `pins` where they are given.

        Raises LockError and WheelError.
        """
        for line in self.asked.lines:
            if line.source is not None:
                self._lines[line] = self._built_line(line.source)
        while True:
            question = self._question()
            try:
                if pins is None and not self.asked.hashed:
                    choose = uv.choose if self.how.locker == "uv" else index.choose
                    pins = choose(question, self.how.prefer)
                self.progress("fetching the wheels")
                files = index.fetch(question, pins)
                break
            except SourceOnly as error:
                name = canonicalize_name(_name(error.wanted))
                if self.builder.workshop is None or name in self._built:
                    raise
                self._build_wanted(error.wanted)
        found = dict(keep(file, file.name, self.store) for file in files)
        own = {wheel.blob: wheel for wheel in self._built.values()}
        return {name: own.get(wheel.blob, wheel) for name, wheel in found.items()}

    def _question(self) -> index.Question:
        """Return what pip is asked next: the user's own file, or a copy that names what was built."""
        self._rounds += 1
        folder = self.folder / f"round-{self._rounds}"
        folder.mkdir()
        file, offered = self.asked.path, None
        seen = (self.folder / "downloads", known(self.store))
        if self._built:
            file, offered = folder / "requirements.txt", self.folder / "built"
            lines = [self._lines.get(line) or self._with_hash(line) for line in self.asked.lines]
            file.touch(mode=0o600)
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return index.Question(self.asked.path, file, self.interpreter, folder, offered, seen)

    def _with_hash(self, line: Line) -> str:
        """A line with the hash of source gets that of the wheel that was built of it as well."""
        wheel = self._built.get(canonicalize_name(_name(line.text))) if line.asks else None
        return f"{line.text} --hash={wheel.blob}" if wheel and self.asked.hashed else line.text

    def _built_line(self, source: Sourced) -> str:
        """Build what a line names; return the line that names the wheel instead."""
        builder = self.builder
        if builder.workshop is None:
            raise LockError(
                f"the requirements {str(self.asked.path)!r} cannot be locked: "
                f"{without_credentials(source.line)} is not a wheel",
                cause="it would have to be built, and building runs its code on this machine",
                do="lock where an engine can build it, or require a wheel",
            )
        place, start = source.place, self.asked.path.resolve().parent
        if place.kind == "vcs":
            found = fromsource.of_repository(builder, place.url, place.revision, place.within)
        elif place.kind == "folder":
            found = fromsource.of_folder(builder, Path(place.url), place.within, start=start)
        else:
            url = place.url if "://" in place.url else Path(place.url).resolve().as_uri()
            found = self._of_archive(index.Wanted("", url, url, dict(source.hashes)), place.within)
        name, wheel = found
        file = self._offer(name, wheel)
        marker = f" ; {source.marker}" if source.marker else ""
        hashed = f" --hash={wheel.blob}" if self.asked.hashed else ""
        return f"{name}{source.extras} @ {file.as_uri()}{marker}{hashed}"

    def _build_wanted(self, wanted: str) -> None:
        """Build the best source that the index has for a requirement; with hashes, only one that they allow."""
        name = canonicalize_name(_name(wanted))
        allowed = {
            found
            for line in self.asked.lines
            if line.asks and canonicalize_name(_name(line.text)) == name
            for found in _HASH.findall(line.text)
        }
        found, wheel = self._of_archive(index.Wanted(wanted, "", None, {}))
        content = wheel.source.content if wheel.source else None
        if self.asked.hashed and content not in allowed:
            raise LockError(
                f"the requirements {str(self.asked.path)!r} cannot be locked: {wanted} has another hash",
                cause=f"the source on the index has {content}, which is not among the hashes of {name}",
                do="if this is the file you expect, write its hash into the requirements; else ask who replaced it",
            )
        self._offer(found, wheel)
        self._built[name] = wheel

    def _of_archive(self, wanted: index.Wanted, within: str = "") -> fromsource.Built:
        folder = self.folder / f"source-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        own = folder / "indexes.txt"
        own.touch(mode=0o600)
        own.write_text("".join(f"{line}\n" for line in index_lines(self.asked)), encoding="utf-8")
        question = index.Question(self.asked.path, own, self.interpreter, folder)
        options = ["--requirement", str(own)] if own.stat().st_size else []
        ((file, filename),) = index.obtain(question, [wanted], options)
        return fromsource.of_archive(self.builder, file, filename, within)

    def _offer(self, name: str, wheel: Wheel) -> Path:
        """Lay a wheel where pip finds it."""
        self._built[name] = wheel
        place = self.folder / "built" / wheel.filename
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            shutil.copyfile(self.store.path(wheel.blob), place)
        return place


def index_lines(asked: Requirements) -> list[str]:
    """Return the lines that say where packages are looked for."""
    return [line.text for line in asked.lines if _OF_INDEXES.match(line.text)]


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return found[0] if found else requirement
