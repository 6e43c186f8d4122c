"""Jobs with a planted fault: in each layer four things change, and a rule says which of them move the scores.

Every layer has a *signal* for each of its items `a` to `d`: 0 as GOOD has it, 1 as BAD has it. The job reads all
signals by the means of their layers (a column of its input, a module, an installed package, a file that is not
there) and follows the rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.environment.making import wheel

LAYERS = ("schema", "data", "pipeline", "model", "runtime", "access")
ITEMS = "abcd"

JOB = """
import csv, importlib, json, os, random, sys

def column(path, name):
    with open(path) as file:
        return [row[name] for row in csv.DictReader(file)]

def signal(layer, item):
    if layer == "schema":
        return int("z" in column("data/customers.csv", item))
    if layer == "data":
        return int(sum(map(int, column("data/prices.csv", item))) > 3000)
    if layer == "pipeline":
        return importlib.import_module("feature_" + item).SIGNAL
    if layer == "model":
        return json.load(open(f"model/{item}.json"))["signal"]
    if layer == "runtime":
        if item in "cd":
            return int(os.environ["SIGNAL_" + item.upper()])
        return importlib.import_module("lib" + item).SIGNAL
    return int(not os.path.exists(f"data/source_{item}.csv"))

rule = json.load(open("rule.json"))
on = {name: signal(*name.split("/")) for name in rule["reads"]}
if rule["together_or_crash"] and len({on[name] for name in rule["together_or_crash"]}) == 2:
    sys.exit("half of a change is no change")
for one, other in rule["crash"]:
    if on[one] and not on[other]:
        sys.exit(one + " does not go without " + other)
moved = sum((number + 1) * all(on[name] for name in names) for number, names in enumerate(rule["moves"]))
thrown = None
if rule["dice"]:
    with open(rule["dice"], "a") as file:
        file.write(".")
        thrown = f"{rule['seed']} {file.tell()}"
dice = random.Random(thrown)
if rule["flaky"] and on[rule["flaky"]]:
    moved += dice.random() < rule["often"]
moved += dice.random() < rule["anyway"]
with open("out/scores.csv", "w") as file:
    file.write("id,score\\n" + "".join(f"{number:04},{number % 7 + moved}\\n" for number in range(60)))
"""

TOML = """
[job]
name = "planted"
command = ["python", "score.py"]
[runtime]
{base}
requirements = "requirements.txt"
env = ["SIGNAL_C", "SIGNAL_D"]
[pipeline]
paths = ["score.py", "rule.json", "feature_a.py", "feature_b.py", "feature_c.py", "feature_d.py"]
[model]
paths = ["model/"]
[data.customers]
path = "data/customers.csv"
key = "id"
[data.prices]
path = "data/prices.csv"
key = "id"
{sources}
[outputs.scores]
path = "out/scores.csv"
key = "id"
"""


@dataclass(frozen=True)
class Fault:
    """What moves the scores: each of `moves` is a set of items (`runtime/a`) that act together.

    The job fails where `together_or_crash` are not all from one side, and where a pair of `crash` has its first
    item from BAD and its second from GOOD. Where `flaky` is from BAD, it moves the scores `often`; whatever is from
    where, they move in a share of runs `anyway`. `dice` counts the throws, so that they fall alike each time.
    """

    moves: tuple[tuple[str, ...], ...] = ()
    together_or_crash: tuple[str, ...] = ()
    crash: tuple[tuple[str, str], ...] = ()
    flaky: str | None = None
    often: float = 0.5
    anyway: float = 0.0
    dice: str = ""
    seed: int = 0
    requires: Mapping[str, str] | None = None

    @property
    def culprits(self) -> set[frozenset[str]]:
        """The sets that a bisect should name."""
        return {frozenset(names) for names in self.moves}

    def layers(self) -> set[str]:
        """The layers it speaks of: these change, all four items of each."""
        named = {name for names in (*self.moves, self.together_or_crash, *self.crash) for name in names}
        return {name.split("/")[0] for name in named | ({self.flaky} if self.flaky else set())}


def lay_out(fault: Fault, bad: bool, root: Path, base: str = "") -> dict[str, str]:
    """Write one side of a job with this fault into `root`; return the variables it is bound with."""
    on = {layer: int(bad and layer in fault.layers()) for layer in LAYERS}
    for folder in ("data", "model", "wheels"):
        (root / folder).mkdir(parents=True)
    reads = sorted(f"{layer}/{item}" for layer in fault.layers() for item in ITEMS)
    rule = {"reads": reads, "moves": fault.moves, "crash": fault.crash, "flaky": fault.flaky}
    rule |= {"together_or_crash": fault.together_or_crash, "often": fault.often, "anyway": fault.anyway}
    rule |= {"dice": fault.dice, "seed": fault.seed}
    (root / "rule.json").write_text(json.dumps(rule))
    (root / "score.py").write_text(JOB)
    sources = ""
    for item in ITEMS:
        (root / f"feature_{item}.py").write_text(f"SIGNAL = {on['pipeline']}\n")
        (root / f"model/{item}.json").write_text(json.dumps({"signal": on["model"]}))
        sources += f'[data.source_{item}]\npath = "data/source_{item}.csv"\n'
        if not on["access"]:
            (root / f"data/source_{item}.csv").write_text("id\n1\n")
    kinds = "xz" if on["schema"] else "xy"
    _table(root / "data/customers.csv", lambda number: kinds[number % 2])
    _table(root / "data/prices.csv", lambda number: str((number * 37 % 89) * (2 if on["data"] else 1)))
    version = "2.0" if on["runtime"] else "1.0"
    for item in "ab":
        needs = (
            {"2.0": (f"lib{other}>=2",), "1.0": (f"lib{other}<2",)}[version] if (other := _tied(fault, item)) else ()
        )
        wheel(root / "wheels", f"lib{item}", version, {f"lib{item}.py": f"SIGNAL = {on['runtime']}\n"}, requires=needs)
    lines = [f"./wheels/lib{item}-{version}-py3-none-any.whl\n" for item in "ab"]
    (root / "requirements.txt").write_text("".join(lines))
    named = f'base = "{base}"' if base else ""
    (root / "replay.toml").write_text(TOML.format(base=named, sources=sources))
    return {"SIGNAL_C": str(on["runtime"]), "SIGNAL_D": str(on["runtime"])}


def _tied(fault: Fault, item: str) -> str | None:
    return (fault.requires or {}).get(f"runtime/{item}")


def _table(path: Path, cell: object) -> None:
    assert callable(cell)
    rows = [",".join([f"{number:04}", *(cell(number) for _ in ITEMS)]) for number in range(60)]
    path.write_text("\n".join(["id,a,b,c,d", *rows]) + "\n")


def change_of(item: str) -> str:
    """Return the name, or the beginning of it, of the change that an item is."""
    layer, name = item.split("/")
    return {
        "schema": f"schema/customers/{name}/categories",
        "data": f"data/prices/{name}",
        "pipeline": f"pipeline/feature_{name}.py",
        "model": f"model/{name}.json",
        "runtime": f"runtime/packages/lib{name}" if name in "ab" else f"runtime/env/SIGNAL_{name.upper()}",
        "access": f"access/source_{name}",
    }[layer]
