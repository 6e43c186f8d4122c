"""Incidents whose source is a database or a web service, bound while that source really runs.

The incident's own `job.sh` sets the source up (a throw-away PostgreSQL, an HTTP server) and then calls
`python job.py DATA OUT`, told by variables where the source is. A `python` of ours stands first on its PATH: in place
of `job.py` it binds the job, as somebody would with `replay run` where the source can be reached.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SHIM = """#!/bin/sh
case "$1" in
  job.py) exec '{python}' '{script}' --bind '{incident}' {side} '{folder}' '{store}' ;;
  *) exec '{python}' "$@" ;;
esac
"""
_URL = re.compile(r"^(https?|postgres(ql)?(\+\w+)?)://")
_SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|KEY")


def live(incident: Path, side: str) -> bool:
    """Whether an incident's source is one that must be asked."""
    return any((incident / side).glob("access.*"))


def bind_beside(incident: Path, side: str, folder: Path, store: Path) -> str:
    """Set the source up as the incident does, bind the job meanwhile, and return the run's id."""
    place = folder / f"{side}-source"
    place.mkdir()
    for source in (incident, incident / side):
        for path in source.iterdir():
            if path.is_file() and path.name not in {"job.py", "requirements.txt"}:
                shutil.copy(path, place)
    data = incident / side / "data" if (incident / side / "data").is_dir() else incident / "data"
    shutil.copytree(data, place / "data")
    shim = place / "bin" / "python"
    shim.parent.mkdir()
    script = Path(__file__).with_name("incidents.py")
    shim.write_text(
        SHIM.format(python=sys.executable, script=script, incident=incident, side=side, folder=folder, store=store)
    )
    shim.chmod(0o755)
    known = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    known["REPLAY_OUTER"] = json.dumps(sorted(known))
    done = subprocess.run(
        ["bash", "job.sh", "data", "unused"], cwd=place, env=known, capture_output=True, text=True, check=False
    )
    told = folder / f"{side}.run"
    if not told.is_file():
        sys.exit(f"{incident.name} {side}: its source or its binding failed:\n{done.stdout}{done.stderr}")
    return told.read_text()


def declared(environ: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """Return the services that job.sh told of by its variables, as TOML, the secrets, and the variables left."""
    outer = {*json.loads(environ["REPLAY_OUTER"]), "REPLAY_OUTER", "_", "PWD", "OLDPWD", "SHLVL"}
    lines, secrets, plain = [], [], []
    for name in sorted(environ.keys() - outer):
        if _URL.match(environ[name]):
            lines.append(f'[services.{name.lower()}]\nuri = "${{{name}}}"\n')
        elif name == "PGHOST":
            lines.append('[services.database]\nuri = "postgresql://"\n')
        elif _SECRET.search(name):
            secrets.append(name)
        elif not name.startswith("PG"):
            plain.append(name)
    return "\n".join(lines), secrets, plain
