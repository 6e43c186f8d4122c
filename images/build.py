"""Build a base image from Debian's packages, bit for bit the same wherever it is made, without a registry.

`python images/build.py bookworm [--output FILE] [--load]`, or `build("bookworm")` and `load("bookworm")`.

mmdebstrap makes the tree; we write the layer and the image's config ourselves, because `docker import` stamps
the time into them. The result is an archive in the form of `docker save`
(https://github.com/moby/docker-image-spec), so `docker load` gives the same image id on every machine whose
mirror has the same packages. Needs the standard library, and the docker SDK for `load` alone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import os
import platform
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

if not __package__:  # started as a script: its folder is the package, wherever it is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from images.debian import bootstrap
from images.layers import opened, write_layer
from images.recipe import FOLDER, BuildError, Recipe, names, read_recipe

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

OUTDATED = 30 * 24 * 3600
"""Seconds after which an archive of another recipe or builder goes: until then another checkout may want it."""


def reference(name: str) -> str:
    """Return the name under which a base is loaded into an engine."""
    return f"replay-base:{name}"


def cache_folder() -> Path:
    """Return where built archives are kept: `REPLAY_IMAGE_CACHE`, else `~/.cache/replay/images`."""
    return Path(os.environ.get("REPLAY_IMAGE_CACHE") or Path.home() / ".cache" / "replay" / "images")


def build(name: str) -> Path:
    """Return the archive of the base `name`, built unless the cache has it. Raises BuildError."""
    recipe = read_recipe(name)
    folder = cache_folder()
    archive = folder / f"{name}-{_key(recipe)[:12]}.tar"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{name}.lock"):
        if not archive.exists():
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
                built = _build(recipe, Path(scratch))
                built.replace(archive)
            for other in folder.glob(f"{name}-{'[0-9a-f]' * 12}.tar"):
                if other.stat().st_mtime < time.time() - OUTDATED:
                    other.unlink()
    return archive


def image_id(archive: Path) -> str:
    """Return the id that an engine gives the image in `archive`: the digest of its config."""
    with tarfile.open(archive) as tar:
        config = json.load(opened(tar, tar.getmember("manifest.json")))[0]["Config"]
    return "sha256:" + str(config).removesuffix(".json")


def load(name: str, docker_host: str | None = None) -> str:
    """Load the base `name` into an engine (default: the environment's) and return its reference.

    Does nothing where the engine already has this very image. Raises BuildError.
    """
    import docker

    archive = build(name)
    wanted = image_id(archive)
    try:
        client = docker.DockerClient(base_url=docker_host, timeout=600) if docker_host else docker.from_env(timeout=600)
        with contextlib.closing(client), _locked(cache_folder() / f"{name}.loading"):
            if wanted not in {image.id for image in client.images.list(reference(name))}:
                with archive.open("rb") as file:
                    client.images.load(file)
    except docker.errors.DockerException as error:
        raise BuildError(
            f"{reference(name)} was not loaded", str(error), "start an engine, or set DOCKER_HOST"
        ) from error
    return reference(name)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel frees it when its holder ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(recipe: Recipe) -> str:
    """Return the digest of all that decides a base's bytes, save the packages that the mirror has today."""
    parent = _key(read_recipe(recipe.from_base)) if recipe.from_base else ""
    material = [
        asdict(recipe),
        parent,
        platform.machine(),
        *(file.read_text("utf-8") for file in sorted(FOLDER.glob("*.py"))),
    ]
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()


def _build(recipe: Recipe, scratch: Path) -> Path:
    layer, archive = scratch / "layer.tar", scratch / "image.tar"
    if recipe.from_base:
        parent = read_recipe(recipe.from_base)
        with tarfile.open(build(parent.name)) as image:
            inner = next(member for member in image if member.name.endswith("/layer.tar"))
            with tarfile.open(fileobj=opened(image, inner)) as tree:
                write_layer(tree, layer, recipe, parent.source_date_epoch)
        _write_archive(layer, archive, recipe.name, parent.source_date_epoch)
    else:
        raw = scratch / "raw.tar"
        bootstrap(recipe, raw)
        with tarfile.open(raw) as tree:
            write_layer(tree, layer, recipe, recipe.source_date_epoch)
        _write_archive(layer, archive, recipe.name, recipe.source_date_epoch)
    return archive


def _write_archive(layer: Path, output: Path, name: str, epoch: int) -> None:
    """Write the image: manifest, config and the one layer, in the form of `docker save`."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "config": {"Cmd": ["python3"], "Env": [f"PATH={search}", "LANG=C.UTF-8"]},
        "created": created,
        "history": [{"created": created, "created_by": f"images/build.py {name}"}],
        "os": "linux",
        "rootfs": {"diff_ids": [f"sha256:{digest}"], "type": "layers"},
    }
    text = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    config_name, layer_name = f"{hashlib.sha256(text).hexdigest()}.json", f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [reference(name)], "Layers": [layer_name]}]
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as image, layer.open("rb") as file:
        entries: list[tuple[str, IO[bytes]]] = [
            ("manifest.json", io.BytesIO(json.dumps(manifest, separators=(",", ":")).encode())),
            (config_name, io.BytesIO(text)),
            (layer_name, file),
        ]
        for path, content in entries:
            member = tarfile.TarInfo(path)
            member.mtime, member.size = epoch, content.seek(0, io.SEEK_END)
            content.seek(0)
            image.addfile(member, content)


def main() -> int:
    """Build, and load or copy where asked; print the image's id and its archive or reference."""
    parser = argparse.ArgumentParser(description="Build a base image from Debian's packages, bit for bit.")
    parser.add_argument("name", help=", ".join(names()))
    parser.add_argument("--output", type=Path, metavar="FILE", help="copy the archive to FILE (for docker load)")
    parser.add_argument("--load", action="store_true", help="load it into the engine at DOCKER_HOST")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        archive = build(options.name)
        if options.output:
            shutil.copyfile(archive, options.output)
        print(image_id(archive), load(options.name) if options.load else options.output or archive)
    except (BuildError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
