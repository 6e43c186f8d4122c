"""The same customers on both sides: 18 % of them have no record of their usage, as always."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.blanked(telecom.customers(1500, seed=5), "usage_gb", 0.18, seed=5)
    telecom.write_csv(project / "data/customers.csv", customers)
