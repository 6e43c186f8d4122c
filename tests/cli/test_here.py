"""`--here`: environments of this host, taken as they stand, diffed, rebuilt and bisected down to one package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Shop
from tests.environment.making import wheel
from tests.support.existing import installed

JOB = """
import csv, rounding, words
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in csv.DictReader(open("data/customers.csv")):
        score = rounding.rounded(int(row["tenure"]) / 10)
        out.writerow([row["id"], score, int(score > 5)])
"""

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

Environments = Callable[..., Path]


@pytest.fixture
def environments(tmp_path: Path, shop: Shop) -> Environments:
    """Make virtual environments with two packages in them, as an installer would leave them."""
    (shop.root / "score.py").write_text(JOB)

    def make(name: str, rounding: str = "1.0", how: str = "round(x, 1)", words: str = "1.0") -> Path:
        place = tmp_path / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        wheels = [
            wheel(tmp_path / "wheels", "rounding", rounding, {"rounding.py": f"def rounded(x):\n    return {how}\n"}),
            wheel(tmp_path / "wheels", "words", words, {"words.py": f"VERSION = '{words}'\n"}),
        ]
        for inner, data in installed(wheels).items():
            (place / SITE / inner).parent.mkdir(parents=True, exist_ok=True)
            (place / SITE / inner).write_bytes(data)
        return place

    return make


def inside(environment: Path) -> dict[str, str]:
    return {"PATH": f"{environment}/bin:{os.environ['PATH']}", "PIP_NO_INDEX": "1"}


def test_two_environments_that_differ_by_one_upgraded_package(shop: Shop, environments: Environments) -> None:
    """Both are gone by the time of the bisect: it runs on what was kept of them."""
    old, new = environments("old"), environments("new", rounding="2.0", how="round(x)", words="1.1")
    assert shop.bind("september", "--here", **inside(old))["record"]["engine"]["name"] == "here"
    shop.bind("october", "--here", **inside(new))
    changes = shop.replay("diff", "september", "october", "--json").json["changes"]
    assert [(change["name"], change["before"], change["after"]) for change in changes] == [
        ("runtime/packages/rounding", "1.0", "2.0"),
        ("runtime/packages/words", "1.0", "1.1"),
    ]
    for place in (old, new):
        place.rename(place.with_suffix(".gone"))
    found = shop.replay("bisect", "september", "october", "--json").json
    assert found["verdict"] == "execution-state-drift"
    assert [culprit["changes"] for culprit in found["culprits"]] == [["runtime/packages/rounding"]]
    assert shop.replay("rerun", "october").code == 0
    shop.sound()


def test_an_environment_that_still_stands_is_used_again(shop: Shop, environments: Environments) -> None:
    place = inside(environments("old"))
    shop.bind("september", "--here", **place)
    ended = shop.replay("rerun", "september", "--json", **place)
    assert ended.code == 0
    assert shop.replay("show", ended.json["reruns"][0]["run"], "--json").json["run"]["engine"]["name"] == "here"


def test_a_file_patched_by_hand_is_a_finding_with_its_diff(
    shop: Shop, environments: Environments, tmp_path: Path
) -> None:
    environment = environments("patched")
    (environment / SITE / "rounding.py").write_text("def rounded(x):\n    return round(x)\n")
    (environment / SITE / "words.py").unlink()
    (shop.root / "score.py").write_text(JOB.replace(", words", ""))
    index = {"PIP_FIND_LINKS": str(tmp_path / "wheels")}
    odd = {
        one["package"]: one for one in shop.bind("a", "--here", **inside(environment), **index)["record"]["packages"]
    }
    assert odd["rounding"]["kind"] == "patched"
    assert "-    return round(x, 1)\n+    return round(x)" in odd["rounding"]["diff"]
    assert odd["words"]["kind"] == "missing"
    assert "rounding.py was changed by hand" in shop.replay("show", "a").out


def test_conda_packages_are_named(shop: Shop, environments: Environments) -> None:
    environment = environments("conda")
    shop.bind("plain", "--here", **inside(environment))
    (environment / "conda-meta").mkdir()
    said = {"name": "libopenblas", "version": "0.3.27", "build": "h1_0", "files": ["lib/libopenblas.so.0"]}
    (environment / "conda-meta/libopenblas-0.3.27-h1_0.json").write_text(json.dumps(said))
    (environment / "conda-meta/broken.json").write_text("{")
    shop.bind("conda", "--here", **inside(environment))
    (change,) = shop.replay("diff", "plain", "conda", "--json").json["changes"]
    assert change["name"] == "runtime/base"
    assert "conda:libopenblas 0.3.27-h1_0" in change["after"]
