"""What every command shares: progress on standard error, one document on standard output, errors in three lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import NoReturn, TextIO

from replay.errors import ReplayError


def progress(message: str) -> None:
    """Print a line of progress on standard error."""
    _print(f"  {plain(message)}", sys.stderr)


def say(text: str = "") -> None:
    """Print text for people on standard output."""
    _print(text, sys.stdout)


def emit(document: object) -> None:
    """Print the one JSON document of a `--json` command."""
    # Plain ASCII: a name may hold what drives a terminal, or what no encoding takes.
    _print(json.dumps(document, indent=2, allow_nan=False), sys.stdout)


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
    lines = (f"replay: {error.what}", f"  likely cause: {error.cause}", f"  what to do:   {error.do}")
    _print("\n".join(plain(" ".join(line.splitlines())) for line in lines), sys.stderr)


def plain(text: str) -> str:
    """Return text without control characters, so that a hostile name cannot drive a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _print(text: str, stream: TextIO) -> None:
    """Print on a stream that its reader may have closed: `replay verify | head -1` still ends with its own code."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
