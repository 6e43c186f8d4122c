"""`--budget`: how many probes, or how much time, a bisect may take."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from replay.errors import ReplayError

SECONDS = {"s": 1, "m": 60, "h": 3600}


class BudgetSpent(ReplayError):
    """The next probe would be beyond the budget."""


@dataclass
class Budget:
    """A limit on probes that run, and on seconds since it was made; None is no limit."""

    text: str = ""
    probes: int | None = None
    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `20` (probes), `90s`, `10m` or `2h`. Raises ReplayError."""
        match = re.fullmatch(r"([1-9]\d{0,8})([smh]?)", text.strip())
        if match is None:
            raise ReplayError(
                f"{text!r} is no budget",
                cause="a budget is a number of probes or a time, and more than nothing",
                do="write --budget 20 (probes), --budget 90s, --budget 10m or --budget 2h",
            )
        number, unit = int(match[1]), match[2]
        return cls(text, None, number * SECONDS[unit]) if unit else cls(text, number)

    def check(self, run: int) -> None:
        """Raise BudgetSpent where no further probe may start, `run` having been run already."""
        spent = self.probes is not None and run >= self.probes
        if spent or (self.seconds is not None and time.monotonic() - self.began >= self.seconds):
            raise BudgetSpent(
                f"the budget of {self.text}{'' if self.seconds else ' probes'} was spent",
                cause="the cause was not shown yet",
                do="bisect again with a larger --budget: no probe that ended runs again",
            )
