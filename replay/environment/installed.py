"""Reading the environment of this host as it stands (`--here`): its packages as wheels, conda's by name."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import PurePosixPath

from replay.environment.adopt import Adopted, conda_packages
from replay.environment.base import Interpreter
from replay.environment.distributions import find, prefix
from replay.environment.keeping import keep
from replay.environment.rootfs import HostFiles
from replay.errors import EngineError
from replay.progress import Progress, silent
from replay.store.base import Store

SCRIPT = "import json, sys; print(json.dumps([path for path in sys.path if path]))"


def installed(interpreter: Interpreter, store: Store, progress: Progress = silent) -> Adopted:
    """Return what an interpreter of this host imports packages from, each package as a wheel in the store.

    A package that has not changed since it was last read is not read again. One that is too large to be kept is only
    described (`filename` is empty): a state that holds it can be compared but not rebuilt. Raises EngineError where
    the interpreter does not answer.
    """
    files, sites = HostFiles(), _sites(interpreter.executable)
    packages, findings = keep(find(files, sites), files, sites, interpreter, store, progress)
    roots = sorted({prefix(site) for site in sites})
    conda = {name: said for root in roots for name, said in conda_packages(files, root).items()}
    return Adopted(packages=packages, os_packages=dict(sorted(conda.items())), findings=findings)


def _sites(executable: str) -> tuple[str, ...]:
    """Return the folders of packages on an interpreter's path, in its order."""
    try:
        done = subprocess.run(
            [executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True, cwd="/"
        )
        path: list[str] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"the packages installed for {executable} could not be listed ({type(error).__name__})",
            cause="the interpreter is broken, or a package in it hangs at start",
            do=f"try `{executable} -c 'import importlib.metadata'` by hand",
        ) from None
    packages = [place for place in path if PurePosixPath(place).name in ("site-packages", "dist-packages")]
    return tuple(dict.fromkeys(map(os.path.realpath, packages)))
