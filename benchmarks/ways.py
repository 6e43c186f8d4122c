"""The ways to an environment of twelve wheels, and what one swapped package costs on each: part of `make bench`.

`python benchmarks/ways.py [--rounds N] [--write]`. Whole commands, from the same hash-locked requirements and an index
on this machine (so that nobody pays for a line): a Dockerfile with pip, with the classic builder and BuildKit;
BuildKit with a bound wheelhouse; BuildKit with uv and its cache mount; Replay by mount and by image. Needs an engine
(DOCKER_HOST) with the base `replay-base:bookworm`, and a docker command line that has BuildKit built in (20.10) or
buildx; without one these rows are left out, and said.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peer_builds
from rounds import REPLAY, machine, option, publish, run, say
from wheelhouse import OTHER, SWAPPED, Wheelhouse, wheelhouse

STATES = ("cold", "again", "swapped")
TOML = """\
[job]
name = "ways"
command = ["python", "job.py"]
[runtime]
base = "replay-base:bookworm"
requirements = "requirements.txt"
[pipeline]
paths = ["job.py"]
[outputs.answer]
path = "out/answer.txt"
"""
IMPORTS = """\
import time
begin = time.perf_counter()
import lightgbm, numpy, pandas, pyarrow.parquet, scipy.stats, sklearn.linear_model
print(time.perf_counter() - begin)
"""


@dataclass
class Way:
    """One row: the seconds of each state by round; the images that cold builds gave; whether ratios go by it."""

    name: str
    own: bool = False
    spent: dict[str, list[float]] = field(default_factory=lambda: {state: [] for state in STATES})
    images: list[str] = field(default_factory=list)

    def median(self, state: str) -> float:
        """Return the median seconds of a column."""
        return statistics.median(self.spent[state])

    def shown(self, state: str) -> str:
        """Return a column's median as it is written, a dash where it does not apply."""
        return f"{self.median(state):.2f}" if self.spent[state] else "-"


def main() -> None:
    """Measure and print."""
    rounds = option("--rounds", 3)
    with tempfile.TemporaryDirectory(prefix="replay-ways-", dir="/var/tmp") as folder:
        house = wheelhouse(Path(folder) / "house")
        with house.served() as index:
            peers = peer_builds.ways(house, index, Path(folder) / "peers")
            rows = {name: Way(name) for name in peers}
            own = Own(Path(folder) / "own", house, index)
            for number in range(rounds):
                for name, step in peers.items():
                    _peer(rows[name], step, number)
                own.round(number)
                say(f"round {number + 1} of {rounds}")
            ways = [*rows.values(), *own.rows.values()]
            publish("ways", [*_table(ways), "", machine(rounds)])
            publish("imports", _imports(own, max(rounds, 5)))


def _peer(way: Way, step: Callable[[str, int], str], number: int) -> None:
    for state in ("cold", "again", "before", "swapped"):
        begin = time.perf_counter()
        image = step(state, number)
        if state in STATES:
            way.spent[state].append(time.perf_counter() - begin)
        if state == "cold":
            way.images.append(image)
    say(f"{way.name}: " + ", ".join(f"{state} {way.spent[state][-1]:.2f} s" for state in STATES))


class Own:
    """Replay's rows. A swapped environment is one that was never made, of wheels that were: what a bisect asks for."""

    def __init__(self, folder: Path, house: Wheelhouse, index: str) -> None:
        self.folder = folder
        self.house = house
        self.environ = {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        (self.project / "replay.toml").write_text(TOML)
        (self.project / "job.py").write_text('open("out/answer.txt", "w").write("42\\n")\n')
        names = [name for how in ("mount", "image") for name in (_whole(how), _environment(how))]
        self.rows = {name: Way(name, own=True) for name in [*names, SENT, BUILD]}

    def round(self, number: int) -> None:
        """Run every state by mount, then by image, each time with an empty store and no image of ours.

        The engine's images are removed where they count only: for a minute ext4 looks for new inodes past each one
        that was just freed, so what then makes thousands of files pays for that.
        """
        for how in ("mount", "image"):
            if how == "image":
                self.forget()
            self.environ |= {"REPLAY_DELIVERY": how, "REPLAY_STORE": str(self.folder / f"{how}-{number}")}
            for state in ("cold", "again"):
                begin = time.perf_counter()
                phases = self._bind(state)["record"]["milliseconds"]
                self._spent(_whole(how), state, time.perf_counter() - begin)
                made = ("lock", "smoke", "environment") if state == "cold" else ("environment",)
                self._spent(_environment(how), state, sum(phases.get(phase, 0) for phase in made) / 1000)
            self._bind("before", SWAPPED, OTHER)
            self._swap(how, number)
        self.forget()
        for state, ref in {"cold": "cold", "again": "cold", "swapped": "swapped"}.items():
            begin = time.perf_counter()
            said = json.loads(run(self.project, *REPLAY, "build", ref, "--json", environ=self.environ))
            self._spent(BUILD, state, time.perf_counter() - begin)
            if state == "cold":
                self.rows[BUILD].images.append(said["image"])

    def _bind(self, tag: str, *changes: dict[str, str], delivery: dict[str, str] | None = None) -> Any:
        (self.project / "requirements.txt").write_text(self.house.requirements(*changes))
        environ = self.environ | (delivery or {})
        return json.loads(run(self.project, *REPLAY, "run", "--tag", tag, "--json", environ=environ))

    def _swap(self, how: str, number: int) -> None:
        """Rerun a state whose wheels were all met, and whose environment never was.

        Binding it makes a tree, for the smoke test. That is moved aside, not removed (see `round`).
        """
        self._bind("swapped", SWAPPED, delivery={"REPLAY_DELIVERY": "mount"})
        tree = self._newest_tree(how, number)
        tree.chmod(0o755)
        tree.rename(self.folder / f"aside-{how}-{number}")
        took, environment = self._rerun_swapped()
        self._spent(_whole(how), "swapped", took)
        self._spent(_environment(how), "swapped", environment)
        if how == "image":
            (delivered,) = (self.folder / f"image-{number}/cache/delivered").iterdir()
            for image in json.loads(delivered.read_text())[:2]:  # the newest: of the swapped state, and of `before`
                run(self.project, "docker", "rmi", "-f", image["image"])
            self._spent(SENT, "swapped", self._rerun_swapped()[1])

    def _rerun_swapped(self) -> tuple[float, float]:
        """Return the seconds of the whole command, and of its environment alone."""
        begin = time.perf_counter()
        said = json.loads(run(self.project, *REPLAY, "rerun", "swapped", "--json", environ=self.environ))
        took = time.perf_counter() - begin
        shown = run(self.project, *REPLAY, "show", said["reruns"][0]["run"], "--json", environ=self.environ)
        return took, json.loads(shown)["run"]["milliseconds"]["environment"] / 1000

    def _newest_tree(self, how: str, number: int) -> Path:
        trees = (self.folder / f"{how}-{number}/cache/trees").iterdir()
        return max(trees, key=lambda path: path.stat().st_ctime)

    def forget(self) -> None:
        """Remove our images from the engine."""
        for name in ("replay-env", "replay/ways"):
            listed = run(self.project, "docker", "images", "-q", "--no-trunc", name).split()
            if listed:
                run(self.project, "docker", "rmi", "-f", *dict.fromkeys(listed))

    def _spent(self, row: str, state: str, seconds: float) -> None:
        self.rows[row].spent[state].append(seconds)
        say(f"{row}: {state} {seconds:.2f} s")

    def commands(self) -> dict[str, list[str]]:
        """Return how `docker run` starts a Python in the last environments that were made."""
        tree = self._newest_tree("mount", 0)
        built = json.loads(run(self.project, *REPLAY, "build", "swapped", "--json", environ=self.environ))
        python = "/opt/replay/env/bin/python"
        return {
            "Replay, by mount": ["-v", f"{tree}:/opt/replay/env:ro", peer_builds.BASE, python],
            "Replay, by image": [built["image"], python],
        }


def _whole(how: str) -> str:
    return f"Replay by {how}: `replay run` (swapped: `rerun`), container and job included"


def _environment(how: str) -> str:
    return f"Replay by {how}: of that, the environment"


SENT = "Replay by image: the environment, where the engine has to be sent the swapped wheel's layer (74 MB)"
BUILD = "`replay build`: a state's whole image"


def _table(ways: list[Way]) -> list[str]:
    lines = [
        "| way | cold, s | same again, s | one package swapped, s | same image id twice |",
        "|---|---|---|---|---|",
    ]
    for way in ways:
        twice = "-" if len(way.images) < 2 else "yes" if len(set(way.images)) == 1 else "no"
        lines.append(f"| {' | '.join([way.name, *(way.shown(state) for state in STATES), twice])} |")
    lines += ["", "| one package swapped | " + " | ".join(way.name for way in ways if not way.own) + " |"]
    lines.append("|---" * (1 + sum(not way.own for way in ways)) + "|")
    for mine in (way for way in ways if way.own):
        ratios = [f"1/{way.median('swapped') / mine.median('swapped'):.0f}" for way in ways if not way.own]
        lines.append(f"| {' | '.join([mine.name, *ratios])} |")
    return lines


def _imports(own: Own, rounds: int) -> list[str]:
    """Return the table of import times: seconds inside of Python, the packages' files in the page cache."""
    commands = {"pip install, with bytecode": [peer_builds.IMAGE, "python3"], **own.commands()}
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            words = ["docker", "run", "--rm", "--network", "none", *command, "-c", IMPORTS]
            said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            if number:
                spent[name].append(float(said))
    first = statistics.median(spent["pip install, with bytecode"])
    lines = ["| numpy, pandas, scipy, sklearn, pyarrow, lightgbm imported | s | ratio |", "|---|---|---|"]
    for name, each in spent.items():
        median = statistics.median(each)
        lines.append(f"| {name} | {median:.2f} | {median / first:.2f} x |")
    return lines


if __name__ == "__main__":
    main()
