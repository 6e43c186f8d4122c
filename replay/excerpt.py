"""What a report may show of a file: a bearable number of lines, and no secret. Pure."""

from __future__ import annotations

import re

MOST_LINES = 40
WIDEST = 200
"""Lines of a hunk that are shown, and characters of a line."""

HIDDEN = "(hidden)"

WORD = r"(?:password|passwd|pwd|secret|token|credentials?|(?:api|access|private|secret)[_-]?key)(?![a-z])"
NAMED = re.compile(WORD, re.IGNORECASE)
ASSIGNED = re.compile(rf"""(?i)({WORD}[\w-]*["']?\]?\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,"'}}\])]+)""")
IN_URL = re.compile(r"(\w+://[^\s:/@]+:)[^\s/@]+(?=@)")


def excerpt(text: str | None, name: str = "") -> str | None:
    """Return lines or a value for people; None stays None.

    Hidden are: a value whose name says that it is a secret (`password`, `api_key`, `token`…), what is assigned
    to such a name, and the password in a URL. `name` is the key whose value `text` is.
    """
    if text is None:
        return None
    if NAMED.search(name):
        return HIDDEN
    masked = IN_URL.sub(rf"\1{HIDDEN}", ASSIGNED.sub(rf"\1{HIDDEN}", text))
    lines = masked.splitlines() or [masked]
    shown = [line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…" for line in lines[:MOST_LINES]]
    more = len(lines) - len(shown)
    return "\n".join([*shown, f"… and {more} more lines"] if more else shown)
