"""What a reference is, and what every kind of versioned source answers: what is it now, fetch it, is it still there?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from replay.compare.text import count
from replay.digest import Digest
from replay.state import Document, FileEntry

Kind = Literal["git-lfs", "dvc", "delta", "iceberg", "s3", "huggingface"]
Identity = dict[str, str]

_LONG = frozenset({"table", "oid", "md5", "commit"})

TABLES = frozenset({"delta", "iceberg"})
"""Kinds whose version says more than the data files do (columns renamed in the log alone)."""


class Reference(Document):
    """A versioned input as it was read.

    `at` is the declared uri or path; `identity` what names the version there (`table` and `version`; `oid`; ...);
    `content` the digest of the files as read; `rows` and `columns` (name: stored type) what the source itself says,
    where it does. `parts` maps each referred file, by its path in the project, to its address in the source; the
    snapshot's other files (a table's log) are always kept in the store.
    """

    kind: Kind
    at: str
    identity: Identity
    content: Digest
    rows: int | None = None
    columns: dict[str, str] = {}
    parts: dict[str, str]

    def version(self) -> str:
        """Return the version as reports print it: what it is a version of first, long names cut short."""
        ordered = sorted(self.identity.items(), key=lambda item: item[0] != "table")
        told = (f"{name} {value[:12] if name in _LONG else value}" for name, value in ordered)
        return f"{self.kind} {', '.join(told)}"

    def described(self) -> str:
        """Return the version and its rows, where the source counts them."""
        return self.version() + ("" if self.rows is None else f", {count(self.rows, 'row')}")

    def anew_since(self, before: Reference | None) -> str:
        """Return what to say where this is the same place with another table in it; else nothing."""
        if before is None or (before.kind, before.at) != (self.kind, self.at) or self.kind not in TABLES:
            return ""
        same = before.identity.get("table") == self.identity.get("table")
        return "" if same else "; the table was dropped and created anew"


class Gone(Exception):
    """A reference no longer resolves; the text says why, in words for people."""


@dataclass(frozen=True)
class Found:
    """A version that was found: `parts` maps project paths to addresses, `kept` to what is copied at any rate.

    `size` is what the parts hold together, in bytes. `versioned` is False where the source keeps no versions after
    all, so that only a copy will do.
    """

    kind: Kind
    identity: Identity
    parts: dict[str, str]
    size: int
    folder: bool
    kept: dict[str, Path] = field(default_factory=dict)
    rows: int | None = None
    columns: dict[str, str] = field(default_factory=dict)
    principal: str = ""
    versioned: bool = True


@dataclass(frozen=True)
class Pinned:
    """A source that is referred to, read: its files by path in the project."""

    reference: Reference
    files: dict[str, FileEntry]
    folder: bool
    principal: str


@dataclass(frozen=True)
class Ground:
    """Where references are resolved: the project's folder and the caller's variables."""

    root: Path
    environ: Mapping[str, str]


class Origin(Protocol):
    """A place that keeps versions; `at` is how a state names it."""

    @property
    def at(self) -> str: ...  # noqa: D102

    def find(self, path: str) -> Found:
        """Return the version that is declared, or the newest, to be laid at `path` in the project.

        Raises Gone, InputError, Refused.
        """
        ...

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """Return a file with the content of a part, written into `scratch` where it is not at hand. Raises Gone."""
        ...

    def lost(self, reference: Reference) -> str | None:
        """Return why a version no longer resolves, as far as that shows without reading it all; else None."""
        ...


def stored_types(fields: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return name and stored type of a table's columns, as Delta and Iceberg write them: a nested type by its kind."""
    return {str(f["name"]): f["type"] if isinstance(f["type"], str) else str(f["type"].get("type")) for f in fields}


class Refused(Exception):
    """A source refused: `word` is access's answer, the text what it said."""

    def __init__(self, word: Literal["denied", "missing"], said: str, principal: str = "") -> None:
        super().__init__(said)
        self.word: Literal["denied", "missing"] = word
        self.principal = principal
