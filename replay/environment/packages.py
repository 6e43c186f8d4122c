"""The locked closure of a state: every package, its wheel by hash, what it requires. Pure documents."""

from __future__ import annotations

from replay.digest import Digest
from replay.state import Document


class Wheel(Document):
    """One locked package. `requires` are the wheel's own Requires-Dist lines (its METADATA)."""

    version: str
    filename: str
    blob: Digest
    size: int
    requires: tuple[str, ...] = ()


class PackageSet(Document):
    """A closure for one interpreter: normalised package name (PEP 503) to wheel.

    `python` is the X.Y the closure was made for, `platform` the best platform tag of the base.
    """

    python: str
    platform: str
    wheels: dict[str, Wheel] = {}
