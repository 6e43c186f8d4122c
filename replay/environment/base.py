"""What lies under the packages: a base and its Python. Pure documents."""

from __future__ import annotations

from typing import Literal

from replay.digest import Digest
from replay.state import Document, FileEntry


class Base(Document):
    """What lies under the packages: an image by digest, or the host itself.

    `image` is the engine's image id (the digest of the image's config: the same wherever the same
    image is); None for a host. `reference` is the name it was asked for by, for people: no part of a state (only
    states of older versions hold one), a run's provenance keeps it. `os_packages` maps OS package to version (dpkg,
    apk or rpm; empty where none answers). `python` is the full version of its
    interpreter, e.g. `3.11.2`. `contents` is the list of all files of an image that was adopted, but for its
    packages (see `replay.environment.contents`); None where the image as such is the base.
    """

    kind: Literal["image", "host"]
    reference: str = ""
    image: str | None = None
    python: str
    os: str
    machine: str
    os_packages: dict[str, str] = {}
    contents: FileEntry | None = None

    @property
    def title(self) -> str:
        """What people are told: the name it was asked for by, else what its image's id begins with."""
        return self.reference or (self.image or "").removeprefix("sha256:")[:12] or "a host"


class Interpreter(Document):
    """The Python of a base, as packages see it.

    `markers` is the PEP 508 marker environment, `platforms` the wheel platform tags it takes, best first,
    `abi` its own ABI tag (`cp311`), `cache_tag` the tag of its bytecode (`cpython-311`) and `magic` that
    bytecode's magic number in hex; `executable` its path inside the base.
    """

    executable: str
    version: str
    abi: str
    cache_tag: str
    magic: str
    platforms: tuple[str, ...]
    markers: dict[str, str]


class BaseImage(Document):
    """What an image built on a base takes over from it.

    `layers` are the digests of its layers' tar archives (diff ids), the lowest first; `env` its variables as
    `NAME=value`. The names are those of the OCI image configuration.
    """

    architecture: str
    os: str = "linux"
    variant: str | None = None
    env: tuple[str, ...] = ()
    layers: tuple[Digest, ...]
