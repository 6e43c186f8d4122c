"""Which old runs may go. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from replay.errors import ConfigError
from replay.store.base import RunEntry
from replay.store.refs import shown

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def age(text: str) -> timedelta:
    """Return an age such as `30d`, `12h` or `8w`. Raises ConfigError."""
    if match := re.fullmatch(r"([0-9]{1,5})([hdw])", text):
        return int(match[1]) * _UNITS[match[2]]
    raise ConfigError(
        f"'{shown(text)}' is no age", cause="it is a number and h, d or w", do="write it like 30d, 12h or 8w"
    )


def droppable(
    entries: Sequence[RunEntry], tagged: Collection[str], *, keep: int | None, before: datetime | None
) -> set[str]:
    """Return the ids of runs that may go: not tagged, and spared by neither rule.

    `keep` spares each job's newest so many of its own runs and all that came after the oldest of them (their reruns
    and probes); `before` spares what started later. `entries` are oldest first.
    """
    spared = set(tagged)
    if keep is not None:
        counted: dict[str, int] = {}
        for entry in reversed(entries):
            if counted.get(entry.job, 0) < keep:
                spared.add(entry.run)
            if entry.reason == "run" and not entry.origin:
                counted[entry.job] = counted.get(entry.job, 0) + 1
    if before is not None:
        spared |= {entry.run for entry in entries if not _started_before(entry.started, before)}
    return {entry.run for entry in entries} - spared


def _started_before(started: str, moment: datetime) -> bool:
    """Whether a run is old; a time that cannot be read, in a record from elsewhere, is not."""
    try:
        found = datetime.fromisoformat(started)
    except ValueError:
        return False
    return (found if found.tzinfo else found.replace(tzinfo=UTC)) < moment
