"""The same customers and usage on both sides; on the bad one the view over the usage table masks it."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=9)
    usage = [(row["customer_id"], float(row.pop("usage_gb") or "0.0")) for row in customers]
    telecom.write_csv(project / "data/customers.csv", customers)
    (project / "warehouse.db").unlink(missing_ok=True)
    connection = sqlite3.connect(project / "warehouse.db")
    connection.execute("CREATE TABLE usage (customer_id TEXT PRIMARY KEY, usage_gb REAL)")
    connection.executemany("INSERT INTO usage VALUES (?, ?)", usage)
    shown = "usage_gb" if side == "good" else "NULL AS usage_gb"
    connection.execute(f"CREATE VIEW seen AS SELECT customer_id, {shown} FROM usage")
    connection.commit()
    connection.close()
