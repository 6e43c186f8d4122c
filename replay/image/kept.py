"""The layers of a base: kept in the store on request, else out of an engine that has it.

A base is kept as what its id names: the image's config is the blob of that very digest, each layer's archive the
blob of its diff id. Nothing else needs to be written down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.engines.warehouse import Warehouse
from replay.environment.base import BaseImage
from replay.errors import StoreError
from replay.image.archive import archive, base_blobs, docker_index, file_blob
from replay.store.base import Store
from replay.store.files import remove_tree, storing


def is_kept(image: str, store: Store) -> bool:
    """Whether the store holds a base whole (not whether it is sound)."""
    return store.has(image) and all(store.has(layer) for layer in describe(image, store).layers)


def describe(image: str, store: Store) -> BaseImage:
    """Return what an image built on a kept base takes over. Raises NotFound, CorruptBlob, StoreError."""
    try:
        config = json.loads(store.get(image))
        return BaseImage(
            architecture=config["architecture"],
            os=config["os"],
            variant=config.get("variant") or None,
            env=tuple((config.get("config") or {}).get("Env") or ()),
            layers=tuple(config["rootfs"]["diff_ids"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the base {image[7:19]} in the store is no image's config",
            cause="another blob has that digest's name in a state, or the state was made by hand",
            do="do not use it; ask whoever made it",
        ) from error


def keep(image: str, warehouse: Warehouse, store: Store) -> None:
    """Keep a base of the engine in the store. Raises BaseMissing, EngineError, StoreError."""
    if is_kept(image, store):
        return
    with _saved(image, warehouse, store) as (config, layers):
        for path in (*layers.values(), config):
            store.put_file(path)


def give_back(image: str, reference: str, warehouse: Warehouse, store: Store) -> None:
    """Load a kept base into an engine that lacks it, under `reference`. Raises Refused, NotFound, CorruptBlob."""
    if warehouse.has(image):
        return
    layers = describe(image, store).layers
    blobs = [file_blob(image, store.path(image)), *base_blobs({one: store.path(one) for one in layers})]
    with storing("read a kept base"):
        warehouse.load(archive([*blobs, docker_index(image, layers, reference)]), image)


@contextmanager
def base_layers(image: str, warehouse: Warehouse, store: Store) -> Iterator[dict[str, Path]]:
    """Hold the archives of a base's layers by digest. Raises BaseMissing, EngineError, StoreError."""
    if is_kept(image, store):
        yield {layer: store.path(layer) for layer in describe(image, store).layers}
        return
    with _saved(image, warehouse, store) as (_, layers):
        yield layers


@contextmanager
def _saved(image: str, warehouse: Warehouse, store: Store) -> Iterator[tuple[Path, dict[str, Path]]]:
    folder = store.scratch("base")
    try:
        with storing("take a base out of the engine"):
            saved = warehouse.save(image, folder)
        yield saved
    finally:
        remove_tree(folder)
