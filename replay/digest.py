"""Digests and canonical JSON: the names by which everything in Replay is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content digest in the form of the OCI image specification: `sha256:` and 64 hex digits."""

CHUNK = 1 << 20


def of_bytes(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """Return the digest of a file's content, read in chunks. Raises OSError as `open` does."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def canonical(document: Any) -> bytes:
    """Return the canonical JSON of a document of str, int, bool, None, list and dict.

    Keys sorted, no white space, UTF-8, no NaN: after RFC 8785, which agrees with this for documents
    without floating-point numbers. A float is refused, because its text is not the same everywhere.
    """
    _refuse_floats(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def short(digest: str) -> str:
    """Return the twelve hex digits by which people name a digest."""
    return digest.removeprefix("sha256:")[:12]


def _refuse_floats(document: Any) -> None:
    if isinstance(document, float):
        raise TypeError("canonical JSON holds no floats: store a count, a ratio of ints or text")
    if isinstance(document, dict):
        for value in document.values():
            _refuse_floats(value)
    elif isinstance(document, list | tuple):
        for value in document:
            _refuse_floats(value)
