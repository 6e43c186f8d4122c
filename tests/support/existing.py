"""Images as people have them: a base with packages that an installer put into it."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
import tarfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import docker
import docker.errors

SITE = "/usr/local/lib/python3.11/dist-packages"


def installed(wheels: Sequence[Path], patches: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return what installing wheels leaves in site-packages: their files, RECORD, INSTALLER, bytecode and a script.

    `patches` are files that somebody wrote by hand afterwards.
    """
    files: dict[str, bytes] = {}
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            own = {name: wheel.read(name) for name in wheel.namelist()}
        (record,) = (name for name in own if name.endswith(".dist-info/RECORD"))
        own[record.replace("RECORD", "INSTALLER")] = b"pip\n"
        module = next(name for name in own if name.endswith(".py"))
        own[f"__pycache__/{module.removesuffix('.py')}.cpython-311.pyc"] = uuid.uuid4().bytes
        rows = [[name, f"sha256={hashed(data)}", str(len(data))] for name, data in own.items() if name != record]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, [record, "", ""]])
        files |= own | {record: text.getvalue().encode()}
    return files | {name: text.encode() for name, text in (patches or {}).items()}


def hashed(data: bytes) -> str:
    """Return a SHA-256 as RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@contextlib.contextmanager
def image(
    host: str, base: str, files: Mapping[str, bytes], changes: Sequence[str] = (), folder: str = SITE
) -> Iterator[str]:
    """Yield the name of an image that is `base` with `files` in `folder` and Dockerfile `changes` to its settings."""
    name = f"replay-test-{uuid.uuid4().hex[:12]}:prod"
    with contextlib.closing(docker.APIClient(host, version="auto")) as api:
        container = api.create_container(base, ["true"])
        try:
            api.put_archive(container, folder, _archive(files))
            repository, tag = name.split(":")
            api.commit(container, repository, tag, changes=list(changes))
        finally:
            api.remove_container(container)
        try:
            yield name
        finally:
            with contextlib.suppress(docker.errors.ImageNotFound):
                api.remove_image(name, force=True)


def _archive(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


@contextlib.contextmanager
def foreign(host: str) -> Iterator[str]:
    """Yield the name of an image for another architecture: a Python that this machine cannot start."""
    name = f"replay-test-{uuid.uuid4().hex[:12]}:arm"
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44)  # elf(5): a program for AArch64
    layer = _archive({"usr/bin/python3": header}, mode=0o755)
    config = {
        "architecture": "arm64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    parts = {"layer.tar": layer}
    parts |= {f"{part}.json": json.dumps(said).encode() for part, said in (("config", config), ("manifest", manifest))}
    with contextlib.closing(docker.APIClient(host, version="auto")) as api:
        list(api.load_image(_archive(parts)))
        try:
            yield name
        finally:
            with contextlib.suppress(docker.errors.ImageNotFound):
                api.remove_image(name, force=True)
