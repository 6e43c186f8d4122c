"""A package that was added with what it needs and with what needs it: one is guilty, and the way back was run."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Shop
from tests.environment.making import requirements, wheel

FUZZY = """
import csv
try:
    import fast as matcher
except ImportError:
    import slow as matcher
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in csv.DictReader(open("data/customers.csv")):
        out.writerow([row["id"], matcher.score(int(row["tenure"])), 0])
"""


def test_an_added_package_is_named_and_bad_without_it_is_a_state_that_was_run(shop: Shop, tmp_path: Path) -> None:
    """As python-Levenshtein brings Levenshtein, and that rapidfuzz: the first and the last do nothing by themselves."""
    folder = tmp_path / "wheels"
    slow = wheel(folder, "slow", files={"slow.py": "def score(x):\n    return x\n"})
    core = wheel(folder, "core", files={"core.py": "FACTOR = 2\n"})
    code = "import core\n\ndef score(x):\n    return x * core.FACTOR\n"
    fast = wheel(folder, "fast", files={"fast.py": code}, requires=("core>=1",))
    name = wheel(folder, "oldname", files={"oldname.py": "from fast import *\n"}, requires=("fast>=1",))
    shop.declare(runtime='requirements = "requirements.txt"')
    shop.job(source=FUZZY)
    requirements(shop.root, "--no-index", slow)
    shop.bind("good", LOG_LEVEL="INFO")
    requirements(shop.root, "--no-index", slow, core, fast, name)
    shop.bind("bad", LOG_LEVEL="DEBUG")

    found = shop.replay("bisect", "good", "bad", "--json").json

    assert [culprit["changes"] for culprit in found["culprits"]] == [["runtime/packages/fast"]]
    assert found["sentence"].startswith(
        "runtime/packages/fast causes it: taken with runtime/packages/core it reproduces it, "
        "and reverting it with runtime/packages/oldname mends it"
    )
    assert shop.replay("rerun", found["fix"]).code == 0
    left = shop.replay("diff", found["fix"], "bad", "--json").json["changes"]
    assert [change["name"] for change in left] == ["runtime/packages/fast", "runtime/packages/oldname"]
