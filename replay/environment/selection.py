"""What is wanted of a lock, and how one is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replay.environment.requirements import without_credentials
from replay.errors import LockError

Locker = Literal["pip-tools", "uv"]


@dataclass(frozen=True)
class Selection:
    """What of a lock is wanted: its extras and dependency groups; `groups` None: those it installs by default."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    locker: Locker = "pip-tools"


DEFAULT = Selection()


def refusal(path: Path, cause: str, do: str) -> LockError:
    """Return the error for a lock that cannot be taken."""
    return LockError(f"the lock {str(path)!r} cannot be used", cause=without_credentials(cause)[:700], do=do)


def known(path: Path, what: str, asked: tuple[str, ...], offered: Iterable[str]) -> None:
    """Raise LockError where an extra or group is asked for that the lock does not hold."""
    for name in asked:
        if name not in offered:
            some = ", ".join(sorted(offered)) or "none"
            raise refusal(path, f"it has no {what} {name!r} (it has {some})", f"correct [runtime] {what}s")
