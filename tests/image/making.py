"""Environments over a base that need no engine: wheels made here, this host's interpreter."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from replay.environment.base import BaseImage
from replay.environment.wheels import unpack
from replay.image.compose import Environment
from replay.image.layers import PREFIX, Layer
from replay.store.folder import FolderStore
from tests.environment.making import closure, interpreter, tool

BASE = BaseImage(architecture="amd64", env=("PATH=/usr/bin", "LANG=C.UTF-8"), layers=("sha256:" + "0" * 64,))


def environment(store: FolderStore, *files: Path) -> Environment:
    """The environment of these wheels."""
    packages = closure(store, *files)
    return Environment(BASE, packages, interpreter(), unpack(packages, interpreter(), store, tool), store)


def shown(layers: tuple[Layer, ...] | list[Layer]) -> dict[str, tuple[int, bytes]]:
    """What an engine shows of layers: every file and link below the environment with its mode and content.

    Whiteouts as the OCI image specification has it. Folders that hold nothing count too.
    """
    seen: dict[str, tuple[int, bytes]] = {}
    for layer in layers:
        assert layer.write
        with tarfile.open(fileobj=io.BytesIO(b"".join(layer.write(None)))) as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                gone = f"{folder}/{name[4:]}" if name.startswith(".wh.") else member.name
                if not member.isdir():
                    seen = {path: it for path, it in seen.items() if path != gone and not path.startswith(f"{gone}/")}
                if gone != member.name:
                    continue
                content = tar.extractfile(member) if member.isreg() else None
                data = member.linkname.encode() if member.issym() else content.read() if content else b""
                seen[member.name] = (member.mode, data)
    return {path: it for path, it in seen.items() if path.startswith(PREFIX)}
