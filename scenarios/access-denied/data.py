"""The same customers and usage on both sides; on the bad one nobody may read the usage any more."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=9)
    usage = [{"customer_id": row["customer_id"], "usage_gb": row.pop("usage_gb") or "0.0"} for row in customers]
    telecom.write_csv(project / "data/customers.csv", customers)
    telecom.write_csv(project / "data/usage.csv", usage)
    if side == "bad":
        (project / "data/usage.csv").chmod(0o000)
