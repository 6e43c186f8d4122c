"""A base in the store: kept as what its id names. The image's config is the blob of that very digest, each layer's
archive the blob of its diff id; nothing else needs to be written down."""

from __future__ import annotations

import json

from replay.environment.base import BaseImage
from replay.errors import StoreError
from replay.store.base import BlobRef, Store

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

_SIZES: dict[str, int] = {}


def is_kept(image: str, store: Store) -> bool:
    """Whether the store holds a base whole (not whether it is sound)."""
    return store.has(image) and all(store.has(layer) for layer in describe(image, store).layers)


def describe(image: str, store: Store) -> BaseImage:
    """Return what an image built on a kept base takes over. Raises NotFound, CorruptBlob, StoreError."""
    return read(image, store.get(image))


def read(image: str, data: bytes) -> BaseImage:
    """Return what an image built on a base takes over, given its config. Raises StoreError where it is none."""
    try:
        config = json.loads(data)
        return BaseImage(
            architecture=config["architecture"],
            os=config["os"],
            variant=config.get("variant") or None,
            env=tuple((config.get("config") or {}).get("Env") or ()),
            layers=tuple(config["rootfs"]["diff_ids"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"the base {image[7:19]} in the store is no image's config",
            cause="another blob has that digest's name in a state, or the state was made by hand",
            do="do not use it; ask whoever made it",
        ) from error


def refs(image: str, store: Store) -> list[BlobRef]:
    """Return a kept base as the blobs that a state refers to; none where it is not kept."""
    if not is_kept(image, store):
        return []
    blobs = [(image, CONFIG_TYPE, "base")]
    blobs += [(layer, LAYER_TYPE, "base layer") for layer in describe(image, store).layers]
    return [BlobRef(digest, _size(digest, store), kind, title) for digest, kind, title in blobs]


def _size(digest: str, store: Store) -> int:
    """Return a blob's size in bytes. Asked once a process: a store hashes a blob again to hand it out."""
    if digest not in _SIZES:
        _SIZES[digest] = store.path(digest).stat().st_size
    return _SIZES[digest]
