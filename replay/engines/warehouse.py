"""An engine's images as things to be carried: looked at, taken out, put in."""

from __future__ import annotations

import json
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from replay.digest import CHUNK, of_file
from replay.engines.cargo import Delivery, Stream
from replay.engines.container import engine_errors
from replay.environment.base import BaseImage
from replay.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient

PATIENCE = 1800
"""Seconds within which an engine must have taken or given an image."""


OFF = 'set REPLAY_DELIVERY=mount, or `"features": {"containerd-snapshotter": false}` in the engine\'s daemon.json'
"""What to do about an engine that names images by their manifest."""


def by_manifest(info: Mapping[str, Any]) -> bool:
    """Whether an engine with this answer to `GET /info` names images by their manifest (containerd's image store).

    https://docs.docker.com/engine/storage/containerd/ shows the driver type to look for. Pure.
    """
    return ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or [])


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

    def __init__(self, connect: Callable[[], APIClient]) -> None:
        self._connect = connect

    def identity(self) -> str:
        """Return what tells this engine from others."""
        with engine_errors("(none)"):
            said = self._connect().info()
        return str(said.get("ID") or said.get("Name") or "")

    def architecture(self) -> str:
        """Return what kind of machine this engine runs images for, as images say it (`amd64`). Raises EngineError."""
        with engine_errors("(none)"):
            return str(self._connect().version().get("Arch", ""))

    def by_manifest(self) -> bool:
        """Whether images are named by their manifest here: none can be put in or taken out byte for byte."""
        with engine_errors("(none)"):
            return by_manifest(self._connect().info())

    def known(self, name: str) -> str | None:
        """Return the id of the image of a name, None where none is here. Raises EngineError."""
        from docker.errors import ImageNotFound

        with engine_errors(name):
            try:
                found = self._connect().inspect_image(name)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return None
        return "sha256:" + str(found["Id"]).removeprefix("sha256:")

    def describe(self, image: str) -> BaseImage:
        """Return what an image built on this one takes over. Raises BaseMissing."""
        with engine_errors(image):
            found = self._connect().inspect_image(image)  # type: ignore[no-untyped-call]
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

    def load(self, archive: Iterable[bytes], image: str) -> None:
        """Take in an archive, in the form of `docker save`, that holds the image of this id.

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
        if problem or not self.has(image):
            kept = "it names images by their manifest (containerd's image store)" if self.by_manifest() else ""
            raise Refused(
                f"the engine did not take the image {image.removeprefix('sha256:')[:12]}",
                cause=kept or problem.strip() or "it gave the image another id",
                do=OFF
                if kept
                else "update the engine (Docker from 20.10, Podman from 4.3), or set REPLAY_DELIVERY=mount",
            )

    def save(self, image: str, folder: Path) -> tuple[Path, dict[str, Path]]:
        """Write an image's config and its layers' archives into a folder; return the config, and layers by digest.

        Raises BaseMissing, and EngineError where what the engine gives is not what the image's id says.
        """
        with engine_errors(image):
            stream = Stream(self._connect().get_image(image, chunk_size=CHUNK))
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                files = unpack_saved(archive, folder)
        return saved_image(files, image)


def unpack_saved(archive: tarfile.TarFile, folder: Path) -> dict[str, Path]:
    """Write the files of a saved image into a folder, numbered; return them by their names. Raises OSError."""
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    for number, found in enumerate(archive):
        name = posixpath.normpath(found.name)
        if found.issym():
            links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), found.linkname))
        elif found.islnk():
            links[name] = posixpath.normpath(found.linkname)
        elif content := archive.extractfile(found):
            files[name] = folder / str(number)
            with files[name].open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK)
    return files | {name: files[target] for name, target in links.items() if target in files}


def saved_image(files: dict[str, Path], image: str | None) -> tuple[Path, dict[str, Path]]:
    """Return config and layers by digest of the one saved image, every byte checked against its digest.

    `image` is the id it must have, None for any. Raises EngineError.
    """
    try:
        (listed,) = json.loads(files["manifest.json"].read_bytes())
        config = files[posixpath.normpath(listed["Config"])]
        wanted = json.loads(config.read_bytes())["rootfs"]["diff_ids"]
        layers = dict(zip(wanted, (files[posixpath.normpath(name)] for name in listed["Layers"]), strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(
            "the archive is not that of one image, as `docker save` writes it",
            cause=f"it is something else, holds several images, or is cut off ({type(error).__name__}: {error})",
            do="write it anew: `docker save IMAGE -o FILE`, or `skopeo copy … docker-archive:FILE`",
        ) from error
    checks = ({image: config} if image else {}) | layers
    wrong = [digest for digest, path in checks.items() if of_file(path) != digest]
    if wrong:
        raise EngineError(
            f"the image is not what its id says: {wrong[0]} has other bytes",
            cause="its layers are compressed in the archive, the archive is damaged, or the engine keeps images by "
            "manifest (containerd's image store)",
            do="save it with an engine that keeps images by config "
            '(`"features": {"containerd-snapshotter": false}` in its daemon.json)',
        )
    return config, layers


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
