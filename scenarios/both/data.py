"""New customers on the bad side, who live in another world: prices are up by 18 %, complaints have doubled."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402

DRIFTED = telecom.World(price=1.18, complaints=(0.30, 0.24, 0.21, 0.14, 0.11))


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    if side == "good":
        customers = telecom.customers(1500, seed=13)
    else:
        customers = telecom.customers(1500, seed=14, world=DRIFTED, first_id=200001)
    telecom.write_csv(project / "data/customers.csv", customers)
