"""An image as an archive, in the form of `docker save`: taken apart, every byte checked against its digest."""

from __future__ import annotations

import gzip
import json
import posixpath
import shutil
import tarfile
import zlib
from pathlib import Path

from replay.digest import CHUNK, of_file
from replay.errors import EngineError

_GZIP = b"\x1f\x8b"


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


def _plain(layer: Path) -> Path:
    """Return a layer's archive as it is named by its digest: where it is compressed by gzip, what is in it.

    Raises EngineError.
    """
    with layer.open("rb") as file:
        if file.read(2) != _GZIP:
            return layer
    plain = layer.with_name(f"{layer.name}.tar")
    try:
        with gzip.open(layer) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, CHUNK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EngineError(
            "a layer in the archive of an image cannot be read",
            cause=f"the archive is damaged or cut off ({error})",
            do="write it anew: `docker save IMAGE -o FILE`",
        ) from error
    return plain


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
    layers = {digest: _plain(path) for digest, path in layers.items()}
    checks = ({image: config} if image else {}) | layers
    wrong = [digest for digest, path in checks.items() if of_file(path) != digest]
    if wrong:
        raise EngineError(
            f"the image is not what its id says: {wrong[0]} has other bytes",
            cause="the archive is damaged, or its layers are compressed otherwise than by gzip",
            do="write it anew with its layers as they are: `skopeo copy … docker-archive:FILE`",
        )
    return config, layers
