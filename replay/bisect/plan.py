"""What a bisect would probe, before anything runs. Pure."""

from __future__ import annotations

from replay.bisect.investigate import groups_of
from replay.layers.release import Release


def plan(good: Release, bad: Release, repeat: int) -> list[str]:
    """Return the probes a bisect makes at most while single layers act, in order, for people."""
    groups = groups_of(good, bad)
    ends = ("GOOD", "BAD") if groups else ("GOOD",)
    steps = [f"{end}, repetition {number + 1}" for number in range(repeat) for end in ends]
    if len(groups) < 2:
        return steps
    single = [f"GOOD with {name} from BAD" for name in groups]
    reverted = [f"BAD with {name} from GOOD" for name in groups]
    # Of two layers, taking the one is reverting the other.
    return steps + single + (reverted if len(groups) > 2 else [])
