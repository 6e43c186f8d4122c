"""The layers of a base: kept in the store on request (see `replay.environment.kept`), else out of an engine."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from replay.digest import canonical, of_bytes, of_file, short
from replay.engines.saved import saved_image, unpack_saved
from replay.engines.warehouse import Warehouse
from replay.environment.kept import describe, is_kept
from replay.errors import BaseMissing
from replay.image.archive import archive, base_blobs, docker_index, file_blob
from replay.image.layers import read_record, write_record
from replay.store.base import Store
from replay.store.files import remove_tree, storing


def keep(image: str, warehouse: Warehouse, store: Store) -> None:
    """Keep a base of the engine in the store. Raises BaseMissing, EngineError, StoreError."""
    if is_kept(image, store):
        return
    with _saved(image, warehouse, store) as (config, layers):
        for path in (*layers.values(), config):
            store.put_file(path)


def from_archive(path: Path, store: Store) -> str:
    """Keep the base in an archive, as `docker save` or images/build.py writes it; return its image's id.

    Raises BaseMissing where it cannot be read, EngineError where it is something else.
    """
    try:
        status = path.stat()
        key = of_bytes(canonical([str(path.absolute()), status.st_size, status.st_mtime_ns])).removeprefix("sha256:")
        known = read_record(store.cache("bases") / key)
        if known and is_kept(known, store):
            return str(known)
        folder = store.scratch("base")
        try:
            with tarfile.open(path) as archive:
                config, layers = saved_image(unpack_saved(archive, folder), None)
            image = of_file(config)
            for file in (*layers.values(), config):
                store.put_file(file)
        finally:
            remove_tree(folder)
    except (OSError, tarfile.TarError) as error:
        raise BaseMissing(
            f"the base {path} cannot be read: {error}",
            cause="it is not there, or no archive of an image",
            do="write it with `docker save IMAGE -o FILE` or `python images/build.py NAME --output FILE`",
        ) from error
    write_record(store.cache("bases") / key, image)
    return image


def give_back(image: str, warehouse: Warehouse, store: Store) -> None:
    """Load a kept base into an engine that lacks it. Raises Refused, NotFound, CorruptBlob."""
    if warehouse.has(image):
        return
    layers = describe(image, store).layers
    files = {one: store.path(one) for one in layers}
    send(image, store.path(image), layers, files, f"replay-kept:{short(image)}", warehouse)


def send(
    image: str, config: Path, layers: tuple[str, ...], files: Mapping[str, Path], name: str, warehouse: Warehouse
) -> None:
    """Load a base into an engine under a name; `files` are its layers' archives by digest.

    Raises Refused, StoreError.
    """
    blobs = [file_blob(image, config), *base_blobs(files)]
    with storing("read a base"):
        warehouse.load(archive([*blobs, docker_index(image, layers, name)]), image, name)


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
