"""Whether a command is a program that libfaketime can reach: one that the dynamic linker loads."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from replay.digest import canonical, of_bytes, short
from replay.engines.base import SYSTEM_PATH, Engine
from replay.environment.base import Base
from replay.errors import EngineError

STATIC = "the command is a static binary, which loads no libfaketime; it reads the time at which it runs"

# ELF-64 and ELF-32, little endian (elf(5)): where the program headers stand, their size and number. A program that
# the dynamic linker loads has one of the kind PT_INTERP (3).
_SCRIPT = """
import os, shutil, struct
path = "command" if os.path.exists("command") else shutil.which({name!r}, path={path!r} or os.environ.get("PATH"))
with open(path or os.devnull, "rb") as file:
    head = file.read(64)
    if head[:4] == b"\\x7fELF":
        wide = head[4] == 2
        place, = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)
        size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
        file.seek(place)
        table = file.read(size * count)
        kinds = [struct.unpack_from("<I", table, number * size)[0] for number in range(count)]
        print("dynamic" if 3 in kinds else "static")
"""


def is_static(engine: Engine, base: Base, name: str, file: Path | None, path: str | None, cache: Path) -> bool:
    """Whether a command is a static binary. Asked once for a base; no answer counts as no.

    `file` is the project's own file of that name where it is one; else `name` is looked for on the base, on `path`
    (None: the base's own).
    """
    if name == "python":
        return False
    content = None if file is None else of_bytes(file.read_bytes())
    key = of_bytes(canonical({"base": base.model_dump(mode="json"), "name": name, "file": content, "path": path}))
    known = cache / f"{short(key)}.txt"
    with contextlib.suppress(OSError):
        return known.read_text("utf-8") == "static"
    with tempfile.TemporaryDirectory(prefix="replay-linkage-") as folder:
        if file is not None:
            shutil.copyfile(file, Path(folder) / "command")
        try:
            said = engine.python_tool(base, _SCRIPT.format(name=name, path=path or SYSTEM_PATH), Path(folder)).strip()
        except EngineError:
            return False
    with contextlib.suppress(OSError):
        known.write_text(said, "utf-8")
    return said == "static"
