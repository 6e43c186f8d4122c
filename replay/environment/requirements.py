"""What the user asked for: a requirements file with all that it includes. Nothing here asks an index.

The format is pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from replay.digest import of_bytes, of_file
from replay.errors import LockError

MOST_BYTES = 16 << 20
"""A requirements file larger than this is refused; the largest real ones have some 2 MB."""

_OTHER_LOCKS = re.compile(r"^(Pipfile\.lock|pdm\.lock)$")
_PROJECTS = {"pyproject.toml", "setup.py", "setup.cfg"}
_INCLUDE = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))\s*(?P<path>\S.*)$")
_CONSTRAINT = re.compile(r"^(?:-c|--constraint)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s'\"]*@")
_QUERY = re.compile(r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?#]*)\?[^\s'\"#]*")


@dataclass(frozen=True)
class Requirements:
    """A requirements file as it was read.

    `key` is a digest of every line it and its includes hold, without credentials, and of the local wheels
    it names; `empty` where it asks for nothing; `hashed` where it carries hashes.
    """

    path: Path
    key: str
    empty: bool
    hashed: bool


def without_credentials(text: str) -> str:
    """Return `text` with user, password and query of every URL in it replaced by `***`."""
    return _QUERY.sub(r"\g<url>?***", _CREDENTIALS.sub(r"\g<scheme>***@", text))


def read(path: Path) -> Requirements:
    """Return what `path` asks for. Raises LockError where it cannot be read or is of another kind."""
    _refuse_other_kinds(path)
    lines: list[str] = []
    asked = _collect(path, lines, seen=set(), constraint=False)
    text = without_credentials("\n".join(lines))
    return Requirements(path, of_bytes(text.encode()), not asked, any("--hash" in line for line in asked))


def _collect(path: Path, lines: list[str], seen: set[Path], constraint: bool) -> list[str]:
    """Append every logical line of `path` and its includes to `lines`; return those that ask for a package."""
    text = _text(path)
    if path.resolve() in seen:
        return []
    seen.add(path.resolve())
    asked: list[str] = []
    for line in _logical_lines(text):
        lines.append(line)
        include = _INCLUDE.match(line)
        if include:
            target = include["path"].strip("\"'")
            if "://" in target:
                raise _refusal(path, f"{line!r} includes a file from the network", "keep a copy and include that")
            only = constraint or _CONSTRAINT.match(line) is not None
            asked += _collect(path.parent / target, lines, seen, only)
        elif line.startswith(("-e", "--editable")):
            raise _refusal(
                path,
                f"{line!r} is editable: its code is not fixed by a version",
                "name it under [pipeline] paths, or build a wheel of it and require that",
            )
        elif not line.startswith("-") and not constraint:
            asked.append(line)
            lines += _local_digest(path.parent, line)
    return asked


def _local_digest(folder: Path, line: str) -> list[str]:
    """A wheel named by path can change under its name: return its digest, as a line for the key."""
    named = line.partition(" @ ")[2].strip() or line
    file = folder / re.split(r"\s|;", named.removeprefix("file://"), maxsplit=1)[0].partition("#")[0]
    try:
        return [of_file(file)] if file.is_file() else []
    except OSError:
        return []


def _logical_lines(text: str) -> list[str]:
    """Return the lines as pip joins and strips them: continuations, comments, ${VARIABLES}."""
    joined = re.sub(r"\\\r?\n", "", text)
    stripped = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in joined.splitlines())
    return [_VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], line) for line in stripped if line]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refusal(path, f"it is larger than {MOST_BYTES >> 20} MiB", "name a requirements file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LockError(
            f"the requirements {str(path)!r} cannot be read",
            cause=reason,
            do="correct [runtime] requirements in replay.toml, or the -r or -c line that names it",
        ) from error
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(path, f"it is not UTF-8 ({error.reason} at byte {error.start})", "save it as UTF-8") from error


def _refuse_other_kinds(path: Path) -> None:
    if _OTHER_LOCKS.match(path.name):
        raise _refusal(
            path,
            "Replay does not read this kind of lock",
            "export it: `pdm export --format pylock -o pylock.toml`, "
            "or `pipenv requirements --hash > requirements.txt`, and name that",
        )
    if path.name in _PROJECTS:
        raise _refusal(
            path,
            "it describes a project to build, not a list of packages",
            f"write a requirements.txt, or make one: `pip-compile --generate-hashes {path.name}`",
        )


def _refusal(path: Path, cause: str, do: str) -> LockError:
    return LockError(f"the requirements {str(path)!r} cannot be locked", cause=without_credentials(cause), do=do)
