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
import fnmatch
import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

FOLDER = Path(__file__).resolve().parent
HOOKS = Path("/usr/share/mmdebstrap/hooks")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# What differs from machine to machine or from build to build, and what the engine lays over the image anyway.
EMPTIED = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/lib/apt/lists", "/var/log", "/var/tmp")
DROPPED = (
    "/etc/.pwd.lock",
    "/etc/apt/apt.conf.d/99mmdebstrap",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/etc/resolv.conf",
    "/var/lib/dbus/machine-id",
)

# Bytecode is made anew, with a fixed hash seed: before Python 3.11 the order of a set in it hangs on that seed.
# Unchecked, because neither sources nor times ever change in an image (PEP 552).
CUSTOMIZE = """set -eu
for locale in {locales}; do
    chroot "$1" localedef --no-archive --no-hard-links -i "${{locale%.*}}" -f "${{locale#*.}}" "$locale"
done
ln -s /usr/bin/python3 "$1/usr/local/bin/python"
rm -rf "$1"/etc/apt/sources.list.d/*
echo "deb {mirror} {suite} main" > "$1/etc/apt/sources.list"
find "$1/usr" -name __pycache__ -type d -prune -exec rm -rf {{}} +
chroot "$1" env -i PATH=/usr/bin PYTHONHASHSEED=0 python3 -S -m compileall -q -f -j 1 \\
    --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python{python}
"""


class BuildError(Exception):
    """A base cannot be built or loaded; the text says what failed, the likely cause and what to do."""

    def __init__(self, what: str, cause: str, do: str) -> None:
        super().__init__(f"{what}\n  likely cause: {cause}\n  what to do:   {do}")


class ToolMissing(BuildError):
    """mmdebstrap is not on this machine."""


@dataclass(frozen=True)
class Recipe:
    """A base's `recipe.toml`. Either `suite` and what belongs to it, or `from_base` and what is taken away.

    `hooks` are folders of hooks that come with mmdebstrap.
    `exclude` and `keep` are absolute paths; `exclude` takes all that is beneath, `keep` may hold wildcards.
    `source_date_epoch` is in seconds since 1970.
    """

    name: str
    from_base: str = ""
    suite: str = ""
    python: str = ""
    mirror: str = ""
    packages: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    source_date_epoch: int = 0
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    purge: tuple[str, ...] = ()


def names() -> list[str]:
    """Return the names of all bases that have a recipe."""
    return sorted(path.parent.name for path in FOLDER.glob("*/recipe.toml"))


def read_recipe(name: str) -> Recipe:
    """Return the recipe of the base `name`. Raises BuildError where there is none or it cannot be read."""
    if name not in names():
        raise BuildError(f"there is no base called {name!r}", "a misspelt name", f"choose one of: {', '.join(names())}")
    path = FOLDER / name / "recipe.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
        }
        return Recipe(name=name, from_base=fields.pop("from", ""), **fields)
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise BuildError(f"{path} cannot be used", str(error), "mend the recipe") from error


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
                for outdated in folder.glob(f"{name}-{'[0-9a-f]' * 12}.tar"):
                    outdated.unlink()
                built.replace(archive)
    return archive


def image_id(archive: Path) -> str:
    """Return the id that an engine gives the image in `archive`: the digest of its config."""
    with tarfile.open(archive) as tar:
        config = json.load(_content(tar, tar.getmember("manifest.json")))[0]["Config"]
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
    material = [asdict(recipe), parent, platform.machine(), Path(__file__).read_text("utf-8")]
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()


def _build(recipe: Recipe, scratch: Path) -> Path:
    layer, archive = scratch / "layer.tar", scratch / "image.tar"
    if recipe.from_base:
        parent = read_recipe(recipe.from_base)
        with tarfile.open(build(parent.name)) as image:
            inner = next(member for member in image if member.name.endswith("/layer.tar"))
            with tarfile.open(fileobj=_content(image, inner)) as tree:
                _write_layer(tree, layer, recipe, parent.source_date_epoch)
        _write_archive(layer, archive, recipe.name, parent.source_date_epoch)
    else:
        raw = scratch / "raw.tar"
        _mmdebstrap(recipe, raw)
        with tarfile.open(raw) as tree:
            _write_layer(tree, layer, recipe, recipe.source_date_epoch)
        _write_archive(layer, archive, recipe.name, recipe.source_date_epoch)
    return archive


def _mmdebstrap(recipe: Recipe, output: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise ToolMissing(
            f"the base {recipe.name} cannot be built: mmdebstrap is missing",
            "it is not installed, or this is not Debian or Ubuntu",
            "apt-get install mmdebstrap debian-archive-keyring, or pin a base from a registry (images/README.md)",
        )
    print(f"building the base {recipe.name} from Debian's packages (about half a minute)", file=sys.stderr, flush=True)
    customize = CUSTOMIZE.format(
        locales=" ".join(recipe.locales), mirror=recipe.mirror, suite=recipe.suite, python=recipe.python
    )
    command = [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(recipe.packages)}",
        *(f"--aptopt={option}" for option in _apt_options()),
        *(f"--hook-dir={HOOKS / hook}" for hook in recipe.hooks),
        f"--customize-hook={customize}",
        recipe.suite,
        "-",
        f"deb {_mirror(recipe.mirror)} {recipe.suite} main",
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(recipe.source_date_epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    log = output.with_suffix(".log")
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()  # it unmounts and removes its own tree
            process.wait()
            raise
    if code:
        lines = [
            line for line in log.read_text("utf-8", "replace").splitlines() if line.startswith(("E:", "W:", "Err"))
        ]
        cause = "; ".join(lines[:4]) or "no error message"
        raise BuildError(f"mmdebstrap failed on {recipe.suite}", cause, "check the mirror, the network and free space")


def _mirror(wanted: str) -> str:
    """Return the machine's own Debian mirror in place of deb.debian.org, and any other mirror as it is."""
    if wanted != "http://deb.debian.org/debian" or not shutil.which("apt-get"):
        return wanted
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((uri.rstrip("/") for uri in listed if re.fullmatch(r"https?://\S+/debian/?", uri)), wanted)


def _apt_options() -> list[str]:
    """Return the machine's proxy settings for apt, which mmdebstrap does not read itself."""
    if not shutil.which("apt-config"):
        return []
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return re.findall(r'^(Acquire::https?::Proxy(?:::[^ ]+)? "[^"]+");$', dumped, re.MULTILINE)


def _write_layer(source: tarfile.TarFile, output: Path, recipe: Recipe, epoch: int) -> None:
    """Write the members of `source` that the recipe wants: sorted, by number, all of one time."""
    members = {_path(member): member for member in source}
    wanted = _wanted(members, recipe, _purged(source, members, recipe.purge))
    kept = {path: members[path] for path in wanted if path in members}
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as layer:
        for path, member in kept.items():
            content: IO[bytes] | None = None
            if member.isreg() or (member.islnk() and "/" + member.linkname.removeprefix("./") not in kept):
                content = _content(source, member)
            if path == "/var/lib/dpkg/status" and recipe.purge:
                content = io.BytesIO(_without(content.read() if content else b"", recipe.purge))
            layer.addfile(_clean(member, path, content, epoch), content)


def _path(member: tarfile.TarInfo) -> str:
    return "/" + member.name.removeprefix(".").strip("/")


def _clean(member: tarfile.TarInfo, path: str, content: IO[bytes] | None, epoch: int) -> tarfile.TarInfo:
    clean = tarfile.TarInfo(path.lstrip("/") or ".")
    clean.mode, clean.uid, clean.gid, clean.mtime = member.mode, member.uid, member.gid, epoch
    clean.type, clean.linkname = member.type, member.linkname
    if member.islnk():
        clean.linkname = member.linkname.removeprefix("./")
    if content:
        clean.type, clean.linkname = tarfile.REGTYPE, ""
        clean.size = content.seek(0, io.SEEK_END)
        content.seek(0)
    return clean


def _wanted(paths: Iterable[str], recipe: Recipe, purged: set[str]) -> list[str]:
    """Return the paths to keep and the folders above them, sorted."""
    gone = {*DROPPED, *recipe.exclude} | purged
    beneath = tuple(f"{path}/" for path in (*EMPTIED, *recipe.exclude))
    wanted = {"/"}
    for path in paths:
        excepted = any(fnmatch.fnmatchcase(path, pattern) for pattern in recipe.keep)
        if excepted:
            wanted.update(str(parent) for parent in PurePosixPath(path).parents)
        if excepted or not (path in gone or path.startswith(beneath)):
            wanted.add(path)
    return sorted(wanted)


def _purged(source: tarfile.TarFile, members: dict[str, tarfile.TarInfo], packages: tuple[str, ...]) -> set[str]:
    """Return the files that dpkg says belong to `packages`, and dpkg's own about them. Folders stay."""
    gone: set[str] = set()
    for package in packages:
        owned = re.compile(rf"/var/lib/dpkg/info/{re.escape(package)}(:\w+)?\.\w+")
        about = [path for path in members if owned.fullmatch(path)]
        if not about:
            raise BuildError(f"cannot take {package} out", "it is not in the base", "mend `purge` in the recipe")
        gone.update(about)
        for path in about:
            if path.endswith(".list"):
                gone.update(_content(source, members[path]).read().decode().splitlines())
    return {path for path in gone if path in members and not members[path].isdir()}


def _without(status: bytes, packages: tuple[str, ...]) -> bytes:
    """Return dpkg's status without the stanzas of `packages`."""
    heads = tuple(f"Package: {package}\n" for package in packages)
    return "".join(f"{s}\n\n" for s in status.decode().strip().split("\n\n") if not s.startswith(heads)).encode()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise BuildError(
            f"{member.name} has no content", "a damaged archive", f"empty {cache_folder()} and build again"
        )
    return content


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
