"""The same customers on both sides; on the bad one 35 % instead of 2 % have no record of their usage."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=3)
    if side == "bad":
        customers = telecom.blanked(customers, "usage_gb", 0.35, seed=3)
    telecom.write_csv(project / "data/customers.csv", customers)
