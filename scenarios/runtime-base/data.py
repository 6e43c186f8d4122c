"""The same customers and calls on both sides."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(800, seed=8)
    telecom.write_csv(project / "data/customers.csv", customers)
    telecom.write_csv(project / "data/calls.csv", telecom.calls(customers, seed=8))
