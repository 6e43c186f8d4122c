"""uv as the resolver: chosen by `locker = "uv"`, an external program or the PyPI package of that name.

uv reads neither pip's files nor its variables: where to look is handed on, in variables, since credentials do not
belong on a command line. As with pip, all indexes count alike and only wheels are taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from replay.environment.base import Interpreter
from replay.environment.index import Question, places, write_pins
from replay.environment.requirements import without_credentials
from replay.environment.trouble import SourceOnly
from replay.errors import LockError

_NO_WHEEL = re.compile(r"([A-Za-z0-9._-]+?)((?:==|>=|<=|~=|>|<)[^\s]+)? has no (?:usable )?wheels")


def choose(question: Question, prefer: Mapping[str, str]) -> Path:
    """Resolve with uv; return the file of pinned versions. Raises LockError. See `index.choose`."""
    pins = write_pins(question, prefer)
    if not prefer:
        pins.unlink()
    interpreter = question.interpreter
    command = [_program(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate", "--strip-extras"]
    command += ["--only-binary", ":all:", "--index-strategy", "unsafe-best-match", "--color", "never"]
    command += ["--python", sys.executable, "--python-version", interpreter.version]
    command += ["--python-platform", _platform(interpreter), "--output-file", str(pins), *question.links]
    try:
        done = subprocess.run(
            [*command, str(question.file.resolve())],
            cwd=question.asked.resolve().parent,
            env=_variables(question),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise _missing(str(error)) from error
    if done.returncode:
        raise _explained(question, done.stderr.decode("utf-8", "replace"))
    return pins


def _program() -> str:
    """Return uv's path: the package's in Replay's own environment, else the one on PATH. Raises LockError."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise _missing("it is neither on PATH nor installed beside Replay")
    return found


def _missing(cause: str) -> LockError:
    return LockError(
        "uv cannot be started, and replay.toml says locker = 'uv'",
        cause=cause,
        do="install it (`pip install uv`), or leave `locker` out: pip-tools is there",
    )


def _platform(interpreter: Interpreter) -> str:
    """Return uv's name for the target's best platform tag. Raises LockError."""
    machine = interpreter.markers["platform_machine"]
    for tag in interpreter.platforms:
        if found := re.match(r"manylinux_2_(\d+)_", tag):
            return f"{machine}-manylinux_2_{min(int(found[1]), 40)}"
        if tag.startswith("musllinux"):
            return f"{machine}-unknown-linux-musl"
    raise LockError(
        f"uv cannot lock for {interpreter.platforms[0]}",
        cause="it knows Linux platforms with glibc or musl here",
        do="leave `locker` out: pip-tools takes any platform",
    )


def _variables(question: Question) -> dict[str, str]:
    found = places(question)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    variables |= {name: value for name, value in os.environ.items() if name in ("UV_CACHE_DIR", "UV_OFFLINE")}
    variables["UV_PYTHON_DOWNLOADS"] = "never"
    if found["no_index"]:
        variables["UV_NO_INDEX"] = "1"
    if found["cert"]:
        variables["SSL_CERT_FILE"] = found["cert"]
    variables["UV_DEFAULT_INDEX"] = found["index_url"]
    variables["UV_INDEX"] = " ".join(found["extra_index_urls"])
    variables["UV_FIND_LINKS"] = ",".join(found["find_links"])
    return {name: value for name, value in variables.items() if value}


def _explained(question: Question, said: str) -> LockError:
    text = without_credentials(" ".join(said.split()))
    what = f"the requirements {str(question.asked)!r} cannot be locked for Python {question.interpreter.version}"
    source = _NO_WHEEL.search(text)
    if source:
        wanted = source[1] + (source[2] or "").rstrip(",")
        error = SourceOnly(
            f"{what}: {wanted} has no wheel",
            cause=f"uv says: {text[:700]}",
            do="ask for a version that has a wheel, or choose another base",
        )
        error.wanted = wanted
        return error
    return LockError(
        what, cause=f"uv says: {text[:700] or 'nothing'}", do="loosen or correct one of these requirements"
    )
