"""pip-tools and `pip download` for another Python than ours: run as a program in a process of its own.

    python -P resolve.py FOLDER compile|download|obtain|places ARGUMENT...

`FOLDER/target.json` is an `Interpreter` document. pip-compile knows no `--python-version` and `pip download`
knows one but reads markers by its own Python, so both are told the target here, in the three places where pip
asks for it. No package's code runs: whatever is not a wheel is refused before pip would build it.
On failure `FOLDER/trouble.json` says what went wrong (see `replay.environment.trouble`) and the exit code is 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_REJECTED = 5000
"""Files remembered for a project; enough to explain, bounded whatever an index offers."""


class NotAWheel(Exception):
    """A requirement, or a requirement of one, that only building could make into a wheel."""


def main(folder: Path, arguments: list[str]) -> int:
    """Aim pip at the target, do as `arguments` say, return the exit code."""
    rejected: dict[str, list[str]] = {}
    unanswered: list[str] = []
    _aim(json.loads((folder / "target.json").read_text(encoding="utf-8")))
    _take_known(json.loads((folder / "known.json").read_text(encoding="utf-8")))
    _refuse_builds()
    _note_rejected(rejected)
    _note_unanswered(unanswered)
    try:
        return _DO[arguments[0]](folder, arguments[1:])
    except Exception as error:  # handed on: the caller explains it
        trouble = {**_describe(error), "rejected": rejected, "unanswered": unanswered}
        (folder / "trouble.json").write_text(json.dumps(trouble), encoding="utf-8")
        return 1


def _aim(target: dict[str, Any]) -> None:
    """Make markers, Requires-Python and wheel tags those of the target."""
    from pip._internal.cli.req_command import RequirementCommand
    from pip._internal.models.target_python import TargetPython
    from pip._vendor.packaging import markers
    from pip._vendor.packaging.version import Version

    markers.default_environment = lambda: dict(target["markers"])  # type: ignore[assignment,return-value]
    release = (*Version(target["version"]).release, 0, 0)
    version = (release[0], release[1], release[2])
    python = TargetPython(
        platforms=target["platforms"], py_version_info=version, abis=[target["abi"]], implementation=target["abi"][:2]
    )
    build_finder = RequirementCommand._build_package_finder
    make_resolver = RequirementCommand.make_resolver.__func__  # type: ignore[attr-defined]

    def finder(self: Any, options: Any, session: Any, *_: Any, **__: Any) -> Any:
        return build_finder(self, options, session, python)

    def resolver(cls: Any, *positional: Any, **named: Any) -> Any:
        return make_resolver(cls, *positional, **{**named, "py_version_info": version})

    RequirementCommand._build_package_finder = finder  # type: ignore[method-assign]
    RequirementCommand.make_resolver = classmethod(resolver)  # type: ignore[assignment,method-assign]


def _refuse_builds() -> None:
    """Let no editable, folder, repository or source archive become a candidate, whoever requires it."""
    from pip._internal.resolution.resolvelib.factory import Factory

    make = Factory._make_base_candidate_from_link

    def guarded(self: Any, link: Any, template: Any, *rest: Any, **named: Any) -> Any:
        if template.editable or not link.is_wheel:
            raise NotAWheel(f"{template.name or ''} {link}".strip())
        return make(self, link, template, *rest, **named)

    Factory._make_base_candidate_from_link = guarded  # type: ignore[method-assign]


def _take_known(folders: list[str]) -> None:
    """Download no file again that lies in one of the folders, called by the sha256 that the index publishes.

    What is downloaded is laid into the first of them.
    """
    from pip._internal.network.download import Downloader

    download = Downloader.__call__

    def knowing(self: Any, link: Any, location: str) -> tuple[str, str]:
        if not folders or link.hash_name != "sha256" or not re.fullmatch("[0-9a-f]{64}", link.hash):
            return download(self, link, location)
        for held in (Path(folder) / link.hash for folder in folders):
            if held.exists() and _sha256(held) == link.hash:
                target = Path(location) / link.filename
                shutil.copyfile(held, target)
                return str(target), "application/octet-stream"
        made, kind = download(self, link, location)
        with contextlib.suppress(OSError):
            Path(folders[0]).mkdir(exist_ok=True)
            os.link(made, Path(folders[0]) / link.hash)
        return made, kind

    Downloader.__call__ = knowing  # type: ignore[method-assign]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note_rejected(rejected: dict[str, list[str]]) -> None:
    """Remember for each project which files pip passed over."""
    from pip._internal.index.package_finder import LinkEvaluator, LinkType

    evaluate = LinkEvaluator.evaluate_link

    def noting(self: Any, link: Any) -> Any:
        kind, detail = evaluate(self, link)
        files = rejected.setdefault(self._canonical_name, [])
        if kind not in (LinkType.candidate, LinkType.different_project) and len(files) < MOST_REJECTED:
            files.append(link.filename)
        return kind, detail

    LinkEvaluator.evaluate_link = noting  # type: ignore[method-assign]


def _note_unanswered(unanswered: list[str]) -> None:
    """Remember which pages of an index could not be had; a page that is not there (404) is an answer."""
    from pip._internal.index import collector

    give_up = collector._handle_get_simple_fail

    def noting(link: Any, reason: Any, *rest: Any, **named: Any) -> None:
        if getattr(getattr(reason, "response", None), "status_code", None) != 404:
            unanswered.append(f"{link}: {reason}")
        give_up(link, reason, *rest, **named)

    collector._handle_get_simple_fail = noting


def _compile(folder: Path, arguments: list[str]) -> int:
    from pip._internal.commands import create_command
    from piptools.scripts.compile import cli

    # pip's own cache, so that what is downloaded here for its metadata is not downloaded again.
    cache = create_command("download").parse_args([])[0].cache_dir or str(folder / "pip-tools")
    cli.main(["--cache-dir", cache, *arguments], standalone_mode=False)
    return 0


def _download(folder: Path, arguments: list[str]) -> int:  # noqa: ARG001
    from pip._internal.commands import create_command

    command = create_command("download")
    return _within(command, command.run, arguments)


def _obtain(folder: Path, arguments: list[str]) -> int:
    from pip._internal.commands import create_command

    from replay.environment.obtain import obtain

    command = create_command("download")
    return _within(command, lambda options, _: obtain(command, options, folder), arguments)


def _within(command: Any, run: Callable[[Any, list[str]], int], arguments: list[str]) -> int:
    """Let pip's command read its options and prepare itself, then `run`; an error keeps its class."""
    raised: list[Exception] = []

    def keeping(options: Any, positional: list[str]) -> int:
        try:
            return run(options, positional)
        except Exception as error:
            raised.append(error)
            raise

    command.run = keeping
    code: int = command.main(arguments)
    if raised:
        raise raised[0]
    return code


def _places(folder: Path, arguments: list[str]) -> int:  # noqa: ARG001
    from pip._internal.commands import create_command

    options, _ = create_command("download").parse_args([])
    names = ("index_url", "extra_index_urls", "find_links", "no_index", "cert", "pre")
    found = {name: getattr(options, name, None) for name in names}
    (folder / "places.json").touch(mode=0o600)
    (folder / "places.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


_DO = {"compile": _compile, "download": _download, "obtain": _obtain, "places": _places}


def _describe(error: Exception) -> dict[str, Any]:
    """Return the error's class, its words, and the requirements that met no candidate or each other."""
    causes: list[tuple[str, str | None]] = []
    cause: BaseException | None = error
    while cause is not None:
        for item in getattr(cause, "causes", ()):
            parent = f"{item.parent.name} {item.parent.version}" if item.parent is not None else None
            causes.append((str(item.requirement), parent))
        cause = cause.__cause__
    kinds = [base.__name__ for base in type(error).__mro__]
    parts = [getattr(error, name, None) for name in ("message", "context")]  # of pip's DiagnosticPipError
    message = " ".join(str(part) for part in parts if part) or str(error)
    return {"kinds": kinds, "message": message, "causes": causes}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
