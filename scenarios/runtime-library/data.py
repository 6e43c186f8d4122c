"""The same customers on both sides, each with the note an agent of the call centre took down."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import telecom  # noqa: E402

LEAVING = ("cancel my contract", "moving to another operator", "number portability request", "too expensive")
STAYING = ("question about roaming", "new SIM card", "how to pay by card", "router restarted", "thanks for the quick help")


def write(side: str, project: Path) -> None:
    """Write the inputs of `side` ("good" or "bad") below `project`."""
    customers = telecom.customers(1200, seed=6)
    draw = random.Random(6).random
    notes = [{"customer_id": customer["customer_id"], "note": _note(draw(), draw(), draw())} for customer in customers]
    telecom.write_csv(project / "data/customers.csv", customers)
    telecom.write_csv(project / "data/notes.csv", notes)


def _note(subject: float, choice: float, habit: float) -> str:
    """Return a note on a random subject, in the habit of a random agent: as it should be, in capitals, or hasty."""
    texts = LEAVING if subject < 0.5 else STAYING
    text = texts[int(choice * len(texts))]
    if habit < 0.3:
        return text
    return text.upper() if habit < 0.8 else text.title().replace(" ", "-") + "!!"
