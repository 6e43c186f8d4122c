"""An engine's images as things to be carried: looked at, taken out, put in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from replay.digest import CHUNK
from replay.engines.cargo import Delivery
from replay.engines.container import engine_errors
from replay.engines.names import Names, taken_out
from replay.environment.base import BaseImage
from replay.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient

PATIENCE = 1800
"""Seconds within which an engine must have taken or given an image."""


class Refused(EngineError):
    """The engine does not take an archive as it is, for instance because layers are left out of it."""


@runtime_checkable
class Carrier(Protocol):
    """What an engine that runs images can do besides running them."""

    @property
    def warehouse(self) -> Warehouse:
        """Its images."""
        ...

    @property
    def delivery(self) -> Delivery:
        """How environments reach it: as images, or mounted. Raises EngineError."""
        ...


class Warehouse:
    """The images of a container engine. `connect` gives a client that waits for PATIENCE seconds."""

    def __init__(self, connect: Callable[[], APIClient], names: Names | None = None) -> None:
        self._connect = connect
        self._names = names or Names(connect)

    def identity(self) -> str:
        """Return what tells this engine from others."""
        with engine_errors("(none)"):
            said = self._connect().info()
        return str(said.get("ID") or said.get("Name") or "")

    def architecture(self) -> str:
        """Return what kind of machine this engine runs images for, as images say it (`amd64`). Raises EngineError."""
        with engine_errors("(none)"):
            return str(self._connect().version().get("Arch", ""))

    def sizes(self, image: str) -> dict[str, int] | None:
        """Return the sizes of an image's layers where an archive that leaves layers out must name them.

        None where it need not: only containerd's image store asks for a manifest. Raises BaseMissing, EngineError.
        """
        with engine_errors(image):
            if not self._names.by_manifest:
                return None
            return self._names.sizes(self._names.find(self._connect(), image))

    def known(self, name: str) -> str | None:
        """Return the id of the image of a name, None where none is here. Raises EngineError."""
        from docker.errors import ImageNotFound

        with engine_errors(name):
            try:
                return self._names.find(self._connect(), name).id
            except ImageNotFound:
                return None

    def describe(self, image: str) -> BaseImage:
        """Return what an image built on this one takes over. Raises BaseMissing."""
        with engine_errors(image):
            found = self._names.find(self._connect(), image).told
        return BaseImage(
            architecture=found["Architecture"],
            os=found["Os"],
            variant=found.get("Variant") or None,
            env=tuple(found["Config"].get("Env") or ()),
            layers=tuple(found["RootFS"]["Layers"]),
        )

    def has(self, image: str) -> bool:
        """Whether an image is here, by id or name. Raises EngineError."""
        return self.known(image) is not None

    def named(self, repository: str) -> list[str]:
        """Return the names of the images `REPOSITORY:…` that are here. Raises EngineError."""
        with engine_errors(repository):
            images = self._connect().images()
        # Podman puts `localhost/` before a name that has no registry.
        names = (name for image in images for name in image.get("RepoTags") or ())
        return sorted(name for name in names if name.removeprefix("localhost/").startswith(f"{repository}:"))

    def remove(self, name: str) -> bool:
        """Remove an image's name, and the image with its last; return False where a container uses it."""
        from docker.errors import APIError, ImageNotFound

        with engine_errors(name):
            try:
                self._connect().remove_image(name)
            except ImageNotFound:
                return True
            except APIError as error:
                if error.status_code == 409:
                    return False
                raise
        return True

    def load(self, archive: Iterable[bytes], image: str, name: str) -> None:
        """Take in an archive, in the form of `docker save`, that holds the image of this id under a name.

        Raises Refused where the engine does not take it, and whatever `archive` raises.
        """
        from docker.errors import APIError

        problem = ""
        with engine_errors(image):
            try:
                api: Any = self._connect()
                said: list[dict[str, Any]] = list(api.load_image(_batched(archive)))
            except APIError as error:
                problem = str(error.explanation or error)
            else:
                problem = next((line["error"] for line in said if "error" in line), "")
            there = not problem and self._names.loaded(self._connect(), image, name)
        if not there:
            raise Refused(
                f"the engine did not take the image {image.removeprefix('sha256:')[:12]}",
                cause=problem.strip() or "it gave the image another id",
                do="update the engine (Docker from 20.10, Podman from 4.3), or set REPLAY_DELIVERY=mount",
            )

    def save(self, image: str, folder: Path) -> tuple[Path, dict[str, Path]]:
        """Write an image's config and its layers' archives into a folder; return the config, and layers by digest.

        Raises BaseMissing, and EngineError where what the engine gives is not what the image's id says.
        """
        with engine_errors(image):
            api = self._connect()
            return taken_out(api, self._names.find(api, image).here, image, folder)


def _batched(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of about a megabyte: each piece costs a round through the socket."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= CHUNK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
