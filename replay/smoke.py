"""Packages with compiled code, imported once when a state is made: what they need of the base shows there.

A wheel cannot declare a shared library that it takes from the system (lightgbm's needs libgomp).
"""

from __future__ import annotations

import json
import re

from replay.environment.base import Interpreter
from replay.environment.build import Workshop
from replay.environment.packages import PackageSet
from replay.environment.tree import digest
from replay.errors import EngineError
from replay.layers.requirements import universal
from replay.store.base import Store
from replay.store.files import remove_tree, storing, write_whole

FORMAT = 1
MOST = 20
"""Findings reported; a base of the wrong kind would make one of every package."""

_SCRIPT = r"""
import importlib.metadata, json, os, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

LIBRARY = re.compile(r"\.so(\.[0-9]+)*$")
wanted = {}
for found in importlib.metadata.distributions():
    files = [str(file) for file in found.files or []]
    native = {file.split("/")[0] for file in files if LIBRARY.search(file)}
    for top in native:
        name = top.split(".")[0] if "/" not in top and LIBRARY.search(top) else top
        if name.isidentifier() and (name != top or top + "/__init__.py" in files):
            wanted[name] = re.sub("[-_.]+", "-", found.metadata["Name"]).lower()

def tried(name):
    command = [sys.executable, "-c", "import " + name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if done.returncode and lines else None

with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
    said = list(pool.map(tried, sorted(wanted)))
with open("said.json", "w", encoding="utf-8") as file:
    json.dump([[wanted[name], name, word] for name, word in zip(sorted(wanted), said) if word], file)
"""
_LIBRARY = re.compile(r"(?P<library>[^\s:'\"]+\.so[0-9.]*): cannot open shared object file")
_SYMBOL = re.compile(r"version `(?P<version>[^']+)' not found")


def smoke(packages: PackageSet, interpreter: Interpreter, store: Store, workshop: Workshop) -> tuple[str, ...]:
    """Return what is wrong with the compiled packages of a closure on this base; tried once in a store.

    What the engine cannot try is no finding. Raises WheelError and StoreError.
    """
    if all(universal(wheel) for wheel in packages.wheels.values()):
        return ()
    kept = store.cache("smoke") / f"{FORMAT}-{digest(packages, interpreter).removeprefix('sha256:')}.json"
    if kept.exists():
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    folder = store.scratch("smoke")
    try:
        ended = workshop(packages, _SCRIPT, folder, {})
        if ended.code != 0:
            return ()
        said = json.loads((folder / "said.json").read_text(encoding="utf-8"))
        findings = [_finding(packages, *map(str, line)) for line in said[:MOST]]
        with storing("keep what imports showed"):
            write_whole(kept, json.dumps(findings).encode(), folder / "kept.json")
    except (EngineError, OSError, ValueError):
        return ()
    finally:
        remove_tree(folder)
    return tuple(findings)


def _finding(packages: PackageSet, package: str, module: str, said: str) -> str:
    wheel = packages.wheels.get(package)
    name = wheel.filename if wheel else package
    if library := _LIBRARY.search(said):
        lost = library["library"]
        return f"{name} needs {lost}, which the base does not have: `import {module}` fails; choose a base with it"
    if symbol := _SYMBOL.search(said):
        return f"{name} needs {symbol['version']}, which is newer than the base's: `import {module}` fails"
    return f"{name}: `import {module}` fails on this base: {said}"
