"""A 20-package upgrade with one guilty package, bisected on one container at a time: part of `make bench`.

`python benchmarks/upgrade.py [--rounds N] [--write]`. The wheels are made here and are warm: fetched and unpacked when
the two ends are bound; no mix of them was ever made. Each round works on a copy of the store as it was then. Needs an
engine (DOCKER_HOST) with the base `replay-base:bookworm`.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rounds import REPLAY, machine, option, publish, run, say

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.environment.making import wheel

PACKAGES = 20
GUILTY = 13
BOUND = (3.0, 1.3)
"""The aim of a whole bisect: seconds, and times the job's own time over all probes."""
JOBS = {"a job of no time": 0.0, "a job of one second": 1.0}
TOML = """\
[job]
name = "upgrade"
command = ["python", "score.py"]
[runtime]
base = "replay-base:bookworm"
requirements = "requirements.txt"
[pipeline]
paths = ["score.py"]
[outputs.scores]
path = "out/scores.csv"
key = "customer"
"""
JOB = """\
import importlib, time
time.sleep({seconds})
names = [f"bench_part{{number:02}}" for number in range({packages})]
weights = [importlib.import_module(name).WEIGHT for name in names]
rows = [f"{{customer}},{{sum((customer + n) % 7 * w for n, w in enumerate(weights))}}" for customer in range(1000)]
open("out/scores.csv", "w").write("customer,score\\n" + "\\n".join(rows) + "\\n")
"""


def main() -> None:
    """Measure and print."""
    rounds = option("--rounds", 3)
    lines = ["| 20 packages upgraded, one guilty, `--jobs 1` | probes | job's own time | wall | aim | |"]
    lines.append("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="replay-upgrade-", dir="/var/tmp") as folder:
        wheels = Path(folder) / "wheels"
        for number in range(PACKAGES):
            for version in ("1.0", "2.0"):
                weight = 1 if version == "1.0" or number != GUILTY else 2
                code = f"WEIGHT = {weight}\nVERSION = {version!r}\n"
                wheel(wheels, f"bench_part{number:02}", version, {f"bench_part{number:02}.py": code})
        for name, seconds in JOBS.items():
            lines.append(_row(name, Path(folder) / str(seconds), wheels, seconds, rounds))
    publish("upgrade", [*lines, "", machine(rounds)])


def _row(name: str, folder: Path, wheels: Path, seconds: float, rounds: int) -> str:
    project = folder / "project"
    project.mkdir(parents=True)
    (project / "replay.toml").write_text(TOML)
    (project / "score.py").write_text(JOB.format(seconds=seconds, packages=PACKAGES))
    environ = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_EXTRA_INDEX_URL": ""}
    for tag, version in {"good": "1.0", "bad": "2.0"}.items():
        pins = [f"bench-part{number:02}=={version}\n" for number in range(PACKAGES)]
        (project / "requirements.txt").write_text("".join(pins))
        run(project, *REPLAY, "run", "--tag", tag, environ=environ)
    walls, probes, job = [], 0, 0.0
    for number in range(rounds):
        store = folder / f"store-{number}"
        shutil.copytree(project / ".replay", store, symlinks=True)
        begin = time.perf_counter()
        said = run(project, *REPLAY, "bisect", "good", "bad", "--json", "--jobs", "1", "--store", str(store))
        walls.append(time.perf_counter() - begin)
        verdict = json.loads(said)
        probes, job = verdict["probes"]["run"], _job_seconds(project, store)
        _check(verdict)
        say(f"{name}: {probes} probes, {walls[-1]:.2f} s, {job:.2f} s of it the job's own")
        shutil.rmtree(store)
    wall, aim = statistics.median(walls), BOUND[0] + BOUND[1] * job
    met = "met" if wall <= aim else "missed"
    return f"| {name} | {probes} | {job:.2f} s | {wall:.2f} s | {aim:.2f} s | {met} |"


def _job_seconds(project: Path, store: Path) -> float:
    """Return the seconds that the job itself took over all probes: from its container's start to its end."""
    listed = json.loads(run(project, *REPLAY, "log", "--all", "-n", "1000", "--json", "--store", str(store)))["runs"]
    runs = [entry["run"] for entry in listed if entry["reason"] == "probe"]
    records: list[Any] = [
        json.loads(run(project, *REPLAY, "show", each, "--json", "--store", str(store))) for each in runs
    ]
    return sum(float(record["run"]["milliseconds"]["job"]) for record in records) / 1000


def _check(verdict: Any) -> None:
    named = [culprit["changes"] for culprit in verdict["culprits"]]
    if named != [[f"runtime/packages/bench-part{GUILTY:02}"]]:
        raise SystemExit(f"the bisect names {named}: {verdict['sentence']}")


if __name__ == "__main__":
    main()
