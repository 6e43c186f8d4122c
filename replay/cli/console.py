"""What every command shares: progress on standard error, one document on standard output, errors in three lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import NoReturn

from replay.errors import ReplayError


def progress(message: str) -> None:
    """Print a line of progress on standard error."""
    print(f"  {message}", file=sys.stderr, flush=True)


def say(text: str = "") -> None:
    """Print text for people on standard output."""
    print(text, flush=True)


def emit(document: object) -> None:
    """Print the one JSON document of a `--json` command."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False), flush=True)


def result(as_json: bool, document: Mapping[str, object], text: str) -> None:
    """Print a command's result in the form that was asked for."""
    if as_json:
        emit(document)
    else:
        say(text)


def done(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise SystemExit(code)


def explain(error: ReplayError) -> None:
    """Print an error as three lines on standard error."""
    print(f"replay: {plain(error.what)}", file=sys.stderr)
    print(f"  likely cause: {plain(error.cause)}", file=sys.stderr)
    print(f"  what to do:   {plain(error.do)}", file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Return text without control characters, so that a hostile name cannot drive a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
