"""How figures and values are put into sentences: short, and free of control characters."""

from __future__ import annotations

from typing import Any

LONGEST = 60
"""Characters shown of one value."""


def clean(value: Any, longest: int = LONGEST) -> str:
    """Return a value as one short line: control and direction-changing characters escaped, null as `(null)`."""
    if value is None:
        return "(null)"
    text = value if isinstance(value, str) else str(value)
    cut = text[:longest]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return shown + "…" if len(text) > longest else shown


def count(number: int, noun: str) -> str:
    """Return `1 row`, `7,043 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(part: int, whole: int) -> str:
    """Return a share in percent with two significant digits: `5.3 %`; `0.0012 %` stays visible."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.3g} %" if share >= 99 else f"{share:.2g} %"


def figure(number: float) -> str:
    """Return a figure with three significant digits."""
    return f"{number:.3g}"


def ratio(share: float) -> str:
    """Return a relative difference: in percent up to tenfold, as a factor above."""
    return f"{figure(100 * share)} %" if share < 10 else f"{figure(share)} times"
