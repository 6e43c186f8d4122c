"""How an engine runs a Python script of Replay's own over a folder: the same on every engine."""

from __future__ import annotations

from replay.errors import EngineError

FLAGS = ("-s", "-S", "-B", "-c", "import sys; sys.path[:] = [p for p in sys.path if p]; exec(sys.argv.pop(1))")
"""Interpreter flags before the script's text. The working folder holds packages of strangers: it is taken
off the path before anything is imported, and neither site nor .pth files are read."""

VARIABLES = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
"""The whole environment of a tool: what it writes (bytecode) must be the same every time."""


def output(name: str, code: int | None, out: bytes, err: bytes) -> str:
    """Return what a tool printed. Raises EngineError unless it ended with 0; `code` None: it took too long."""
    if code == 0:
        return out.decode("utf-8", "replace")
    last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed no error"]
    why = "it took too long and was stopped" if code is None else f"exit code {code}: {last[0]}"
    raise EngineError(
        f"{name} could not run one of Replay's own scripts",
        cause=why,
        do="check that this Python works (`python -c 'import sys'`) and that its folder is writable",
    )
