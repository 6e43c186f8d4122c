"""What `replay compare` prints, apart from the other texts: it needs nothing of runs, and so starts at once."""

from __future__ import annotations

from replay.compare.difference import Difference


def compared(difference: Difference | None) -> str:
    """Return the findings as indented lines."""
    return "the same, byte for byte" if difference is None else "\n".join(difference.lines())
