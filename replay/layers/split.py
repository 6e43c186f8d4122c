"""Taking a file apart where two states differ: by the keys of a config file, else by hunks. Pure."""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache
from pathlib import PurePosixPath

from replay.layers.hunks import versions
from replay.layers.keys import by_key
from replay.layers.parts import Split, hunked

LARGEST = 1 << 20
"""Bytes up to which a file is taken apart; a larger one is swapped whole."""

MOST_KEYS = 64
MOST_LEARNED = 8
"""Keys of a config file, and of a model's, that are told apart."""


@lru_cache(maxsize=128)
def split(path: str, good: bytes, bad: bytes, *, learned: bool = False) -> Split | None:
    """Take a file apart, deterministically; None where only the whole of it can be swapped.

    A `learned` file has keys and no hunks, and where more of it changed than a hand changes, it was learned
    anew: each of its numbers would be a cause of its own.
    """
    if good == bad or any(len(side) > LARGEST or b"\0" in side for side in (good, bad)):
        return None
    if learned:
        return by_key(path, good, bad, MOST_LEARNED)
    return by_key(path, good, bad, MOST_KEYS) or by_hunk(path, good, bad)


def by_hunk(path: str, good: bytes, bad: bytes) -> Split | None:
    """Take a text apart into hunks; of Python code, such that each can be taken without breaking its syntax."""
    found = versions(good, bad)
    if PurePosixPath(path).suffix == ".py" and is_python(good) and is_python(bad):
        found = found.merged(is_python)
    return hunked(found)


def is_python(data: bytes) -> bool:
    """Whether this Python can parse it."""
    return parsed(data) is not None


def parsed(data: bytes) -> ast.Module | None:
    """Return the syntax tree of Python code, None for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
