"""Files by name and hash, through pip's session: its indexes, proxies, certificates, credentials and cache.

Part of the program `replay.environment.resolve`. Nothing that is fetched is opened.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pip._internal.models.link import Link

AT_ONCE = 8


class NotOffered(Exception):
    """No index or folder that pip asks has a file of this name or hash."""


class OtherContent(Exception):
    """A file is there and is not the one that is meant."""


def obtain(command: Any, options: Any, folder: Path) -> int:
    """Fetch what `FOLDER/wanted.json` lists, each file to `FOLDER/files/NUMBER`; return the exit code.

    `command` is one of pip's, `options` are its own. An entry has `name`, `filename`, `hashes` (all that it
    has must match) and `url`, or None there for the index; without a file name the best that the index has
    for the requirement `name`. The names are in `FOLDER/names.json`. Raises NotOffered, OtherContent, what pip raises.
    """
    wanted = json.loads((folder / "wanted.json").read_text(encoding="utf-8"))
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    if options.requirements:  # for the indexes and folders that it names
        options.editables = []
        command.get_requirements([], options, finder, session)
    links = [_link(file, finder) for file in wanted]
    (folder / "names.json").write_text(json.dumps([link.filename for link in links]), encoding="utf-8")
    files = folder / "files"
    files.mkdir()

    def fetch(number: int) -> None:
        _fetch(session, links[number], wanted[number], files / str(number))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fetch, range(len(wanted))))
    return 0


def _link(file: dict[str, Any], finder: Any) -> Link:
    from pip._internal.models.link import Link

    if file["url"]:
        return Link(file["url"])
    if not file["filename"]:
        return _best(file["name"], finder)
    for candidate in finder.find_all_candidates(file["name"]):
        link: Link = candidate.link
        if link.filename == file["filename"] or (link.hash_name, link.hash) in file["hashes"].items():
            return link
    raise NotOffered(f"no index or folder that pip asks has {file['filename']}")


def _best(requirement: str, finder: Any) -> Link:
    from pip._vendor.packaging.requirements import Requirement

    asked = Requirement(requirement)
    found = finder.find_best_candidate(asked.name, specifier=asked.specifier).best_candidate
    if found is None:
        raise NotOffered(f"no index or folder that pip asks has {requirement}")
    link: Link = found.link
    return link


def _fetch(session: Any, link: Link, file: dict[str, Any], target: Path) -> None:
    from pip._internal.network.download import Downloader

    if link.is_file:
        if not Path(link.file_path).is_file():
            raise NotOffered(f"there is no file {link.file_path}")
        target.symlink_to(Path(link.file_path).resolve())
    else:
        part = target.with_suffix(".part")
        part.mkdir()
        Path(Downloader(session, "off")(link, str(part))[0]).replace(target)
    published = {link.hash_name: link.hash} if link.hash_name and link.hash else {}
    for algorithm, digits in {**published, **file["hashes"]}.items():
        with target.open("rb") as content:
            found = hashlib.file_digest(content, algorithm).hexdigest()
        if found != digits:
            raise OtherContent(f"{link.filename} has {algorithm} {found}, and {digits} is meant")
