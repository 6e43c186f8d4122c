"""Files and folders kept by DVC: `PATH.dvc` names the content, which lies in the working tree or in DVC's cache.

The format: https://dvc.org/doc/user-guide/project-structure/dvc-files
"""

from __future__ import annotations

import configparser
import json
import re
from dataclasses import dataclass
from pathlib import Path

from replay.content_documents import parse_yaml
from replay.errors import CompareError, InputError
from replay.references.base import Found, Gone, Reference
from replay.references.local import hashed, inside

SUFFIX = ".dvc"


def recorded(file: Path) -> dict[str, str] | None:
    """Return what the `.dvc` file beside `file` says of it, None where there is none that does."""
    beside = file.with_name(file.name + SUFFIX)
    try:
        outs = parse_yaml(beside.read_bytes(), beside.name)["outs"]
        listed = [{name: str(value) for name, value in out.items()} for out in outs]
    except (OSError, CompareError, KeyError, TypeError, AttributeError):
        return None
    own = next((out for out in listed if out.get("path") == file.name), None)
    return own if own and re.fullmatch(r"[0-9a-f]{32}(\.dir)?", own.get("md5", "")) else None


@dataclass(frozen=True)
class Dvc:
    """The file or folder that the project has at `at`, with what its `.dvc` file says."""

    file: Path
    at: str
    out: dict[str, str]

    @property
    def root(self) -> Path | None:
        """The folder with `.dvc/` that the file belongs to."""
        return next((folder for folder in self.file.parents if (folder / ".dvc").is_dir()), None)

    def untouched(self) -> bool:
        """Whether what is checked out, if anything is, is what the `.dvc` file says."""
        if not self.file.exists():
            return True
        if not self.file.is_dir():
            return hashed(self.file, "md5") == self.out["md5"]
        listed = self._listed()
        there = {file.relative_to(self.file).as_posix() for file in self.file.rglob("*") if file.is_file()}
        return there == listed.keys() and all(hashed(self.file / e, "md5") == md5 for e, md5 in listed.items())

    def find(self, path: str) -> Found:
        """See Origin."""
        md5 = self.out["md5"]
        folder = md5.endswith(".dir")
        parts = {f"{path}/{entry}": own for entry, own in self._listed().items()} if folder else {path: md5}
        size = self.out.get("size", "")
        return Found("dvc", {"md5": md5}, parts, int(size) if size.isdecimal() else 0, folder=folder)

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin."""
        places = self._places(address)
        if not address.endswith(".dir"):
            places += [self.file] if not self.file.is_dir() else self._checked_out(address, reference)
        for place in places:
            if hashed(place, "md5") == address.removesuffix(".dir"):
                return place
        raise Gone(f"its content {address[:12]} is neither checked out nor in DVC's cache (`dvc fetch` gets it)")

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        for part, md5 in reference.parts.items():
            place = self.file if not self.file.is_dir() else self.file / Path(part).relative_to(self.at)
            if not any(cached.is_file() for cached in self._places(md5)) and hashed(place, "md5") != md5:
                return f"its content {md5[:12]} is neither checked out nor in DVC's cache (`dvc fetch` gets it)"
        return None

    def _checked_out(self, md5: str, reference: Reference | None) -> list[Path]:
        listed = (
            {part.removeprefix(f"{self.at}/"): own for part, own in reference.parts.items()}
            if reference
            else self._listed()
        )
        return [inside(self.file, entry) for entry, own in listed.items() if own == md5]

    def _places(self, md5: str) -> list[Path]:
        if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5):
            raise Gone(f"{md5[:80]!r} is no md5")
        if self.root is None:
            return []
        caches = [self.root / ".dvc/cache"]
        for name in ("config", "config.local"):
            own = configparser.ConfigParser(interpolation=None, strict=False)
            try:
                own.read(self.root / ".dvc" / name, "utf-8")
            except (configparser.Error, UnicodeDecodeError):
                continue
            if folder := own.get("cache", "dir", fallback=""):
                caches.append(self.root / ".dvc" / folder)
        return [cache / top / md5[:2] / md5[2:] for cache in reversed(caches) for top in ("files/md5", "")]

    def _listed(self) -> dict[str, str]:
        """Return a folder's files, by path in it, with their md5: DVC lists them in an object of its cache."""
        listing = self.fetch(self.out["md5"], None, self.file)
        try:
            found = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(listing.read_bytes())}
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"DVC's list of the files of {self.at} cannot be read",
                cause="its cache is damaged",
                do="`dvc fetch`, then bind again",
            ) from None
        for entry in found:
            inside(self.file, entry)
        return found
