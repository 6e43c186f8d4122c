"""The telecom churn world of the scenarios: customers and their calls, from a seed.

The same seed gives the same bytes on every platform and every Python since 3.9: every value comes from
`random.Random(seed).random()`, whose sequence the documentation promises to keep, by exact arithmetic, and
is written as text of a fixed format. Every column has a random stream of its own, so that changing one
column (or the number of customers) leaves the others as they were.

A row is a dict of texts, as a CSV file holds it. No customer is real.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Sequence, Tuple

Row = Dict[str, str]
Share = Tuple[str, float]

SEGMENTS: Sequence[Share] = (("Basic", 0.30), ("Family", 0.28), ("Student", 0.17), ("Business", 0.15), ("Senior", 0.10))
REGIONS: Sequence[Share] = (("Almaty", 0.34), ("Astana", 0.27), ("Shymkent", 0.17), ("Karaganda", 0.12), ("Aktobe", 0.10))
CONTRACTS: Sequence[Share] = (("monthly", 0.55), ("one year", 0.25), ("two years", 0.20))
PLANS: Sequence[Share] = (("007", 0.22), ("012", 0.18), ("040", 0.17), ("105", 0.16), ("110", 0.15), ("230", 0.12))

FIRST_ID = 100001
JUNE = 1748736000
"""2025-06-01 00:00 UTC in epoch seconds: calls are made in the 21 days that follow."""
LOCAL = 5 * 3600
"""The customers live at UTC+5, in seconds."""


@dataclass(frozen=True)
class World:
    """How customers behave: what moves when the world (and not the execution) changes.

    `price` and `usage` are factors on the charges and the gigabytes; `complaints` are the probabilities of
    0, 1, 2, 3 and 4 complaints in the last quarter.
    """

    price: float = 1.0
    usage: float = 1.0
    complaints: Tuple[float, ...] = (0.58, 0.23, 0.11, 0.05, 0.03)


def customers(count: int, seed: int, world: World = World(), first_id: int = FIRST_ID) -> List[Row]:
    """Return `count` customers, 2 % of them with no record of their usage."""
    segment, region, contract = (_stream(seed, name) for name in ("segment", "region", "contract"))
    plan, tenure, charge = (_stream(seed, name) for name in ("plan", "tenure", "charge"))
    usage, complaint = (_stream(seed, name) for name in ("usage", "complaint"))
    complaints = [(str(number), share) for number, share in enumerate(world.complaints)]
    rows = [
        {
            "customer_id": f"C{first_id + index}",
            "segment": _pick(segment, SEGMENTS),
            "region": _pick(region, REGIONS),
            "contract": _pick(contract, CONTRACTS),
            "plan_code": _pick(plan, PLANS),
            "tenure_months": str(1 + int(72 * tenure() * tenure())),
            "monthly_charges": f"{world.price * (9.9 + 70 * (charge() + charge()) / 2):.2f}",
            "usage_gb": f"{world.usage * (0.5 + 40 * usage() * (0.4 + usage())):.1f}",
            "complaints": _pick(complaint, complaints),
        }
        for index in range(count)
    ]
    return blanked(rows, "usage_gb", 0.02, seed)


def blanked(rows: Iterable[Row], column: str, share: float, seed: int) -> List[Row]:
    """Return the rows with exactly `share` of them left blank in `column`.

    With the same seed a larger share blanks the same rows and more.
    """
    copies = [dict(row) for row in rows]
    draw = _stream(seed, "blank " + column)
    order = sorted((draw(), index) for index in range(len(copies)))
    for _, index in order[: round(share * len(copies))]:
        copies[index][column] = ""
    return copies


def renamed(rows: Iterable[Row], column: str, names: Dict[str, str]) -> List[Row]:
    """Return the rows with the values of `column` renamed as `names` says, the others kept."""
    return [{**row, column: names.get(row[column], row[column])} for row in rows]


def calls(people: Iterable[Row], seed: int) -> List[Row]:
    """Return 4 to 15 calls of every customer: `call_id,customer_id,started` (epoch seconds).

    Three in ten customers call in the late evening and at night, the others from breakfast to supper.
    """
    number, owl, day, hour = (_stream(seed, "call " + name) for name in ("number", "owl", "day", "hour"))
    rows: List[Row] = []
    for person in people:
        first, length = (20.0, 9.0) if owl() < 0.3 else (6.5, 15.0)
        for _ in range(4 + int(12 * number())):
            second = int(3600 * (first + length * hour()))
            started = JUNE - LOCAL + 86400 * int(21 * day()) + second
            rows.append({"call_id": f"A{len(rows) + 1}", "customer_id": person["customer_id"], "started": str(started)})
    return rows


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows under a header, in UTF-8 with line feeds; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _stream(seed: int, name: str) -> Callable[[], float]:
    """Return a stream of numbers in [0, 1) for one column. The name becomes a number by itself: no hash is involved."""
    return random.Random(seed * 2**256 + int.from_bytes(name.encode("utf-8"), "big")).random


def _pick(draw: Callable[[], float], shares: Sequence[Share]) -> str:
    """Return one of the values by its share; the last one takes what rounding leaves."""
    point, total = draw(), 0.0
    for value, share in shares:
        total += share
        if point < total:
            return value
    return shares[-1][0]
