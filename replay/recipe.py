"""Bases by recipe (`base = "images/bookworm"`): built bit for bit by Replay's own images/build.py, and loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from replay.errors import BaseMissing

PREFIX = "images/"


def load(name: str) -> str:
    """Build the base `images/NAME` unless it was built before, load it unless the engine has it; return its image's id.

    Raises BaseMissing with the builder's words.
    """
    recipe = name.removeprefix(PREFIX)
    builder = _shelf() / "build.py"
    if not builder.is_file():
        raise BaseMissing(
            f"the base {name} has no recipe here",
            cause="Replay's recipes are not installed beside it",
            do="install Replay from its own distribution, or name an image that the engine has",
        )
    # A process of its own, as its user would start it: it is no part of the package.
    command = [sys.executable, str(builder), "--load", "--", recipe]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        told = {word: line.partition(word)[2].strip() for line in said for word in _WORDS if line.startswith(word)}
        raise BaseMissing(
            f"the base {name} cannot be had: {said[0] if told else said[-1]}",
            cause=told.get(_WORDS[0], "its recipe could not be built or loaded"),
            do=told.get(_WORDS[1], f"`python images/build.py {recipe} --load` in Replay's checkout says more"),
        )
    return done.stdout.split()[0]


def known(name: str) -> bool:
    """Whether there is a recipe for the base `images/NAME`."""
    return (_shelf() / name.removeprefix(PREFIX) / "recipe.toml").is_file()


_WORDS = ("likely cause:", "what to do:")


def _shelf() -> Path:
    """Return the folder of recipes: installed beside the package, or the checkout's own."""
    package = Path(__file__).parent
    installed = package / "_share" / "images"
    return installed if installed.is_dir() else package.parent / "images"
