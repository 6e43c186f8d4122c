"""A container image in a registry: chosen for a kind of machine, fetched by digest, every byte verified.

After the OCI image specification 1.1 (manifest.md, image-index.md) and Docker's manifests of schema 2, which say the
same in other words.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

from replay.digest import CHUNK, of_bytes
from replay.environment import kept
from replay.environment.base import BaseImage
from replay.errors import BaseMissing, RegistryError, StoreError
from replay.registry.client import MOST_MANIFEST, Repository
from replay.registry.http import AT_ONCE
from replay.registry.pull import room
from replay.registry.reference import Reference
from replay.store.files import storing
from replay.store.oci import INDEX_TYPE, MANIFEST_TYPE, Descriptor
from replay.store.refs import shown

KINDS = (
    MANIFEST_TYPE,
    INDEX_TYPE,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""The media types of manifests that are read."""

MOST_UNPACKED = 64 << 30
"""Bytes of one layer, unpacked."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class _Platform(BaseModel):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Choice(Descriptor):
    platform: _Platform = _Platform()


class _Listed(BaseModel):
    """A manifest (it has a config) or an index of manifests for several kinds of machines."""

    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[_Choice, ...] = ()


@dataclass(frozen=True)
class RemoteImage:
    """An image of a registry: its config's bytes, what that says, and its layers as they are sent."""

    config: bytes
    told: BaseImage
    layers: tuple[Descriptor, ...]

    @property
    def id(self) -> str:
        """The id that an engine gives it."""
        return of_bytes(self.config)


def look(repository: Repository, architecture: str) -> RemoteImage:
    """Return the image that a reference names, for Linux on an architecture (`amd64`); no layer is fetched.

    Raises RegistryError, and BaseMissing where there is none for that architecture.
    """
    where = repository.where
    listed = _read(repository.manifest(kinds=KINDS), where)
    if listed.config is None and listed.manifests:
        chosen = _chosen(listed, where, architecture)
        listed = _read(repository.manifest(chosen.digest, KINDS), where)
    if listed.config is None:
        raise _odd(where, "its manifest is that of something else, or of Docker's oldest form")
    if listed.config.size > MOST_MANIFEST:
        raise _odd(where, f"its config has {listed.config.size} bytes")
    config = repository.read(listed.config.digest, listed.config.size)
    try:
        told = kept.read(listed.config.digest, config)
    except StoreError:
        raise _odd(where, "its config is not that of an image") from None
    if (told.os, told.architecture) != ("linux", architecture):
        raise _elsewhere(where, architecture, [f"{told.os}/{told.architecture}"])
    if len(told.layers) != len(listed.layers):
        raise _odd(where, f"it has {len(listed.layers)} layers, and {len(told.layers)} by its config")
    return RemoteImage(config, told, listed.layers)


def fetch(image: RemoteImage, repository: Repository, folder: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """Write an image's layers, unpacked, into an empty folder; return them by digest (diff id).

    Raises RegistryError where one is not what its digest or the config says, StoreError where there is no room.
    """
    wanted = dict(zip(image.told.layers, image.layers, strict=True))
    size = sum(part.size for part in wanted.values())
    with storing("fetch a base"):
        room(folder, size, "the base")
    progress(f"fetching {repository.where}: {len(wanted)} layers, {size:,} bytes")

    def one(layer: str) -> Path:
        part, target = wanted[layer], folder / layer.removeprefix("sha256:")
        packed = target.with_suffix(".packed")
        with storing("fetch a base"):
            repository.download(part.digest, part.size, packed)
            _unpack(packed, target, layer, repository.where)
            packed.unlink()
        return target

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)


def _unpack(packed: Path, target: Path, layer: str, where: Reference) -> None:
    """Write a layer's tar archive, compressed or not as its first bytes say. Raises RegistryError, OSError."""
    hashed, size = hashlib.sha256(), 0
    with packed.open("rb") as raw, target.open("xb") as file:
        first = raw.read(len(_ZSTD))
        raw.seek(0)
        if first == _ZSTD:
            raise _zstd(where)
        content: IO[bytes] = gzip.open(raw) if first.startswith(_GZIP) else raw  # type: ignore[assignment]  # noqa: SIM115
        try:
            while chunk := content.read(CHUNK):
                hashed.update(chunk)
                size += len(chunk)
                if size > MOST_UNPACKED:
                    break
                file.write(chunk)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            size = MOST_UNPACKED + 1
    if size > MOST_UNPACKED or "sha256:" + hashed.hexdigest() != layer:
        raise _odd(where, f"a layer, unpacked, is not {layer}, as its config says")


def _read(data: bytes, where: Reference) -> _Listed:
    try:
        return _Listed.model_validate_json(data)
    except ValidationError:
        raise _odd(where, "its manifest cannot be read") from None


def _chosen(listed: _Listed, where: Reference, architecture: str) -> _Choice:
    """Return the manifest for an architecture; of several variants the plainest."""
    fits = [one for one in listed.manifests if (one.platform.os, one.platform.architecture) == ("linux", architecture)]
    if not fits:
        others = [f"{one.platform.os}/{one.platform.architecture}" for one in listed.manifests]
        raise _elsewhere(where, architecture, others)
    return min(fits, key=lambda one: one.platform.variant)


def _elsewhere(where: Reference, architecture: str, others: list[str]) -> BaseMissing:
    known = sorted({shown(other) for other in others if other not in ("/", "unknown/unknown")})
    return BaseMissing(
        f"{where} is no image for linux/{architecture}, which this engine runs",
        cause=f"it was built for {', '.join(known[:6]) or 'nothing that it names'}",
        do="name an image for this kind of machine, or run on one of that kind",
    )


def _odd(where: Reference, what: str) -> RegistryError:
    return RegistryError(
        f"{where} is no image that can be taken: {what}",
        cause="it is something else, it was damaged, or somebody tampered with it",
        do="nothing was loaded; check the name, or ask whoever pushed it",
    )


def _zstd(where: Reference) -> RegistryError:
    return RegistryError(
        f"{where} has layers that are compressed with zstd",
        cause="Python cannot unpack them before 3.14",
        do=f"get it into the engine (`docker pull {where}`), or push it with gzip",
    )
