"""The locked closure of a state: every package, its wheel by hash, what it requires. Pure documents."""

from __future__ import annotations

from replay.digest import Digest
from replay.state import Document


class Source(Document):
    """What a wheel was built from, where no index had it as a wheel.

    `origin` is a file name, a repository's URL without credentials, or a path as it was written; `content`
    the file's digest or the repository's commit (None for a folder). `build` maps what was needed to build
    it to the wheels' digests.
    """

    origin: str
    content: str | None = None
    build: dict[str, Digest] = {}


class Wheel(Document):
    """One locked package. `requires` are the wheel's own Requires-Dist lines (its METADATA).

    `source` is written only where the wheel was built for this closure: ids of others are as they were before.
    """

    version: str
    filename: str
    blob: Digest
    size: int
    requires: tuple[str, ...] = ()
    source: Source | None = None


class PackageSet(Document):
    """A closure for one interpreter: normalised package name (PEP 503) to wheel.

    `python` is the X.Y the closure was made for, `platform` the best platform tag of the base.
    """

    python: str
    platform: str
    wheels: dict[str, Wheel] = {}
