"""What Replay costs beside the bare thing: `make bench`.

Whole commands, one warm-up, then rounds in which every row runs once, so that a busy moment hits all alike; the
median of the rounds. Prints a Markdown table; `--rounds N`, and `--write` puts it into docs/benchmarks.md.
Needs an engine (DOCKER_HOST) with the base `replay-base:bookworm`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rounds import REPLAY, machine, measure, option, publish, run, say

from replay.engines.base import Engine, RunSpec
from replay.engines.choose import choose
from replay.environment.base import Base
from replay.environment.tree import assemble
from replay.layers.release import load, workspace
from replay.store.folder import FolderStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenarios"))
import telecom  # type: ignore[import-not-found]

PEER = "bare `docker run --rm` of the job (the peer)"
EMPTY = "bare `docker run --rm` of `python -c pass`"
FLOOR = "`python -c pass` (the floor)"
JOB = """\
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

table = pd.read_csv("data/customers.csv")
numbers = table.select_dtypes("number").fillna(0)
labels = (numbers.iloc[:, 1] > numbers.iloc[:, 1].median()).astype(int)
model = LogisticRegression(max_iter=2000).fit(numbers, labels)
p = model.predict_proba(numbers)[:, 1]
scores = pd.DataFrame({"customer_id": table["customer_id"], "score": p + OFFSET, "will_churn": (p > 0.5).astype(int)})
scores.to_csv("out/scores.csv", index=False)
"""
TOML = """\
[job]
name = "bench"
command = ["python", "score.py"]
[runtime]
base = "replay-base:bookworm"
requirements = "requirements.txt"
env = ["LOG_LEVEL"]
[pipeline]
paths = ["score.py"]
[data.customers]
path = "data/customers.csv"
key = "customer_id"
[outputs.scores]
path = "out/scores.csv"
key = "customer_id"
decision = "will_churn"
"""


def main() -> None:
    """Measure and print."""
    rounds = option("--rounds", 7)
    with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
        project = make(Path(folder) / "bench")
        say("binding the two ends; wheels are fetched once")
        run(project, *REPLAY, "run", "--tag", "good")
        (project / "score.py").write_text("OFFSET = 0.1\n" + JOB)
        run(project, *REPLAY, "run", "--tag", "bad", environ={"LOG_LEVEL": "WARNING"})
        (project / "score.py").write_text("OFFSET = 0\n" + JOB)
        tree, image = environment(project)
        bare = docker_run(project, tree, image)
        nothing = [bare[0], "run", "--rm", "--network", "none", image, "python3", "-c", "pass"]
        counted: list[int] = []

        def bisect() -> None:
            said = run(project, *REPLAY, "bisect", "good", "bad", "--fresh", "--json")
            counted.append(json.loads(said)["probes"]["run"])

        rows: dict[str, tuple[str, Callable[[], object]]] = {
            PEER: (PEER, lambda: run(project, *bare)),
            "`replay run`, all warm": (PEER, lambda: run(project, *REPLAY, "run")),
            "`replay rerun`, all warm": (PEER, lambda: run(project, *REPLAY, "rerun", "good")),
            "`replay bisect`, 2 layers, fresh": (PEER, bisect),
            EMPTY: (EMPTY, lambda: run(project, *nothing)),
            "the same with our full isolation": (EMPTY, contained(project)),
            FLOOR: (FLOOR, lambda: run(project, sys.executable, "-c", "pass")),
            "`replay --help`": (FLOOR, lambda: run(project, *REPLAY, "--help")),
        }
        medians = measure({name: command for name, (_, command) in rows.items()}, rounds)
    peers = {name: peer for name, (peer, _) in rows.items()}
    publish("commands", [*table(medians, peers, counted[-1]), "", machine(rounds)])


def make(project: Path) -> Path:
    """Write the job: 7,043 customers, a model fitted and applied."""
    (project / "data").mkdir(parents=True)
    telecom.write_csv(project / "data/customers.csv", telecom.customers(7043, seed=1))
    (project / "score.py").write_text("OFFSET = 0\n" + JOB)
    (project / "requirements.txt").write_text("pandas==2.2.3\nscikit-learn==1.5.2\nnumpy==2.0.2\nscipy==1.14.1\n")
    (project / "replay.toml").write_text(TOML)
    return project


def opened(project: Path) -> tuple[Engine, Base]:
    """Return the engine and the base of the good run."""
    store = FolderStore.open(project / ".replay")
    base = workspace(load(store, store.resolve("good").state)).base
    if base is None or base.image is None:
        raise SystemExit("the bench needs a run on the docker engine")
    return choose("docker", cache=store.cache("facts")), base


def environment(project: Path) -> tuple[Path, str]:
    """Return the assembled environment and the image of the good run, for the bare container."""
    store = FolderStore.open(project / ".replay")
    packages = workspace(load(store, store.resolve("good").state)).packages
    engine, base = opened(project)
    if packages is None or base.image is None:
        raise SystemExit("the bench needs a run on the docker engine")
    tree = assemble(packages, engine.interpreter(base), store, lambda s, f: engine.python_tool(base, s, f))
    return tree.path, base.image


def docker_run(project: Path, tree: Path, image: str) -> list[str]:
    """Return a plain `docker run` of the job over the same image, packages and inputs."""
    docker = shutil.which("docker")
    if docker is None:
        raise SystemExit("the bench needs the docker command line for its peer")
    out = project / "out"
    out.mkdir(mode=0o777, exist_ok=True)
    out.chmod(0o777)
    mounts = [f"{tree}:/opt/replay/env:ro", f"{out}:/work/out"]
    mounts += [f"{project / name}:/work/{name}:ro" for name in ("score.py", "data")]
    words = [docker, "run", "--rm", "--network", "none", "-w", "/work", "-u", "65534:65534"]
    return [*words, *(f"-v={mount}" for mount in mounts), image, "/opt/replay/env/bin/python", "score.py"]


def contained(project: Path) -> Callable[[], None]:
    """Return what starts and ends a container of nothing as every job's is, without a process of Replay's around it."""
    engine, base = opened(project)
    work = project.parent / "empty"
    work.mkdir()
    spec = RunSpec(base=base, command=("python", "-c", "pass"), workspace=work)

    def once() -> None:
        if engine.run(spec).exit_code != 0:
            raise SystemExit("the empty container failed")

    return once


def table(medians: dict[str, float], peers: dict[str, str], probes: int) -> list[str]:
    """Return the table with what each row adds to its peer, and the ratio; of a bisect, by probe."""
    lines = ["| command | s | added | ratio |", "|---|---|---|---|"]
    for name, seconds in medians.items():
        count, more = (probes, " a probe") if "bisect" in name else (1, "")
        per, base = seconds / count, medians[peers[name]]
        label = f"{name} ({probes} probes)" if more else name
        lines.append(f"| {label} | {seconds:.3f} | {per - base:+.3f} s{more} | {per / base:.2f} x{more} |")
    return lines


if __name__ == "__main__":
    main()
