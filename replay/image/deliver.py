"""Putting an image into an engine, with what it has already left out of the transfer.

An engine cannot be asked which layers it has; what was put into it is remembered in the store's cache, and holds as
long as the image is there. Docker takes an archive without the layers it knows; Podman wants them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from replay.digest import canonical, of_bytes
from replay.engines.warehouse import Refused, Warehouse
from replay.image.archive import Blob, archive, base_blobs, config_blob, docker_index, layer_blob, oci_index
from replay.image.image import Image
from replay.image.kept import base_layers
from replay.image.layers import Layer, read_record, write_record
from replay.store.base import Store
from replay.store.files import storing

_REMEMBERED = 16
"""So many images of an engine are remembered as ground to put new ones on."""


@dataclass(frozen=True)
class Loaded:
    """What came of a load: titles of the layers that were sent and of those the engine had, the lowest first."""

    sent: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Ground:
    """The layers of an image that an engine has; `environment` says which one they show, empty for a state's image."""

    image: str
    environment: str
    layers: tuple[Layer, ...]


class Dock:
    """An engine's images, and what is remembered of those put there."""

    def __init__(self, warehouse: Warehouse, base: str, store: Store) -> None:
        self.warehouse = warehouse
        self.base = base
        self._store = store

    def load(self, image: Image, name: str, environment: str = "") -> Loaded:
        """Load an image under a name, unless it is there; `environment` as in `Ground`. Raises Refused, StoreError."""
        titles = tuple(layer.title for layer in image.layers)
        if self.warehouse.has(image.id):
            self._remember(image, environment)
            return Loaded((), titles)
        shared = self._shared(image)
        try:
            self._send(image, name, image.layers[shared:], ())
        except Refused:
            shared = 0
            with base_layers(self.base, self.warehouse, self._store) as archives:
                self._send(image, name, image.layers, base_blobs(archives))
        self._remember(image, environment)
        return Loaded(titles[shared:], titles[:shared])

    def holding(self, environment: str) -> str | None:
        """Return the image that shows an environment, where the engine has one."""
        found = (ground.image for ground in self._grounds() if ground.environment == environment)
        return next((image for image in found if self.warehouse.has(image)), None)

    def best(self, worth: Callable[[tuple[Layer, ...]], int]) -> Ground | None:
        """Return the environment in the engine that is worth most to build on; None where none is worth anything."""
        grounds = [(worth(ground.layers), ground) for ground in self._grounds() if ground.environment]
        ranked = sorted((pair for pair in grounds if pair[0] > 0), key=lambda pair: -pair[0])
        return next((ground for _, ground in ranked if self.warehouse.has(ground.image)), None)

    def _grounds(self) -> list[Ground]:
        """Return what this engine was given over this base, the newest first. It may be gone."""
        known = read_record(self._record) or []
        return [Ground(**{**one, "layers": tuple(Layer(**layer) for layer in one["layers"])}) for one in known]

    def _shared(self, image: Image) -> int:
        """Return how many of an image's layers over the base, from the lowest, the engine has."""
        shares = sorted(((_common(image.layers, g.layers), g.image) for g in self._grounds()), reverse=True)
        return next((count for count, other in shares if count and self.warehouse.has(other)), 0)

    def _send(self, image: Image, name: str, layers: Sequence[Layer], base: Iterable[Blob]) -> None:
        blobs = [config_blob(image), *base, *(layer_blob(layer, self._store) for layer in layers)]
        blobs.append(docker_index(image.id, image.diff_ids, name))
        if (sizes := self.warehouse.sizes(self.base)) is not None:
            blobs += oci_index(image, name, sizes)
        with storing("read the layers of an image"):
            self.warehouse.load(archive(blobs), image.id, name)

    def _remember(self, image: Image, environment: str) -> None:
        layers = [{k: v for k, v in asdict(layer).items() if k != "write"} for layer in image.layers]
        new = {"image": image.id, "environment": environment, "layers": layers}
        others = [one for one in read_record(self._record) or [] if one["image"] != image.id]
        write_record(self._record, [new, *others][:_REMEMBERED])

    @cached_property
    def _record(self) -> Path:
        name = of_bytes(canonical([self.warehouse.identity(), self.base])).removeprefix("sha256:")
        return self._store.cache("delivered") / f"{name}.json"


def _common(one: Sequence[Layer], other: Sequence[Layer]) -> int:
    """Return how many layers two images share, from the lowest."""
    for number, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine.diff_id != its.diff_id:
            return number
    return min(len(one), len(other))
