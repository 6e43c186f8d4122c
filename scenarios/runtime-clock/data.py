"""June's customers on both sides, with the day they signed up in place of their tenure."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402

EXTRACTED = date(2026, 6, 1)


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1000, seed=14)
    for number, customer in enumerate(customers):
        days = 30 * int(customer.pop("tenure_months")) + number % 30
        customer["signed_up"] = (EXTRACTED - timedelta(days=days)).isoformat()
    telecom.write_csv(project / "data/customers.csv", customers)
