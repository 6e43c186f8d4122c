"""Which variables of an image belong to a state."""

from __future__ import annotations

import re

SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
"""Names of an image's variables whose values do not go into a state."""

_NOT_THE_JOBS = {"PATH", "HOME", "HOSTNAME"}
"""Variables that the engine sets for every job."""


def recorded(name: str) -> bool:
    """Whether a variable of an image goes into the state: those that look like secrets stay in the image."""
    return name not in _NOT_THE_JOBS and not SECRET.search(name)
