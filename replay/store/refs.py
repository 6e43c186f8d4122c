"""What a REF stands for, and which names a tag may have. Pure: the stores bring the tags, runs and states."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

from replay.digest import short
from replay.errors import NotFound, StoreError
from replay.store.base import Resolved, RunEntry

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
LAST = re.compile(r"last(?:~([0-9]{1,9}))?")

# Valid both as a registry's tag (OCI distribution 1.1) and as a layout's `org.opencontainers.image.ref.name`
# (OCI image 1.1, annotations), so that every tag can be pushed.
TAG = re.compile(r"[A-Za-z0-9]+(?:(?:[._-]|--)[A-Za-z0-9]+)*")
TAG_LENGTH = 128

NAMED = 8


def shown(text: object, limit: int = 160) -> str:
    """Return `text` fit for one line of a message: escaped where it does not print, cut where it is long."""
    line = str(text)
    line = line if line.isprintable() else repr(line)[1:-1]
    return line if len(line) <= limit else line[: limit - 1] + "…"


def check_tag(name: str) -> str:
    """Return `name` if a tag may be called so. Raises StoreError.

    `last` and a full id are refused: they mean something else already.
    """
    well_formed = len(name) <= TAG_LENGTH and TAG.fullmatch(name) is not None
    if well_formed and not LAST.fullmatch(name) and not re.fullmatch("[0-9a-fA-F]{64}", name):
        return name
    raise StoreError(
        f"'{shown(name)}' cannot be a tag",
        cause="a tag is up to 128 letters and digits with single '.', '_', '-' between them; 'last' and ids are taken",
        do="choose a name like 'prod-2024.10'",
    )


def check_folder(name: str) -> str:
    """Return `name` if a scratch or cache folder may have it: letters, digits, '.', '_', '-'. Raises ValueError."""
    if re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        return name
    raise ValueError(f"not a folder's name: {name!r}")


def resolve(
    ref: str,
    *,
    tags: Callable[[], Collection[str]],
    tagged: Callable[[str], Resolved],
    newest: Callable[[], Iterator[RunEntry]],
    states: Callable[[], Iterable[str]],
) -> Resolved:
    """Return what `ref` stands for: `last`, `last~N`, a tag, an id or a unique prefix of one.

    `tags` names the tags, `tagged` follows one, `newest` yields the run log from its end, `states` the ids
    of all states; each is asked only when needed. Raises NotFound.
    """
    if last := LAST.fullmatch(ref):
        return _nth_last(int(last[1] or 0), newest())
    names = tags()
    if ref in names:
        return tagged(ref)
    if prefix := PREFIX.fullmatch(ref.lower()):
        return _by_prefix(ref, "sha256:" + prefix[1], newest(), states(), names)
    raise _unknown(ref, names)


def _nth_last(back: int, newest: Iterator[RunEntry]) -> Resolved:
    own = (entry for entry in newest if entry.reason == "run" and not entry.origin)
    entry = next(islice(own, back, None), None)
    if entry is not None:
        return Resolved(state=entry.state, run=entry.run)
    raise NotFound(
        f"there is no run 'last~{back}'" if back else "there is no last run",
        cause="fewer runs than that were made here (reruns, probes and what was pulled are not counted)",
        do="`replay log` lists the runs; `replay run` records one",
    )


def _by_prefix(
    ref: str, prefix: str, newest: Iterator[RunEntry], states: Iterable[str], names: Collection[str]
) -> Resolved:
    runs = {entry.run: entry for entry in newest if entry.run.startswith(prefix)}
    found = {run: Resolved(state=entry.state, run=run) for run, entry in runs.items()}
    found |= {state: Resolved(state=state, run=None) for state in states if state.startswith(prefix)}
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise _unknown(ref, names)
    lines = [f"run {short(run)} ({shown(entry.job, 40)}, {shown(entry.started, 40)})" for run, entry in runs.items()]
    lines += [f"state {short(name)}" for name in sorted(found.keys() - runs.keys())]
    more = f" and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    raise NotFound(
        f"'{shown(ref)}' is ambiguous: {', '.join(lines[:NAMED])}{more}",
        cause="several ids begin with these digits",
        do="give more digits of the one you mean",
    )


def _unknown(ref: str, names: Collection[str]) -> NotFound:
    close = difflib.get_close_matches(ref[:TAG_LENGTH], names, n=3)
    return NotFound(
        f"nothing in the store is called '{shown(ref)}'",
        cause="no tag has this name and no id of a run or state begins so (4 hex digits at least)",
        do=f"did you mean {' or '.join(close)}?" if close else "`replay log` lists runs and tags",
    )
