"""What goes into a container and comes out of it by copying, where the engine does not see this machine's files."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Literal

from replay.digest import CHUNK
from replay.engines.base import Mount
from replay.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient

Delivery = Literal["image", "mount"]

_SHARED = 0o1777
_WRITE = 0o222


def delivery(wanted: str, host: str, platform: str) -> Delivery:
    """Return how an environment reaches an engine: mounted where it shares this machine's files, else as an image.

    `wanted` is what REPLAY_DELIVERY says (empty: choose), `host` DOCKER_HOST, `platform` the engine's product.
    Raises EngineError on another word.
    """
    known: dict[str, Delivery] = {"image": "image", "mount": "mount"}
    if wanted in known:
        return known[wanted]
    if wanted not in ("", "auto"):
        raise EngineError(
            f"REPLAY_DELIVERY={wanted} is no way to deliver an environment",
            cause="a typing slip",
            do="set it to image, mount or auto",
        )
    return "image" if is_remote(host, platform) else "mount"


def is_remote(host: str, platform: str) -> bool:
    """Whether an engine sees another file system than this process: on another machine, or in a virtual one."""
    return host.startswith(("tcp:", "ssh:", "http:", "https:")) or "Docker Desktop" in platform


def no_services(where: str) -> EngineError:
    """Return the error for a job with services on an engine to which its files are copied: sockets cannot be."""
    return EngineError(
        f"a job that asks [services] cannot run on the engine at {where or 'its usual socket'}",
        cause="the stand-ins of its services are sockets of this machine, which that engine does not see",
        do="run it on an engine of this machine, or with --engine local; or declare the source as [data], which is "
        "asked when the job is bound",
    )


@dataclass(frozen=True)
class Cargo:
    """A folder (if any) that is copied to `target`, a volume of the container, and back when the job has ended.

    The files in it belong to `user` (`uid:gid`), those of `mounts` (laid into it, not copied back) to root.
    Anybody may write into its folders, and nobody take root's files away.
    """

    folder: Path | None
    target: str
    user: str
    mounts: Sequence[Mount] = ()

    def put(self, api: APIClient, container: str) -> None:
        """Copy into a container that has not started. Raises APIError, OSError."""
        with tempfile.TemporaryFile() as file:
            self._pack(file)
            file.seek(0)
            api.put_archive(container, self.target, file)

    def take(self, api: APIClient, container: str) -> None:
        """Copy back from a container that has ended. Raises APIError, OSError."""
        if self.folder is None:
            return
        stream, _ = api.get_archive(container, self.target, chunk_size=CHUNK)
        laid_in = [PurePosixPath(mount.target) for mount in self.mounts]
        with tarfile.open(fileobj=Stream(stream), mode="r|") as archive:
            for found in archive:
                path = PurePosixPath(*PurePosixPath(found.name).parts[1:])
                if path.parts and not any(root == path or root in path.parents for root in laid_in):
                    _unpack(archive, found, self.folder, path)

    def _pack(self, file: IO[bytes]) -> None:
        uid, gid = (int(number) for number in self.user.split(":"))
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _add_folder(archive, PurePosixPath(), _SHARED)
            if self.folder is not None:
                taken = {self.folder / mount.target for mount in self.mounts}
                for path in (path for path in _below(self.folder) if path not in taken):
                    _add(archive, path, path.relative_to(self.folder).as_posix(), (uid, gid), _SHARED)
            for mount in self.mounts:
                for path in (mount.source, *_below(mount.source)):
                    inside = PurePosixPath(mount.target, path.relative_to(mount.source))
                    _add(archive, path, str(inside), (0, 0), None)


class Stream(io.RawIOBase):
    """Chunks of bytes as a file that can be read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the next chunk goes; return how far."""
        if not self._left:
            self._left = next(self._chunks, b"")
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _below(folder: Path) -> Iterable[Path]:
    """Return all that lies below a folder, folders before what is in them; nothing where it is a file."""
    if folder.is_symlink() or not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return []
    return (Path(above, name) for above, folders, files in os.walk(folder) for name in sorted([*folders, *files]))


def _add(archive: tarfile.TarFile, path: Path, name: str, owner: tuple[int, int], folders: int | None) -> None:
    """Add a file or folder; a file that the caller may not read goes in empty, with its mode."""
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        _add_folder(archive, PurePosixPath(name), mode & ~_WRITE if folders is None else folders)
        return
    info = tarfile.TarInfo(name)
    info.uid, info.gid, info.mtime = *owner, int(status.st_mtime)
    info.mode = mode & ~_WRITE if folders is None else mode
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
        archive.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        readable = mode != 0 and os.access(path, os.R_OK)
        info.size = status.st_size if readable else 0
        with path.open("rb") if readable else io.BytesIO() as content:
            archive.addfile(info, content)


def _add_folder(archive: tarfile.TarFile, path: PurePosixPath, mode: int) -> None:
    info = tarfile.TarInfo(str(path))
    info.type, info.mode = tarfile.DIRTYPE, mode
    archive.addfile(info)


def _unpack(archive: tarfile.TarFile, found: tarfile.TarInfo, folder: Path, path: PurePosixPath) -> None:
    """Write one member below `folder`. What is neither file, folder nor link is passed over.

    Raises EngineError where it would be written elsewhere: an engine is not trusted with this machine's files.
    """
    target = folder / path
    if ".." in path.parts or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise EngineError(
            f"the engine hands back a file outside the job's folder: {found.name!r}",
            cause="the job laid a link there while it ended, or the engine is not what it seems",
            do="do not use this engine until you know why",
        )
    if target.is_symlink() or (target.exists() and not found.isdir()):
        shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()
    if found.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif found.issym():
        target.symlink_to(found.linkname)
    elif found.isreg() and (content := archive.extractfile(found)):
        with target.open("wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        target.chmod(found.mode & 0o777)
