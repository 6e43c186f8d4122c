"""The same customers on both sides; on the bad one the plan codes went through a column of floats."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=2)
    if side == "bad":
        floats = {code: str(float(code)) for code, _ in telecom.PLANS}  # 007 -> 7.0
        customers = telecom.renamed(customers, "plan_code", floats)
    telecom.write_csv(project / "data/customers.csv", customers)
