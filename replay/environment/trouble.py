"""From what pip said to an error that names the package and what to do. Pure."""

from __future__ import annotations

import re
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from replay.environment.base import Interpreter
from replay.environment.requirements import without_credentials
from replay.errors import LockError

_IGNORED = re.compile(r"Location '[^'\n]*' is ignored: [^\n]*")
_NETWORK = {
    "NetworkConnectionError",
    "ConnectionFailedError",
    "ConnectionTimeoutError",
    "ProxyConnectionError",
    "SSLVerificationError",
    "SSLMissingError",
    "IncompleteDownloadError",
    "RequestException",
}
_NO_WHEEL = "ask for a version that has such a wheel or choose another base; or build one (`pip wheel {name}`, on a "
_NO_WHEEL += "machine of this kind that may run its code) and offer it with `--find-links FOLDER` in the requirements"


class SourceOnly(LockError):
    """Nothing but source fits the requirement `wanted`, and it was not built."""

    wanted = ""


def explain(what: str, trouble: dict[str, Any] | None, log: str, interpreter: Interpreter) -> LockError:
    """Return the LockError for a failed run of `replay.environment.resolve`.

    `what` failed; `trouble` is its `trouble.json` (None where it wrote none), `log` all that it printed.
    No credential of a URL in them is in the error.
    """
    kinds = set(trouble["kinds"]) if trouble else set()
    if trouble is None:
        cause, do = _tail(log), "check that pip and pip-tools here are of versions that Replay supports"
    elif "NotAWheel" in kinds:
        name, _, link = trouble["message"].rpartition(" ")
        what = f"{what}: {name or link} is not a wheel"
        cause = f"{link} would have to be built, and building runs its code on this machine"
        do = _NO_WHEEL.format(name=name or link)
    elif kinds & {"HashErrors", "HashError"}:
        cause = _lines(trouble["message"].rpartition("tampered with them.")[2])
        do = "if the new file is what you expect, write its hash into the requirements; else ask who replaced it"
        if "HashMissing" in kinds or "HashUnpinned" in kinds or "--require-hashes" in cause:
            do = "pin every package with == and --hash, its requirements too: `pip-compile --generate-hashes`"
    elif "OtherContent" in kinds:
        cause, do = _lines(trouble["message"]), "ask who replaced the file; lock anew if the new one is what you expect"
    elif "NotOffered" in kinds and not _silent(trouble, log):
        cause, do = _lines(trouble["message"]), "name an index that has it in pip's configuration, or lock anew"
    elif kinds & _NETWORK or (_silent(trouble, log) and not _anything_seen(trouble)):
        cause = f"the package index does not answer: {_lines((_silent(trouble, log) or [trouble['message']])[-1])}"
        do = "check the network and pip's index configuration, then repeat"
    elif "OSError" in kinds:
        cause, do = _lines(trouble["message"]), "make room for the store, or see why it cannot be written, then repeat"
        if "FileNotFoundError" in kinds or "[Errno 2]" in cause:
            do = "correct the requirements, or put the file there"
    elif "UnsupportedPythonVersion" in kinds:
        cause, do = _lines(trouble["message"]), "ask for a version that supports this Python, or choose another base"
    elif "DistributionNotFound" in kinds and len(_requirers(trouble)) > 1:
        names = sorted({_name(requirement) for requirement, _ in _requirers(trouble)})
        what = f"{what}: no version of {', '.join(names)} satisfies all"
        told = [(f"{parent} needs" if parent else "the requirements need", one) for one, parent in _requirers(trouble)]
        cause = "; ".join(f"{who} {one}" for who, one in told)
        do = "loosen one of these requirements"
    elif "DistributionNotFound" in kinds:
        return _no_match(what, trouble, log, interpreter)
    else:
        cause, do = _lines(trouble["message"]) or _tail(log), "correct the requirements"
    return LockError(without_credentials(what), cause=without_credentials(cause), do=do)


def _no_match(what: str, trouble: dict[str, Any], log: str, interpreter: Interpreter) -> LockError:
    """One requirement met no candidate: say which, and whether there are other wheels, or source alone."""
    wanted, parent = (_requirers(trouble) or [(trouble["message"].rpartition(" for ")[2], None)])[0]
    name = _name(wanted)
    files = _passed_over(trouble, wanted)
    wheels = [file for file in files if file.endswith(".whl")]
    sources = [file for file in files if not file.endswith(".whl")]
    target = f"{interpreter.markers['platform_python_implementation']} {interpreter.version} on "
    target += interpreter.platforms[0]
    what = f"{what}: nothing fits {wanted}" + (f", which {parent} needs" if parent else "")
    do = _NO_WHEEL.format(name=name)
    if wheels:
        cause = f"{name} has wheels, but none for {target} (there are {_some(wheels)})"
    elif sources:
        cause = f"{name} is published as source only ({_some(sources)}), and building runs its code on this machine"
    else:
        known = re.search(rf"requirement {re.escape(wanted)}[^(\n]*\(from versions: ([^)]*)\)", log)
        some = known[1].split(", ") if known and known[1] != "none" else []
        cause = f"no index or folder that pip asks has it for {target}" + (f" (it has {_some(some)})" if some else "")
        do = "check name and version, and pip's index configuration"
    kind = SourceOnly if sources else LockError
    error = kind(without_credentials(what), cause=without_credentials(cause), do=do)
    if isinstance(error, SourceOnly):
        error.wanted = wanted
    return error


def _requirers(trouble: dict[str, Any]) -> list[tuple[str, str | None]]:
    return list(dict.fromkeys((str(wanted), parent) for wanted, parent in trouble["causes"]))


def _anything_seen(trouble: dict[str, Any]) -> bool:
    """Whether an index answered for a package that was not found."""
    return len(_requirers(trouble)) > 1 or any(_passed_over(trouble, _name(wanted)) for wanted, _ in trouble["causes"])


def _name(requirement: str) -> str:
    try:
        return Requirement(requirement).name
    except InvalidRequirement:
        return requirement


def _passed_over(trouble: dict[str, Any], requirement: str) -> list[str]:
    """Return the distributions within `requirement`'s versions that pip saw and could not use, oldest first."""
    try:
        wanted = Requirement(requirement).specifier
    except InvalidRequirement:
        wanted = SpecifierSet()
    files = trouble["rejected"].get(canonicalize_name(_name(requirement)), [])
    versions = {file: version for file in files if (version := _version(file)) is not None}
    fitting = [file for file, version in versions.items() if wanted.contains(version, prereleases=True)]
    return sorted(fitting, key=lambda file: (versions[file], file))


def _version(file: str) -> Version | None:
    try:
        return parse_wheel_filename(file)[1] if file.endswith(".whl") else parse_sdist_filename(file)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _some(names: list[str]) -> str:
    """Return the last three, and how many there are besides."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[-3:]) + more


def _silent(trouble: dict[str, Any], log: str) -> list[str]:
    """Return the places that gave no answer, each with the reason."""
    return [*_IGNORED.findall(log), *trouble["unanswered"]]


def _lines(message: str) -> str:
    return _shorten(" ".join(message.split()))


def _tail(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return _shorten(" | ".join(lines[-3:])) or "it ended without a word"


def _shorten(text: str, most: int = 700) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
