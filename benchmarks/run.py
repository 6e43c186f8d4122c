"""What Replay costs beside the bare thing: `make bench`.

Whole commands, one warm-up, then rounds in which every row runs once, so that a busy moment hits all alike; the
median of the rounds. Prints a Markdown table. Needs an engine (DOCKER_HOST) with the base `replay-base:bookworm`.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from replay.engines.choose import choose
from replay.environment.tree import assemble
from replay.layers.release import load, workspace
from replay.store.folder import FolderStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenarios"))
import telecom  # type: ignore[import-not-found]

ROUNDS = 7
REPLAY = [sys.executable, "-m", "replay"]
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
    with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
        project = make(Path(folder) / "bench")
        say("binding the two ends; wheels are fetched once")
        run(project, *REPLAY, "run", "--tag", "good")
        (project / "score.py").write_text("OFFSET = 0.1\n" + JOB)
        run(project, *REPLAY, "run", "--tag", "bad", LOG_LEVEL="WARNING")
        (project / "score.py").write_text("OFFSET = 0\n" + JOB)
        tree, image = environment(project)
        bare = docker_run(project, tree, image)
        rows: dict[str, Callable[[], None]] = {
            "bare `docker run --rm` of the job (the peer)": lambda: run(project, *bare),
            "`replay run`, all warm": lambda: run(project, *REPLAY, "run"),
            "`replay rerun`, all warm": lambda: run(project, *REPLAY, "rerun", "good"),
            "`replay bisect`, 2 layers, fresh (6 probes)": lambda: run(
                project, *REPLAY, "bisect", "good", "bad", "--fresh", ok=(0,)
            ),
            "`python -c pass` (the floor)": lambda: run(project, sys.executable, "-c", "pass"),
            "`replay --help`": lambda: run(project, *REPLAY, "--help"),
        }
        medians = measure(rows)
    report(medians)


def make(project: Path) -> Path:
    """Write the job: 7,043 customers, a model fitted and applied."""
    (project / "data").mkdir(parents=True)
    telecom.write_csv(project / "data/customers.csv", telecom.customers(7043, seed=1))
    (project / "score.py").write_text("OFFSET = 0\n" + JOB)
    (project / "requirements.txt").write_text("pandas==2.2.3\nscikit-learn==1.5.2\nnumpy==2.0.2\nscipy==1.14.1\n")
    (project / "replay.toml").write_text(TOML)
    return project


def environment(project: Path) -> tuple[Path, str]:
    """Return the assembled environment and the image of the good run, for the bare container."""
    store = FolderStore.open(project / ".replay")
    engine = choose("docker", cache=store.cache("facts"))
    view = workspace(load(store, store.resolve("good").state))
    if view.base is None or view.packages is None or view.base.image is None:
        raise SystemExit("the bench needs a run on the docker engine")
    base = view.base
    tree = assemble(view.packages, engine.interpreter(base), store, lambda s, f: engine.python_tool(base, s, f))
    return tree.path, view.base.image


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


def measure(rows: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the median seconds of each row."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(ROUNDS + 1):
        for name, command in rows.items():
            begin = time.perf_counter()
            command()
            if number:
                seconds[name].append(time.perf_counter() - begin)
        say(f"round {number} of {ROUNDS}" + (" (warm-up)" if not number else ""))
    return {name: statistics.median(each) for name, each in seconds.items()}


def report(medians: dict[str, float]) -> None:
    """Print the table with ratios to the peer and the floor."""
    names = list(medians)
    peer, floor = medians[names[0]], medians[names[4]]
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()},")
    print(f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, `make bench`, median of {ROUNDS}.\n")
    print("| command | s | added | ratio |\n|---|---|---|---|")
    for name in names:
        base = floor if name in names[4:] else peer
        per = medians[name] / 6 if "bisect" in name else medians[name]
        more = " a probe" if "bisect" in name else ""
        print(f"| {name} | {medians[name]:.3f} | {per - base:+.3f} s{more} | {per / base:.2f} x{more} |")


def run(project: Path, *words: str, ok: tuple[int, ...] = (0,), **environ: str) -> None:
    """Run a command to its end; the bench stops where one fails."""
    done = subprocess.run(words, cwd=project, env=os.environ | environ, capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}\n{done.stderr}")


def say(message: str) -> None:
    """Print progress on standard error."""
    print(f"  {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
