"""The same customers on both sides."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    telecom.write_csv(project / "data/customers.csv", telecom.customers(1500, seed=10))
