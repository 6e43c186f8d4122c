"""The same customers on both sides; on the bad one the billing system calls a segment by a new name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=1)
    if side == "bad":
        customers = telecom.renamed(customers, "segment", {"Family": "Family 2026"})
    telecom.write_csv(project / "data/customers.csv", customers)
