"""The package index, asked through pip and pip-tools in a process of its own, for the target's Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replay.digest import canonical, of_bytes
from replay.environment.base import Interpreter
from replay.environment.requirements import without_credentials
from replay.environment.trouble import explain

_DECIDING = (
    *("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONSTRAINT", "PRE"),
    *("NO_BINARY", "ONLY_BINARY", "PREFER_BINARY", "UPLOADED_PRIOR_TO", "REQUIRE_HASHES"),
)
"""Those of pip's options that decide what is found, as they stand in the environment after `PIP_`."""

_PROGRAM = Path(__file__).with_name("resolve.py")


@dataclass(frozen=True)
class Wanted:
    """A file of the package `name`: at `url` or, where that is None, on the index. All its hashes must match.

    Without a `filename` it is the best that the index has for the requirement `name`, wheel or source.
    """

    name: str
    filename: str
    url: str | None
    hashes: Mapping[str, str]


def configuration() -> str:
    """Return a digest of what decides where pip looks: its files and variables, without credentials."""
    values = {name: without_credentials(os.environ.get(f"PIP_{name}", "")) for name in _DECIDING}
    files = [without_credentials(_text(path)) for path in _configuration_files()]
    return of_bytes(canonical({"variables": values, "files": files}))


@dataclass(frozen=True)
class Question:
    """What pip is asked: the requirements `file`, for an interpreter, in a scratch `folder`.

    `asked` is the file as the user knows it; `offered` is a folder of wheels beside those of the indexes;
    `known` are folders of files called by their sha256, which are not downloaded again; what is downloaded is laid
    into the first.
    """

    asked: Path
    file: Path
    interpreter: Interpreter
    folder: Path
    offered: Path | None = None
    known: tuple[Path, ...] = ()

    @property
    def links(self) -> list[str]:
        """The option that names what is offered."""
        return ["--find-links", str(self.offered)] if self.offered else []


def choose(question: Question, prefer: Mapping[str, str]) -> Path:
    """Resolve with pip-tools; return the file of pinned versions. Raises LockError.

    Versions in `prefer` (by package) are kept where the requirements allow them.
    """
    pins = write_pins(question, prefer)
    options = ["--no-config", "--allow-unsafe", "--strip-extras", "--no-annotate", "--no-header"]
    options += ["--no-emit-options", "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"]
    options += ["--pip-args", "--only-binary=:all:", *([] if prefer else ["--upgrade"])]
    arguments = ["compile", *options, *question.links, "--output-file", str(pins), str(question.file.resolve())]
    _run(arguments, question)
    return pins


def write_pins(question: Question, versions: Mapping[str, str]) -> Path:
    """Write versions as the file of pins that a resolver starts from."""
    pins = question.folder / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
    return pins


def places(question: Question) -> dict[str, Any]:
    """Return where pip looks for packages, credentials and all. Raises LockError."""
    _run(["places"], question)
    return dict(json.loads((question.folder / "places.json").read_text(encoding="utf-8")))


def fetch(question: Question, pins: Path | None, *, alone: bool = False) -> list[Path]:
    """Download what is asked for, at the versions of `pins`; return the wheels, sorted. Raises LockError.

    pip verifies the hashes that the file or the index carries. `alone`: without what that requires in turn, and
    without insisting where the index does not answer.
    """
    wheels = question.folder / "wheels"
    wheels.mkdir()
    arguments = ["download", "--only-binary=:all:", "--progress-bar=off", "--no-input", "--dest", str(wheels)]
    arguments += [*question.links, *(["--constraint", str(pins)] if pins else [])]
    arguments += ["--no-deps", "--retries", "0", "--timeout", "10"] if alone else []
    _run([*arguments, "--requirement", str(question.file.resolve())], question)
    return sorted(wheels.iterdir())


def obtain(question: Question, wanted: Sequence[Wanted], options: Sequence[str] = ()) -> list[tuple[Path, str]]:
    """Download exactly these files, verified; return each with its name. Raises LockError.

    `options` are pip's, for its indexes.
    """
    folder = question.folder
    (folder / "wanted.json").write_text(json.dumps([asdict(file) for file in wanted]), encoding="utf-8")
    _run(["obtain", "--no-input", "--dest", str(folder), *options], question)
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    return [(folder / "files" / str(number), name) for number, name in enumerate(names)]


def _run(arguments: list[str], question: Question) -> None:
    folder, asked, interpreter = question.folder, question.asked, question.interpreter
    (folder / "target.json").write_bytes(interpreter.encode())
    known = [str(place.absolute()) for place in question.known]
    (folder / "known.json").write_text(json.dumps(known), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", str(_PROGRAM), str(folder), *arguments],
        cwd=asked.resolve().parent,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1", "COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        log = done.stdout.decode("utf-8", "replace")
        what = f"the requirements {str(asked)!r} cannot be locked for Python {interpreter.version}"
        raise explain(what, _trouble(folder / "trouble.json"), log, interpreter)


def _trouble(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _configuration_files() -> list[Path]:
    """The places pip documents (https://pip.pypa.io/en/stable/topics/configuration/), in their order."""
    home = Path.home()
    shared = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    own = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = [Path(folder) / "pip/pip.conf" for folder in shared if folder]
    places += [Path("/etc/pip.conf"), Path("/Library/Application Support/pip/pip.conf")]
    places += [home / ".pip/pip.conf", own / "pip/pip.conf", home / "Library/Application Support/pip/pip.conf"]
    places += [Path(sys.prefix) / "pip.conf"]
    named = os.environ.get("PIP_CONFIG_FILE")
    return [*places, Path(named)] if named else places


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
