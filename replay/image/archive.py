"""Writing an image: an OCI layout (folder or archive), and the archive that `docker load` takes.

Layers are not compressed: a compressor's bytes hang on its version, and so the same digest names a layer in the
image's config, in its manifest and in every store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from replay.digest import CHUNK, canonical, of_bytes
from replay.errors import StoreError
from replay.image.image import Image
from replay.image.layers import Layer, listing_of
from replay.image.tarstream import END, Listing, measured, member
from replay.store.base import Store
from replay.store.oci import INDEX_TYPE, LAYOUT, MANIFEST_TYPE, REF_NAME

Format = Literal["oci-archive", "oci", "docker-archive"]
"""`oci-archive` also holds what `docker load` looks for: every tool takes it."""

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONTAINERD_NAME = "io.containerd.image.name"
"""Where containerd's image store looks for the name of an image that it takes in."""


@dataclass(frozen=True)
class Blob:
    """A file of an archive: its path there, its size in bytes and how its content is had."""

    path: str
    size: int
    write: Callable[[], Iterable[bytes]]


def manifest(image: Image, sizes: Mapping[str, int]) -> bytes:
    """Return the OCI manifest; `sizes` are those of the base's layers, in bytes."""
    known = {**sizes, **{layer.diff_id: layer.size for layer in image.layers}}
    layers = [{"mediaType": LAYER_TYPE, "digest": one, "size": known[one]} for one in image.diff_ids]
    config = {"mediaType": CONFIG_TYPE, "digest": image.id, "size": len(image.config)}
    return canonical({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers})


def contents(image: Image, name: str, base: Mapping[str, Path], form: Format, store: Store) -> list[Blob]:
    """Return the files of an image in a format; `base` are the archives of the base's layers by digest."""
    sizes = {diff_id: path.stat().st_size for diff_id, path in base.items()}
    blobs = base_blobs(base)
    blobs += [layer_blob(layer, store) for layer in image.layers]
    blobs.append(config_blob(image))
    if form != "oci":
        blobs.append(docker_index(image.id, image.diff_ids, name))
    if form != "docker-archive":
        blobs += oci_index(image, name, sizes)
    return sorted({blob.path: blob for blob in blobs}.values(), key=lambda blob: blob.path)


def oci_index(image: Image, name: str, sizes: Mapping[str, int]) -> list[Blob]:
    """Return what makes an archive of an image's blobs an OCI layout; `sizes` as in `manifest`.

    An engine that reads it takes the image with layers left out that it has; one that goes by the `manifest.json` of
    `docker save` passes over it.
    """
    listed = manifest(image, sizes)
    entry: dict[str, Any] = {"mediaType": MANIFEST_TYPE, "digest": of_bytes(listed), "size": len(listed)}
    full = f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"
    entry["annotations"] = {REF_NAME: name, CONTAINERD_NAME: full}
    index = canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})
    return [_text(_path(of_bytes(listed)), listed), _text("index.json", index), _text("oci-layout", LAYOUT)]


def archive(blobs: Iterable[Blob]) -> Iterator[bytes]:
    """Yield files as one tar archive."""
    for blob in blobs:
        yield from member(blob.path, blob.size, blob.write())
    yield END


def config_blob(image: Image) -> Blob:
    """Return an image's config as a file of an archive."""
    return _text(_path(image.id), image.config)


def base_blobs(layers: Mapping[str, Path]) -> list[Blob]:
    """Return a base's layers as files of an archive."""
    return [file_blob(diff_id, path) for diff_id, path in layers.items()]


def file_blob(digest: str, path: Path) -> Blob:
    """Return a file whose digest is known as a file of an archive. Raises OSError."""
    return Blob(_path(digest), path.stat().st_size, partial(_read, path))


def layer_blob(layer: Layer, store: Store) -> Blob:
    """Return a layer as a file of an archive, checked against its digest as it is written."""
    return Blob(_path(layer.diff_id), layer.size, lambda: _checked(layer, store))


def docker_index(image: str, diff_ids: Iterable[str], name: str) -> Blob:
    """Return the `manifest.json` of an image by id, in the form of `docker save`.

    Format: https://github.com/moby/docker-image-spec
    """
    entry = {"Config": _path(image), "RepoTags": [name], "Layers": [_path(one) for one in diff_ids]}
    return _text("manifest.json", json.dumps([entry]).encode())


def _checked(layer: Layer, store: Store) -> Iterator[bytes]:
    """Yield a layer's archive. Raises StoreError, naming the files, where it is not what was measured."""
    if layer.write is None:
        raise AssertionError("a layer that only the engine has is never sent")
    digest, size = hashlib.sha256(), 0
    for chunk in layer.write(None):
        digest.update(chunk)
        size += len(chunk)
        if size > layer.size:
            break
        yield chunk
    if f"sha256:{digest.hexdigest()}" != layer.diff_id:
        raise _tampered(layer, store)


def _tampered(layer: Layer, store: Store) -> StoreError:
    found: Listing = {}
    if layer.write is not None:
        measured(layer.write(found))
    recorded = listing_of(layer.listing, store)
    files = sorted(path for path in found.keys() | recorded.keys() if found.get(path) != recorded.get(path))
    return differing(layer.title, files)


def differing(title: str, files: list[str]) -> StoreError:
    """Return the error that names a layer that is not the recorded one, and the files that differ."""
    some = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return StoreError(
        f"the image's layer of {title} is not the one recorded: {some or 'modes or links'} differ",
        cause="something wrote into the store's cache since it was measured, or another version of Replay recorded it",
        do="delete cache/ in the store (all of it can be made again) and repeat; it comes back from the wheels",
    )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _text(path: str, data: bytes) -> Blob:
    return Blob(path, len(data), lambda: [data])


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
