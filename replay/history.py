"""Which commits brought a change: read from the project's git repository, where both states were recorded in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.excerpt import excerpt
from replay.git import git
from replay.layers.files import Differing, differing
from replay.layers.hunks import versions
from replay.layers.model import ModelLayer
from replay.layers.parts import Part
from replay.layers.pipeline import PipelineLayer
from replay.layers.release import Release
from replay.record import Provenance
from replay.store.base import Store

MOST_COMMITS = 500
"""Commits between two states up to which history is read."""

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

Origins = dict[str, tuple[str, ...]]
"""Change to the commits that brought it, as `4f2c1e9 subject`; changes in the order of these commits."""


@dataclass(frozen=True)
class Repository:
    """A git repository that holds the project, and the way from one commit to another, oldest first."""

    root: Path
    good: str
    bad: str
    way: tuple[str, ...]

    def touching(self, path: str, way: str, *words: str) -> list[str]:
        """Return the commits of `way` (`a..b`) that change a file, oldest first."""
        said = git(self.root, "rev-list", "--reverse", "--topo-order", *words, way, "--", path)
        return (said or b"").decode().split()

    def content(self, commit: str, path: str) -> bytes:
        """Return a file as it is in a commit; empty where it is not there."""
        return git(self.root, "cat-file", "blob", f"{commit}:./{path}") or b""

    def title(self, commit: str) -> str:
        """Return what people call a commit: its short name and subject."""
        said = git(self.root, "log", "-1", "--no-show-signature", "--format=%h %s", "--abbrev=7", commit, "--")
        return excerpt((said or b"").decode("utf-8", "replace").strip()) or commit[:7]


def origins(root: Path, ends: tuple[Provenance, Provenance], sides: tuple[Release, Release], store: Store) -> Origins:
    """Return which commits brought the changes of code and model.

    Empty where one state was recorded outside git or with uncommitted changes, where the repository at `root` does
    not hold both commits, or where GOOD's is no first-parent ancestor of BAD's.
    """
    found = repository(root, *ends)
    if found is None:
        return {}
    brought: dict[str, _Brought] = {}
    for layer in ("pipeline", "model"):
        one, other = (side.layers[layer] for side in sides)
        if isinstance(one, PipelineLayer | ModelLayer) and isinstance(other, PipelineLayer | ModelLayer):
            for file in differing(layer, one.files, other.files, store):
                brought |= _brought(found, file, store)
    order = {commit: number for number, commit in enumerate(found.way)}
    last = {name: max(order.get(commit, -1) for commit in own.steps) for name, own in brought.items()}
    titles = {commit: found.title(commit) for own in brought.values() for commit in own.commits}
    return {name: tuple(titles[c] for c in brought[name].commits) for name in sorted(brought, key=lambda n: last[n])}


def repository(root: Path, good: Provenance, bad: Provenance) -> Repository | None:
    """Return the repository at `root` where it leads from one state's commit to the other's, else None."""
    one, other = good.git_commit or "", bad.git_commit or ""
    recorded = not (good.git_dirty or bad.git_dirty) and COMMIT.fullmatch(one) and COMMIT.fullmatch(other)
    if not recorded or one == other:
        return None
    said = git(root, "rev-list", "--first-parent", "--reverse", f"--max-count={MOST_COMMITS + 1}", f"{one}..{other}")
    way = (said or b"").decode().split()
    if not way or len(way) > MOST_COMMITS or git(root, "rev-parse", f"{way[0]}^1") != f"{one}\n".encode():
        return None
    return Repository(root, one, other, tuple(way))


@dataclass(frozen=True)
class _Brought:
    """First-parent steps that brought a change, and the commits themselves: of a merge those merged."""

    steps: tuple[str, ...]
    commits: tuple[str, ...]


def _brought(repo: Repository, file: Differing, store: Store) -> dict[str, _Brought]:
    """Return what brought each part of a file; nothing where git does not hold the contents that were recorded."""
    steps = repo.touching(file.path, f"{repo.good}..{repo.bad}", "--first-parent")
    good, bad = (store.get(entry.blob) if entry else b"" for entry in (file.before, file.after))
    if not steps or (repo.content(repo.good, file.path), repo.content(repo.bad, file.path)) != (good, bad):
        return {}
    removed, added = trace(good, [(step, repo.content(step, file.path)) for step in steps])
    found = {}
    for part in file.split.parts if file.split else (Part("", None, None),):
        own = set(steps)
        before, after = good.splitlines(keepends=True), bad.splitlines(keepends=True)
        if file.split and file.split.lines:
            hunks = [file.split.lines.hunks[number] for number in sorted(part.hunks)]
            gone = [line for hunk in hunks for line in range(hunk.start, hunk.end)]
            came = [line for hunk in hunks for line in range(hunk.there, hunk.there_end)]
            removers = {removed[line] for line in gone if line in removed}
            own = removers | {by for line in came if (by := added[line])} or own
            before, after = [before[line] for line in gone], [after[line] for line in came]
        mine = tuple(step for step in steps if step in own)
        opened = [commit for step in mine for commit in _opened(repo, step, file.path, before, after)]
        found[file.name + part.suffix] = _Brought(mine, tuple(dict.fromkeys(opened)))
    return found


def trace(good: bytes, steps: Sequence[tuple[str, bytes]]) -> tuple[dict[int, str], list[str | None]]:
    """Follow the lines of a text through its versions.

    Return by which step each line of `good` that is gone was removed, and which step added each line of the last
    version (None: it is from `good`). Lines count from 0.
    """
    origin: list[str | None] = [None] * len(good.splitlines())
    place: list[int] = list(range(len(origin)))
    removed: dict[int, str] = {}
    text = good
    for step, content in steps:
        found = versions(text, content)
        origins_now: list[str | None] = []
        places_now: list[int] = []
        done = 0
        for hunk in found.hunks:
            origins_now += [*origin[done : hunk.start], *[step] * (hunk.there_end - hunk.there)]
            places_now += [*place[done : hunk.start], *[-1] * (hunk.there_end - hunk.there)]
            removed |= {place[line]: step for line in range(hunk.start, hunk.end) if origin[line] is None}
            done = hunk.end
        origin, place, text = origins_now + origin[done:], places_now + place[done:], content
    return removed, origin


def _opened(
    repo: Repository, step: str, path: str, before: Collection[bytes], after: Collection[bytes]
) -> Iterable[str]:
    """Return the commits that a merge brought, of those that touch the file the ones with these lines; else itself."""
    if git(repo.root, "rev-parse", "--verify", "-q", f"{step}^2") is None:
        return [step]
    inner = repo.touching(path, f"{step}^1..{step}", "--no-merges")
    fitting = []
    for commit in inner:
        found = versions(repo.content(f"{commit}^", path), repo.content(commit, path))
        gone = {line for hunk in found.hunks for line in found.good[hunk.start : hunk.end]}
        came = {line for hunk in found.hunks for line in found.bad[hunk.there : hunk.there_end]}
        if gone & {*before} or came & {*after}:
            fitting.append(commit)
    return fitting or inner or [step]
