"""Taking an existing image as it is: its Python packages as wheels, all the rest of it by content.

The image is read, not run: its files come as the archive that the engine exports.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from replay.digest import canonical, of_bytes
from replay.environment.base import Base, Interpreter
from replay.environment.contents import listing
from replay.environment.distributions import find, prefix
from replay.environment.keeping import keep
from replay.environment.packages import PackageSet
from replay.environment.rootfs import Files, ImageFiles, read
from replay.environment.variables import recorded
from replay.errors import EngineError
from replay.progress import Progress, silent
from replay.record import PackageFinding
from replay.state import Document, FileEntry
from replay.store.base import Store
from replay.store.files import remove_tree, storing, write_whole

FORMAT = 1
"""Raised when the same image would be read to something else."""


class Adopted(Document):
    """An existing environment: `contents` lists all of an image but its packages (None: a host's are not listed).

    `os_packages` are conda's beside those the base knows; `env` the image's own variables.
    """

    packages: PackageSet
    contents: FileEntry | None = None
    os_packages: dict[str, str] = {}
    env: dict[str, str] = {}
    findings: tuple[PackageFinding, ...] = ()


def adopt_image(
    base: Base,
    interpreter: Interpreter,
    variables: Mapping[str, str],
    export: Callable[[Path], None],
    store: Store,
    progress: Progress = silent,
) -> Adopted:
    """Return what an image holds; `export` writes its files as a tar archive, `variables` are those it sets.

    An image that was read before is not read again. Raises EngineError and StoreError.
    """
    key = of_bytes(canonical({"format": FORMAT, "image": base.image, "python": interpreter.executable}))
    kept = store.cache("adopted") / f"{key.removeprefix('sha256:')}.json"
    known = _known(kept, store)
    if known is not None:
        return known
    folder = store.scratch("adopt")
    try:
        progress(f"reading the image {base.title}")
        export(folder / "image.tar")
        with storing("read an image"), _opened(folder / "image.tar", base.title) as archive:
            adopted = _adopt(ImageFiles(archive), interpreter, variables, store, progress)
        with storing("keep what an image holds"):
            write_whole(kept, adopted.encode(), folder / "adopted.json")
    finally:
        remove_tree(folder)
    return adopted


def conda_packages(files: Files, root: str) -> dict[str, str]:
    """Return what conda installed below `root` and is no Python distribution, as `conda:NAME` to version and build.

    Reads `conda-meta/*.json` (https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html).
    """
    import json

    found: dict[str, str] = {}
    for path in files.inside(f"{root}/conda-meta"):
        if not path.endswith(".json"):
            continue
        try:
            said = json.loads(read(files, path) or b"")
            if not any("site-packages/" in str(name) for name in said["files"]):
                found[f"conda:{said['name']}"] = f"{said['version']}-{said['build']}"
        except (ValueError, KeyError, TypeError):
            continue
    return dict(sorted(found.items()))


def _adopt(
    files: ImageFiles, interpreter: Interpreter, variables: Mapping[str, str], store: Store, progress: Progress
) -> Adopted:
    sites = tuple(_sites(files, interpreter, variables.get("PATH", "")))
    found = find(files, sites)
    packages, findings = keep(found, files, sites, interpreter, store, progress)
    roots = {prefix(site) for site in sites}
    own = [f"{root}/{name}" for root in roots for name in ("conda-meta", "pkgs") if files.real(f"{root}/conda-meta")]
    contents = store.put(listing(files, (*sites, *own), found.claimed))
    conda = {name: version for root in sorted(roots) for name, version in conda_packages(files, root).items()}
    return Adopted(
        packages=packages,
        contents=contents,
        os_packages=conda,
        env={name: value for name, value in sorted(variables.items()) if recorded(name)},
        findings=findings,
    )


def _sites(files: ImageFiles, interpreter: Interpreter, path: str) -> Iterable[str]:
    """Yield the folders from which the image's own `python3` imports packages, in the order of its path.

    As `site` finds them: a virtual environment by its pyvenv.cfg (PEP 405), else the interpreter's prefix, with
    Debian's dist-packages.
    """
    short = interpreter.markers["python_version"]
    root = _environment(files, path)
    inherits = True
    if root is not None:
        settings = (read(files, f"{root}/pyvenv.cfg") or b"").decode("utf-8", "replace").lower()
        inherits = re.search(r"^include-system-site-packages\s*=\s*true", settings, re.MULTILINE) is not None
    base = posixpath.dirname(posixpath.dirname(interpreter.executable))
    roots = ([root] if root else []) + ([base] if inherits else [])
    candidates = [f"{one}/{lib}/python{short}/site-packages" for one in roots for lib in ("lib", "lib64")]
    if inherits:
        candidates += [f"{base}/local/lib/python{short}/dist-packages", f"{base}/lib/python3/dist-packages"]
    seen: set[str] = set()
    for site in candidates:
        real = files.real(site)
        if real is not None and real not in seen:
            seen.add(real)
            yield real


def _environment(files: ImageFiles, path: str) -> str | None:
    """Return the virtual environment that the first Python on the PATH belongs to."""
    for folder in path.split(":"):
        for name in ("python3", "python"):
            if folder and files.real(f"{folder}/{name}"):
                root = posixpath.dirname(folder.rstrip("/"))
                return root if files.open(f"{root}/pyvenv.cfg") else None
    return None


def _known(kept: Path, store: Store) -> Adopted | None:
    try:
        known = Adopted.decode(kept.read_bytes())
    except (OSError, ValidationError):
        return None
    blobs = [wheel.blob for wheel in known.packages.wheels.values()]
    blobs += [known.contents.blob] if known.contents else []
    return known if all(store.has(blob) for blob in blobs) else None


def _opened(path: Path, reference: str) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except tarfile.TarError as error:
        raise EngineError(
            f"the files of the image {reference} cannot be read: {error}",
            cause="the engine's archive of it is damaged or cut short",
            do="repeat the command; `docker export` of a container of it should give a sound archive",
        ) from error
