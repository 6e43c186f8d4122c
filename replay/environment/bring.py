"""Source brought into a folder of our own, unpacked with care: archives, folders, repositories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path

from replay.environment import archive
from replay.environment.fingerprint import left_out
from replay.environment.requirements import without_credentials
from replay.errors import LockError
from replay.store.files import remove_tree

_REVISION = re.compile(r"^[A-Za-z0-9_][^\s:?*\[\\^~\x00-\x1f]*$")
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def unpack(file: Path, filename: str, target: Path) -> Path:
    """Unpack a source archive below the new folder `target`; return the project's folder in it.

    Raises LockError where it is no sound archive, would leave its folder, or is absurdly large.
    """
    target.mkdir()
    try:
        if filename.lower().endswith(".zip"):
            with archive.opened(file, filename) as opened:
                opened.extractall(target)  # noqa: S202 - `opened` looked at every entry
        else:
            with tarfile.open(file) as tar:
                _check(tar.getmembers(), file.stat().st_size, filename)
                tar.extractall(target, filter="data")
    except _BROKEN as error:
        raise refused(filename, f"it is not a sound source archive: {error}") from error
    found = [path for path in target.iterdir() if path.is_dir() and not path.is_symlink()]
    return found[0] if len(found) == 1 else target


def _check(members: list[tarfile.TarInfo], size: int, filename: str) -> None:
    total = sum(member.size for member in members)
    if len(members) > archive.MOST_FILES:
        raise refused(filename, f"it has {len(members)} entries, more than {archive.MOST_FILES}")
    if total > archive.MOST_BYTES or total > max(archive.SMALL, archive.MOST_EXPANSION * size):
        raise refused(filename, f"its {size} bytes would unpack to {total}")


def copy(folder: Path, target: Path) -> Path:
    """Copy a project's folder to the new folder `target`, without what is no source. Raises LockError."""

    def leave_out(_: str, names: list[str]) -> set[str]:
        return {name for name in names if left_out(name)}

    try:
        shutil.copytree(folder, target, symlinks=True, ignore=leave_out)
    except (OSError, shutil.Error) as error:
        raise refused(str(folder), f"it cannot be copied: {str(error)[:300]}") from error
    return target


def check_out(url: str, revision: str | None, target: Path) -> str:
    """Check a git repository out into the new folder `target`; return the full commit. Raises LockError."""
    scheme, _, address = url.partition("+")
    if scheme != "git" or not address.startswith(("https://", "http://", "ssh://", "file://", "git://")):
        raise refused(url, "only git repositories are taken: git+https, git+ssh, git+file")
    if revision is not None and not _REVISION.match(revision):
        raise refused(url, f"{revision!r} is no name of a revision")
    _git("init", "-q", str(target))
    wanted = revision or "HEAD"
    if _git("-C", str(target), "fetch", "-q", "--depth=1", "--", address, wanted, trial=True) is not None:
        wanted = "FETCH_HEAD"
    else:  # not every server gives out a commit by its id alone
        _git("-C", str(target), "fetch", "-q", "--tags", "--", address, "+refs/heads/*:refs/remotes/origin/*")
    commit = _git("-C", str(target), "rev-parse", "--verify", f"{wanted}^{{commit}}") or ""
    _git("-C", str(target), "checkout", "-q", "--detach", commit)
    remove_tree(target / ".git")
    return commit


def _git(*words: str, trial: bool = False) -> str | None:
    """Return what git prints; None where it fails and this was a trial. Raises LockError."""
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LockError(
            "a requirement is a git repository, and git does not answer",
            cause=f"{type(error).__name__}: git is not installed here, or the server hangs",
            do="install git, check the network, then repeat",
        ) from error
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace").strip()
    if trial:
        return None
    said = without_credentials(done.stderr.decode("utf-8", "replace")).strip().splitlines()
    place = next((word for word in words if "://" in word), "")
    raise refused(place, " ".join(said[-2:])[:500] or "git failed without a word")


def refused(what: str, cause: str) -> LockError:
    """Return the error for source that cannot be had."""
    return LockError(
        f"the source {without_credentials(what)!r} cannot be used",
        cause=without_credentials(cause),
        do="correct the requirement that names it, or get the file from its publisher again",
    )
