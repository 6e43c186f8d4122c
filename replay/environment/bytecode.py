"""Bytecode made by the base's own interpreter: the same bytes wherever and beside whatever it is made.

The bytes that `marshal` writes depend on what the process interned before, and the order of sets on its hash
seed (fixed in CPython 3.11 and up, https://github.com/python/cpython/issues/81777). So every portion of one
wheel's sorted files is compiled by a fresh process with hash seed 0. Hash-based, unchecked (PEP 552): valid
whatever times the files have. The names inside are relative; import replaces them by the real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from replay.errors import EngineError
from replay.store.files import FULL

Tool = Callable[[str, Path], str]
"""Runs a Python script (text) with the base's interpreter over a writable folder; returns its output."""

PORTION = 150
"""Files compiled by one process: many enough to pay for its start, few enough to share out a large wheel."""

_SCRIPT = r'''
import json, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

COMPILE = """
import json, py_compile, sys
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
for source, name in json.load(sys.stdin):
    try:
        py_compile.compile(source, dfile=name, doraise=True, optimize=0, invalidation_mode=unchecked)
    except py_compile.PyCompileError:
        pass
    except OSError as error:
        sys.exit(error.errno or 1)
"""
env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
env["PYTHONHASHSEED"] = "0"

def compiled(portion):
    folder, names = portion
    work = json.dumps([(os.path.join(os.getcwd(), folder, name), name) for name in names])
    command = [sys.executable, "-s", "-S", "-W", "ignore", "-c", COMPILE]
    return subprocess.run(command, input=work.encode(), cwd="/", env=env).returncode

with open("portions.json", encoding="utf-8") as file:
    portions = json.load(file)
with ThreadPoolExecutor(os.cpu_count()) as pool:
    failed = [code for code in pool.map(compiled, portions) if code]
sys.exit("compiling stopped: %s" % os.strerror(max(failed)) if failed else 0)
'''


def compile_all(folder: Path, sites: dict[str, list[str]], tool: Tool) -> None:
    """Compile modules below `folder`: `sites` maps a folder in it to the sorted names of its Python files.

    A file that does not compile gets no bytecode, as with pip. Raises what `tool` raises, and OSError where
    the disk is full.
    """
    portions = [
        (site, names[start : start + PORTION])
        for site, names in sites.items()
        for start in range(0, len(names), PORTION)
    ]
    if portions:
        (folder / "portions.json").write_text(json.dumps(portions), encoding="utf-8")
        try:
            tool(_SCRIPT, folder)
        except EngineError as error:
            for code in FULL:
                if os.strerror(code) in error.cause:
                    raise OSError(code, os.strerror(code)) from error
            raise
