"""Reading an environment that exists already (`--here`): what is installed in it, by content."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from replay.environment.base import Interpreter
from replay.environment.packages import PackageSet, Wheel
from replay.errors import EngineError
from replay.store.base import Store

SCRIPT = """
import json, re, importlib.metadata as metadata
found = {}
for item in metadata.distributions():
    name = item.metadata["Name"]
    if name:
        key = re.sub("[-_.]+", "-", name).lower()
        record = item.read_text("RECORD") or "".join(sorted(str(f) for f in item.files or []))
        found.setdefault(key, [item.version, item.requires or [], record])
print(json.dumps(found))
"""


def installed(interpreter: Interpreter, store: Store) -> PackageSet:
    """Return the distributions an interpreter sees, each by the digest of its RECORD.

    They have no wheel (`filename` is empty), so a state that holds them can be compared but not rebuilt.
    Raises EngineError where the interpreter does not answer.
    """
    wheels = {}
    for name, (version, requires, record) in sorted(_listed(interpreter.executable).items()):
        entry = store.put(record.encode("utf-8", "surrogateescape"))
        wheels[name] = Wheel(
            version=version, filename="", blob=entry.blob, size=entry.size, requires=tuple(sorted(requires))
        )
    python = ".".join(interpreter.version.split(".")[:2])
    return PackageSet(python=python, platform=interpreter.platforms[0], wheels=wheels)


def _listed(executable: str) -> dict[str, Any]:
    try:
        done = subprocess.run([executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True)
        listed: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"the packages installed for {executable} could not be listed ({type(error).__name__})",
            cause="the interpreter is broken, or a package in it hangs at start",
            do=f"try `{executable} -c 'import importlib.metadata'` by hand",
        ) from None
    return listed
