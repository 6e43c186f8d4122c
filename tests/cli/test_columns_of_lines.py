"""A bisect goes below the file in every format: the field of a JSON Lines input, the column of a folder's parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Shop

JOB = """
import csv, glob, json
rows = []
for name in sorted(glob.glob("data/customers*")) + sorted(glob.glob("data/customers/part-*.jsonl")):
    if name.endswith(".jsonl"):
        rows += map(json.loads, open(name))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        score = round(row["tenure"] * -0.06 + row["monthly"] * 0.02 + len(row["address"]["city"]) * 0.01, 6)
        out.writerow([row["id"], score, int(score > 0.2)])
"""

Row = dict[str, Any]


def lines(edit: Callable[[Row], object] = lambda _: None, numbers: range = range(300)) -> str:
    found = []
    for number in numbers:
        row = {
            "id": f"{number:04}",
            "tenure": number * 7 % 72,
            "monthly": 20 + number * 13 % 97 + 0.5,
            "paper": bool(number % 3),
            "address": {"city": ["Rome", "Oslo", "Bergen"][number % 3], "zip": 1000 + number},
        }
        edit(row)
        found.append(json.dumps(row))
    return "\n".join(found) + "\n"


def dearer_elsewhere(row: Row) -> None:
    """Prices went up; people moved, too, and changed how they are billed, which decides nothing."""
    row.update(monthly=round(row["monthly"] * 1.12, 2), paper=not row["paper"])
    row["address"]["zip"] += 1


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_guilty_field_of_json_lines_is_named(shop: Shop, kind: str) -> None:
    (shop.root / "score.py").write_text(JOB)
    (shop.root / "data/customers.csv").unlink()
    path = "data/customers.jsonl" if kind == "file" else "data/customers"
    toml = (shop.root / "replay.toml").read_text()
    (shop.root / "replay.toml").write_text(toml.replace("data/customers.csv", path))

    def write(edit: Callable[[Row], object]) -> None:
        if kind == "file":
            (shop.root / path).write_text(lines(edit))
            return
        (shop.root / path).mkdir(exist_ok=True)
        for part in range(3):
            (shop.root / path / f"part-{part}.jsonl").write_text(lines(edit, range(part * 100, part * 100 + 100)))

    write(lambda _: None)
    shop.bind("good")
    write(dearer_elsewhere)
    shop.bind("bad")
    told = shop.replay("diff", "good", "bad").out
    assert "data/customers/monthly" in told
    assert "each x 1.12" in told
    verdict = shop.replay("verify", "good", "bad", "--json").json
    assert (verdict["verdict"], verdict["retrain"]) == ("data-drift", True)
    assert [culprit["changes"] for culprit in verdict["culprits"]] == [["data/customers/monthly"]]
    assert {"data/customers/address", "data/customers/paper"} <= set(verdict["cleared"])
