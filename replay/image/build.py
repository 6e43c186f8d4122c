"""From a state in the store to its image: what `replay build` and `replay export` do."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from replay.digest import short
from replay.engines.base import Engine
from replay.engines.warehouse import Carrier, Warehouse
from replay.environment.base import Base
from replay.environment.kept import is_kept
from replay.environment.packages import PackageSet
from replay.environment.wheels import unpack
from replay.errors import BaseMissing, EngineError, InputError, WheelError
from replay.image import kept
from replay.image.archive import Blob, Format, archive, contents
from replay.image.compose import Environment, state_image
from replay.image.image import Image
from replay.layers.model import ModelLayer
from replay.layers.pipeline import PipelineLayer
from replay.layers.release import Release, workspace
from replay.store.base import Store
from replay.store.files import remove_tree


def warehouse_of(engine: Engine) -> Warehouse:
    """Return the images of an engine. Raises EngineError where it has none."""
    if not isinstance(engine, Carrier):
        raise EngineError(
            f"the engine {engine.name} runs no images",
            cause="the state was bound without a base image, or --engine local was asked for",
            do="declare [runtime] base, start Docker or Podman, and bind the job again",
        )
    return engine.warehouse


def image_of(base: Base) -> str:
    """Return the id of a base's image. Raises BaseMissing where it is a host."""
    if base.image is None:
        raise BaseMissing(
            "this state was bound on a host and has no image",
            cause=f"it ran on Python {base.python} of {base.os or 'a host'}",
            do="declare [runtime] base and bind the job again on a container engine",
        )
    return base.image


def rebuildable(packages: PackageSet) -> None:
    """Raise WheelError unless every package's wheel is kept."""
    unkept = sorted(name for name, wheel in packages.wheels.items() if not wheel.filename)
    if unkept:
        raise WheelError(
            f"this state's packages are described and not kept ({len(unkept)}, among them {unkept[0]})",
            cause="it was bound with --here, and a package above 2 GiB is described only",
            do="declare [runtime] requirements and bind without --here; or repeat it here, in that same environment",
        )


def provide(engine: Engine, base: Base, store: Store) -> None:
    """See to it that an engine can run a base: one that is gone and was kept is given back. Raises BaseMissing."""
    if base.image and isinstance(engine, Carrier) and is_kept(base.image, store):
        kept.give_back(base.image, engine.warehouse, store)
    engine.require(base)


def archived(engine: Engine, path: Path, python: str | None, name: str, store: Store) -> Base:
    """Return the base in an archive, loaded into the engine where it lacks it; `name` is what people call it.

    Raises BaseMissing, EngineError, StoreError.
    """
    image = kept.from_archive(path, store)
    kept.give_back(image, warehouse_of(engine), store)
    return engine.base(image, python).model_copy(update={"reference": name})


def environment(engine: Engine, base: Base, packages: PackageSet, store: Store) -> Environment:
    """Return a closure's environment over a base, its wheels unpacked; a kept base is given back to the engine first.

    Raises BaseMissing, EngineError, WheelError, StoreError.
    """
    warehouse, image = warehouse_of(engine), image_of(base)
    rebuildable(packages)
    provide(engine, base, store)
    interpreter = engine.interpreter(base)

    def tool(script: str, folder: Path) -> str:
        return engine.python_tool(base, script, folder)

    wheels = unpack(packages, interpreter, store, tool)
    return Environment(warehouse.describe(image), packages, interpreter, wheels, store)


@dataclass(frozen=True)
class Built:
    """A state's image, with what it was built from. `base` is the id of the base's image."""

    release: Release
    base: str
    environment: Environment
    image: Image

    @property
    def name(self) -> str:
        """The name under which engines know it: `replay/JOB:ID`."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.release.job.lower()).strip("-") or "job"
        return f"replay/{plain}:{short(self.image.id)}"


def build(release: Release, engine: Engine, store: Store, *, with_data: bool = True) -> Built:
    """Return a state's image, or one that lacks its inputs.

    Raises BaseMissing, EngineError, WheelError, StoreError (NotFound, CorruptBlob).
    """
    view = workspace(release)
    if view.base is None or view.packages is None:
        raise AssertionError("the runtime layer always names base and packages")
    found = environment(engine, view.base, view.packages, store)
    groups: dict[str, str] = {}
    for document in release.layers.values():
        if isinstance(document, PipelineLayer | ModelLayer):
            title = "code" if isinstance(document, PipelineLayer) else "model"
            groups |= dict.fromkeys(document.files, title)
    image = state_image(found, view, release.outputs.values(), groups, with_data=with_data)
    return Built(release, image_of(view.base), found, image)


def write(built: Built, base: dict[str, Path], form: Format, target: Path) -> None:
    """Write an image to a file, or with the format `oci` into a new folder; whole or not at all.

    Raises InputError where the target cannot be written, StoreError where a layer is not what was measured.
    """
    if target.is_dir() if form != "oci" else target.exists():
        raise InputError(
            f"{target} is there already",
            cause="an image is written into a new folder"
            if form == "oci"
            else "it is a folder, and the format's a file",
            do="name another with -o, or remove it",
        )
    blobs = contents(built.image, built.name, base, form, built.environment.store)
    with _whole(target) as temporary:
        if form == "oci":
            _write_folder(blobs, temporary)
        else:
            with temporary.open("wb") as file:
                file.writelines(archive(blobs))


def _write_folder(blobs: Iterable[Blob], folder: Path) -> None:
    for blob in blobs:
        target = folder / blob.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(blob.write())


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Yield a place beside `target` that becomes it in the end. Raises InputError."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        os.replace(temporary, target)  # noqa: PTH105 - also a folder
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error.strerror}",
            cause="the folder is not there, is not yours, or the disk is full",
            do="name another place with -o",
        ) from error
    finally:
        remove_tree(temporary) if temporary.is_dir() else temporary.unlink(missing_ok=True)
