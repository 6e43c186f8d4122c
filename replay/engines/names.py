"""What an engine calls an image, and what Replay calls it: the digest of its config, the same in every engine.

Most engines use that digest as well. One with containerd's image store (Docker 29's default) uses the digest of the
image's manifest, which hangs on how its layers were compressed on the way; the config is asked for once an image,
and remembered, as an image never changes.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.digest import CHUNK, of_file, short
from replay.engines.cargo import Stream
from replay.engines.saved import saved_image, unpack_saved

if TYPE_CHECKING:
    from docker import APIClient

OWN = ("replay-base:", "replay-fetched:")
"""How the names of bases begin that images/build.py or a registry gave."""


@dataclass(frozen=True)
class Named:
    """An image of an engine. `id` is the digest of its config, `here` the engine's own id for it, `told` what the
    engine says of it (`docker inspect`)."""

    id: str
    here: str
    told: Mapping[str, Any]


class Names:
    """The names of an engine's images. `connect` gives a client that waits long; `cache` as in `Images`."""

    def __init__(self, connect: Callable[[], APIClient], cache: Path | None = None) -> None:
        self._connect = connect
        self._cache = cache
        self._known: dict[str, Any] = {}

    def find(self, api: APIClient, name: str, reference: str = "") -> Named:
        """Return the image of a name or id, of either kind; `reference` is a name that it may go by as well.

        Raises docker's ImageNotFound and other errors, and EngineError where its config cannot be had.
        """
        from docker.errors import ImageNotFound

        try:
            return self._named(api, name)
        except ImageNotFound:
            if not name.startswith("sha256:") or not self.by_manifest:
                raise
            for other in self._others(api, name, reference):
                with contextlib.suppress(ImageNotFound):
                    if (found := self._named(api, other)).id == name:
                        return found
            raise

    def loaded(self, api: APIClient, image: str, name: str) -> bool:
        """Whether the image is here that was just loaded under this name; it is remembered. Raises as `find`."""
        from docker.errors import ImageNotFound

        try:
            if self.by_manifest:
                # Its layers may be there in another compression only, so it may be past taking out.
                here = api.inspect_image(name)["Id"]  # type: ignore[no-untyped-call]
                self._keep(here, {"config": image})
                self._keep(image, {"here": here})
            return self.find(api, image).id == image
        except ImageNotFound:
            return False

    def sizes(self, found: Named) -> dict[str, int]:
        """Return the sizes in bytes of an image's layers, as archives, by their digests. Raises as `find`."""
        return dict(self._look(found.here, "layers"))

    @cached_property
    def by_manifest(self) -> bool:
        """Whether the engine's ids are digests of manifests. Raises docker's errors."""
        return by_manifest(self._connect().info())

    def _named(self, api: APIClient, name: str) -> Named:
        told: Mapping[str, Any] = api.inspect_image(name)  # type: ignore[no-untyped-call]
        here = "sha256:" + told["Id"].removeprefix("sha256:")
        # Only a graph driver tells where it has the layers: then the engine need not be asked what it is.
        if (told.get("GraphDriver") or {}).get("Data") or not self.by_manifest:
            return Named(here, here, told)
        image = str(self._look(here, "config"))
        self._keep(image, {"here": here})
        return Named(image, here, told)

    def _others(self, api: APIClient, image: str, reference: str) -> Iterator[str]:
        """Yield what the image with this config may be called: as remembered, as asked for, as Replay names it."""
        if known := self._read(image):
            yield known["here"]
        if reference and not reference.startswith("sha256:"):
            yield reference
        for one in api.images():
            tags = one.get("RepoTags") or ()
            yield from (tag for tag in tags if tag.endswith(f":{short(image)}") or tag.startswith(OWN))

    def _look(self, here: str, wanted: str) -> Any:
        """Return `config` or `layers` (sizes) of an image by the engine's id: read out of the engine once."""
        if (known := self._read(here)) and wanted in known:
            return known[wanted]
        with tempfile.TemporaryDirectory() as folder:
            config, layers = taken_out(self._connect(), here, None, Path(folder))
            sizes = {digest: path.stat().st_size for digest, path in layers.items()}
            return self._keep(here, {"config": of_file(config), "layers": sizes})[wanted]

    def _read(self, digest: str) -> dict[str, Any] | None:
        if digest not in self._known and self._cache is not None:
            with contextlib.suppress(OSError, ValueError):
                self._known[digest] = json.loads(self._file(self._cache, digest).read_bytes())
        return self._known.get(digest)

    def _keep(self, digest: str, known: dict[str, Any]) -> dict[str, Any]:
        if self._cache is not None and self._read(digest) != known:
            with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=self._cache, delete=False) as file:
                file.write(json.dumps(known).encode())
                file.flush()
                Path(file.name).replace(self._file(self._cache, digest))
        self._known[digest] = known
        return known

    @staticmethod
    def _file(cache: Path, digest: str) -> Path:
        return cache / f"name-{digest.removeprefix('sha256:')}.json"


def by_manifest(info: Mapping[str, Any]) -> bool:
    """Whether an engine with this answer to `GET /info` names images by their manifest (containerd's image store).

    https://docs.docker.com/engine/storage/containerd/ shows the driver type to look for. Pure.
    """
    return ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or [])


def taken_out(api: APIClient, here: str, image: str | None, folder: Path) -> tuple[Path, dict[str, Path]]:
    """Write an image (`here`: the engine's id) into a folder; return config, and layers by digest, every byte checked.

    Raises docker's errors, and EngineError where it is not what the id `image` says.
    """
    with tarfile.open(fileobj=Stream(api.get_image(here, chunk_size=CHUNK)), mode="r|") as archive:
        return saved_image(unpack_saved(archive, folder), image)
