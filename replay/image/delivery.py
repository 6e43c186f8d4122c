"""An environment in an engine as an image: what is there is used, what was swapped is put on top."""

from __future__ import annotations

import json
from dataclasses import dataclass

from replay.digest import canonical, of_bytes, short
from replay.engines.base import Engine
from replay.environment.base import Base
from replay.environment.packages import PackageSet
from replay.environment.tree import FINDINGS
from replay.environment.tree import digest as digest_of
from replay.errors import StoreError
from replay.image.archive import differing
from replay.image.build import environment, image_of, warehouse_of
from replay.image.compose import Environment
from replay.image.deliver import Dock
from replay.image.image import Image
from replay.image.layers import Layer, listing_of, read_record, write_record
from replay.image.plan import MOST_LAYERS
from replay.record import ImageRecord, LayerRecord
from replay.store.base import Store


@dataclass(frozen=True)
class Delivered:
    """An environment that is in an engine: `image` is the id to run, `record` names what is in it.

    The engine may hold the layers in another order than the record, with those of swapped packages hidden below.
    """

    image: str
    record: ImageRecord
    findings: tuple[str, ...]


def deliver(engine: Engine, base: Base, packages: PackageSet, store: Store) -> Delivered:
    """Put an environment into an engine, unless it is there.

    Raises BaseMissing, EngineError, WheelError, StoreError.
    """
    made_of = of_bytes(canonical([digest_of(packages, engine.interpreter(base)), image_of(base)]))
    dock = Dock(warehouse_of(engine), image_of(base), store)
    memory = store.cache("environments") / f"{made_of.removeprefix('sha256:')}.json"
    known, there = read_record(memory), dock.holding(made_of)
    if known and there:
        record = ImageRecord.model_validate(known["record"])
        if all(store.has(layer.listing) for layer in record.layers):
            return Delivered(there, record, tuple(known["findings"]))
    made = environment(engine, base, packages, store)
    image = _on_top(made, dock)
    dock.load(image, f"replay-env:{short(image.id)}", made_of)
    record, findings = _record(made.image), tuple(json.loads(made.content.own[FINDINGS]))
    write_record(memory, {"record": record.model_dump(mode="json"), "findings": list(findings)})
    return Delivered(image.id, record, findings)


def prove(recorded: ImageRecord, found: ImageRecord, store: Store) -> None:
    """Raise StoreError, naming layer, package and files, unless an environment has the recorded digest."""
    if recorded.id == found.id:
        return
    layers = {layer.title: layer for layer in found.layers}
    for layer in recorded.layers:
        other = layers.get(layer.title)
        if other is None or other.diff_id != layer.diff_id:
            was = listing_of(layer.listing, store)
            now = listing_of(other.listing, store) if other else {}
            raise differing(layer.title, sorted(path for path in was | now if was.get(path) != now.get(path)))
    raise StoreError(
        f"the environment's image is {short(found.id)}, and {short(recorded.id)} is recorded",
        cause="base, order or settings of its layers differ, though every layer is the same",
        do="use the version of Replay that recorded it",
    )


def _on_top(made: Environment, dock: Dock) -> Image:
    """Return the environment's image over what the engine holds, where that saves anything; else as it is."""
    wanted = {layer.diff_id for layer in made.stacked.values()}

    def saved(layers: tuple[Layer, ...]) -> int:
        """The bytes that need not be sent, less those that lie there in vain; nothing where there is no room."""
        more = len(wanted - {layer.diff_id for layer in layers}) + 1
        if len(made.base.layers) + len(layers) + more > MOST_LAYERS:
            return 0
        return sum(layer.size if layer.diff_id in wanted else -layer.size // 4 for layer in layers)

    ground = dock.best(saved)
    return made.over(ground.layers) if ground else made.image


def _record(image: Image) -> ImageRecord:
    layers = (LayerRecord(title=one.title, diff_id=one.diff_id, listing=one.listing) for one in image.layers)
    return ImageRecord(id=image.id, layers=tuple(layers))
