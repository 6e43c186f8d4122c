"""Bind and bisect every incident of a collection, and print how the verdicts compare with what is expected.

`python benchmarks/incidents.py FOLDER [NAME…]`. The layout of a collection is described in its README; each
incident is bound on the docker engine with the base its Python calls for.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import live
import pyarrow.parquet as pq

from replay.bind import Project, bind
from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.bisect.verdict import Verdict
from replay.config import load
from replay.engines.choose import choose
from replay.errors import ReplayError
from replay.execute import Workbench
from replay.record import RunRecord
from replay.store.folder import FolderStore

BASES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
CODE = {".py", ".sh", ".sql", ".yaml", ".toml"}
NO_CODE = {"make_data.py", "access.json", "access.sql", "replay.toml"}


def project(incident: Path, side: str, place: Path) -> dict[str, str]:
    """Lay one side of an incident out as a project; return the variables it is bound with."""
    place.mkdir()
    for source in (incident, incident / side):
        for path in source.iterdir():
            if path.is_file() and path.suffix in {*CODE, ".txt"} and path.name not in NO_CODE:
                shutil.copy(path, place)
    data = incident / side / "data" if (incident / side / "data").is_dir() else incident / "data"
    shutil.copytree(data, place / "data")
    env = dict(line.split("=", 1) for line in (incident / f"{side}.env").read_text().splitlines() if "=" in line)
    (place / "replay.toml").write_text(declaration(incident, side, place, list(env)))
    return env


def declaration(incident: Path, side: str, place: Path, env: list[str]) -> str:
    """Return the replay.toml of one side."""
    case = json.loads((incident / "case.json").read_text())
    base = BASES[case["python"]]
    dockerfile = incident / side / "Dockerfile"
    if dockerfile.is_file() and "zoneinfo" in dockerfile.read_text():
        base += "-notz"
    script = "job.sh" if (place / "job.sh").is_file() else "job.py"
    runner = "bash" if script == "job.sh" else "python"
    names = sorted({*env, *(w for s in ("good", "bad") for w in _names(incident / f"{s}.env"))})
    lines = [
        f'[job]\nname = "{incident.name}"\ncommand = ["{runner}", "{script}", "data", "out/scores.csv"]\n',
        f'[runtime]\nbase = "replay-base:{base}"\nrequirements = "requirements.txt"\nenv = {json.dumps(names)}\n',
        f"[pipeline]\npaths = {json.dumps(sorted(p.name for p in place.iterdir() if p.suffix in CODE))}\n",
    ]
    models = sorted(f"data/{path.name}" for path in (place / "data").glob("model*"))
    if models:
        lines.append(f"[model]\npaths = {json.dumps(models)}\n")
    for path in sorted((place / "data").iterdir()):
        if f"data/{path.name}" not in models:
            lines.append(f'[data.{path.stem}]\npath = "data/{path.name}"\nkey = "{_first_column(path)}"\n')
    lines.append('[outputs.scores]\npath = "out/scores.csv"\nkey = "customer_id"\n')
    return "\n".join(lines)


def _names(file: Path) -> list[str]:
    return [line.split("=", 1)[0] for line in file.read_text().splitlines() if "=" in line]


def _first_column(path: Path) -> str:
    """Return the row id's column: the first."""
    if path.is_dir():
        return _first_column(next(part for part in sorted(path.rglob("*")) if part.is_file()))
    if path.suffix == ".parquet":
        return str(pq.read_schema(path).names[0])
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline()
    if path.suffix == ".jsonl":
        return str(next(iter(json.loads(line))))
    return next(csv.reader([line], delimiter=max(",;\t|", key=line.count)), ["id"])[0]


def examine(incident: Path, folder: Path, store: FolderStore) -> tuple[Verdict, float]:
    """Bind both sides and bisect them; return the verdict and the seconds the bisect took."""
    engine = choose("docker", cache=store.cache("facts"))
    records: list[RunRecord] = []
    for side in ("good", "bad"):
        place = folder / side
        if live.live(incident, side):
            records.append(store.run(live.bind_beside(incident, side, folder, store.root)))
            continue
        env = project(incident, side, place)
        records.append(bind(Workbench(store, engine, env), Project(place, load(place))))
    begin = time.perf_counter()
    verdict = investigate(Workbench(store, engine, {}), records[0], records[1], Options(jobs=2))
    return verdict, time.perf_counter() - begin


def bind_here(incident: Path, side: str, folder: Path, store: FolderStore) -> None:
    """Bind one side of an incident whose source runs just now, as the variables say; write the run's id down."""
    place = folder / side
    env = project(incident, side, place)
    (place / "job.sh").unlink()
    services, secrets, plain = live.declared(os.environ)
    text = declaration(incident, side, place, [])
    text = text.replace("[runtime]\n", f"[runtime]\nsecrets = {json.dumps(secrets)}\n")
    text = text.replace("env = [", f"env = {json.dumps(plain)[:-1]}{', ' if plain else ''}")
    (place / "replay.toml").write_text(text + services)
    engine = choose("docker", cache=store.cache("facts"))
    record = bind(Workbench(store, engine, {**os.environ, **env}), Project(place, load(place)))
    (folder / f"{side}.run").write_text(record.id)


def right(expected: dict[str, Any], verdict: Verdict) -> bool:
    """Whether a verdict names the expected layer and, as far as it goes, the expected change."""
    named = [change for culprit in verdict.culprits for change in culprit.changes]
    if expected["layer"] == "none":
        return verdict.verdict == "nondeterministic" and not named
    alike = all(any(a.startswith(b) or b.startswith(a) for b in named) for a in expected["changes"])
    return alike and {change.split("/")[0] for change in named} == {expected["layer"]}


def main() -> int:
    """Print the table; exit code 0 where every incident that ran came out right."""
    if sys.argv[1] == "--bind":
        source, side, there, kept = sys.argv[2:]
        bind_here(Path(source), side, Path(there), FolderStore.open(Path(kept)))
        return 0
    collection, *wanted = sys.argv[1:]
    found = sorted(path.parent for path in Path(collection).glob("*/EXPECTED.json"))
    wrong = 0
    print("| incident | expected | verdict | culprit | probes | s | |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore.open(Path(folder) / "store")
        for incident in found:
            if wanted and incident.name not in wanted:
                continue
            expected = json.loads((incident / "EXPECTED.json").read_text())
            place = Path(folder) / incident.name
            place.mkdir()
            start = f"| {incident.name} | {' + '.join(expected['changes']) or 'none'} |"
            try:
                verdict, seconds = examine(incident, place, store)
            except ReplayError as error:
                print(f"{start} error: {error.what} | | | | WRONG |", flush=True)
                wrong += 1
                continue
            ok = right(expected, verdict)
            wrong += not ok
            names = " + ".join(change for culprit in verdict.culprits for change in culprit.changes)
            count = verdict.probes
            probes = f"{count.run}, {count.unresolved} could not run" if count.unresolved else str(count.run)
            said = "right" if ok else f"WRONG: {verdict.sentence}"
            print(f"{start} {verdict.verdict} | {names} | {probes} | {seconds:.1f} | {said} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
