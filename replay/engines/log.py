"""A job's log: secrets taken out as it streams, cut in the middle where it grows too long."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping

CAP = 8 << 20
"""The longest log that is kept, in bytes."""

_PART = 4
"""How many characters of a secret at the very end of a log are taken for the start of that secret."""


class Log:
    """Collects merged output in pieces of any size.

    Every value of `secrets` is replaced by `[secret NAME]`, also where it is split between pieces, and in
    the forms in which programs often print it (percent-encoded, JSON, Python's repr). Redaction comes before
    cutting, so that no cut can uncover a value.
    """

    def __init__(self, secrets: Mapping[str, str], cap: int = CAP) -> None:
        self._names = dict(_forms(secrets))
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None
        self._hold = max(map(len, longest_first), default=1) - 1
        self._held = b""
        self._half = cap // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece of output."""
        text = self._held + piece
        safe = max(0, len(text) - self._hold)
        self._held = text[self._redact(text, safe) :]

    def end(self) -> bytes:
        """Return the whole log; nothing may be added afterwards."""
        rest = self._without_start_of_secret(self._held)
        self._redact(rest, len(rest))
        if not self._cut and len(self._tail) <= self._half:
            return bytes(self._head + self._tail)
        self._trim()
        said = f"\n[... {self._cut} bytes cut here by Replay ...]\n".encode()
        return bytes(self._head) + said + bytes(self._tail)

    def _redact(self, text: bytes, until: int) -> int:
        """Keep `text` up to `until`, or to the end of a secret that lies across it; return where it stopped."""
        position = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            if match.start() >= until:
                break
            self._keep(text[position : match.start()])
            self._keep(b"[secret " + self._names[match.group()] + b"]")
            position = match.end()
        stop = max(position, until)
        self._keep(text[position:stop])
        return stop

    def _without_start_of_secret(self, text: bytes) -> bytes:
        """Return `text` without the start of a secret that a killed job had no time to finish."""
        for size in range(len(text), _PART - 1, -1):
            for form, name in self._names.items():
                if form.startswith(text[-size:]):
                    return text[:-size] + b"[secret " + name + b"]"
        return text

    def _keep(self, text: bytes) -> None:
        room = self._half - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        self._tail += text
        if len(self._tail) > 2 * self._half:
            self._trim()

    def _trim(self) -> None:
        surplus = len(self._tail) - self._half
        self._cut += surplus
        del self._tail[:surplus]


def _forms(secrets: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield every form in which a secret may be printed, with its name."""
    for name, value in secrets.items():
        quoted = (urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
        printed = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
        for form in (value, *quoted, *printed):
            if form:
                yield form.encode("utf-8", "surrogateescape"), name.encode()
