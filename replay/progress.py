"""How what takes long says what it is at."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """Say nothing: the progress of those who do not want any."""
    del message
