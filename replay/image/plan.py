"""Which wheels share a layer, and in which order the layers lie. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from replay.errors import EngineError

MOST_LAYERS = 125
"""So many an engine takes (Docker's overlay2 driver refuses more)."""

OWN_LAYERS = 4
"""Kept free for the environment's own files, data, model and code."""

MOST_SINGLES = 100
GROUPS = 16
"""Above MOST_SINGLES packages the small ones share so many layers, by name, so that one that is swapped moves few."""

Stack = list[tuple[str, ...]]
"""The layers from the lowest, each the names of the packages in it."""


def arrange(sizes: Mapping[str, int], below: int) -> Stack:
    """Return the layers of packages of these sizes (bytes) over a base of `below` layers.

    Large ones lie low, because whatever lies above a changed layer is unpacked again; of sizes only the power of
    two counts, so that a package keeps its place from one version to the next. Raises EngineError where the base
    leaves no room.
    """
    room = min(MOST_SINGLES, MOST_LAYERS - OWN_LAYERS - below)
    if room < 1:
        raise EngineError(
            f"the base has {below} layers, which leaves no room for packages",
            cause=f"an engine takes at most {MOST_LAYERS} layers",
            do="squash the base (`docker export` and `docker import`), or take another",
        )
    ordered = sorted(sizes, key=lambda name: (-sizes[name].bit_length(), name))
    if len(ordered) <= room:
        return [(name,) for name in ordered]
    groups = min(GROUPS, room)
    alone = room - groups
    return [(name,) for name in ordered[:alone]] + _grouped(ordered[alone:], groups)


def _grouped(names: Sequence[str], groups: int) -> Stack:
    sharing: list[list[str]] = [[] for _ in range(groups)]
    for name in names:
        sharing[int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % groups].append(name)
    return [tuple(sorted(layer)) for layer in sharing if layer]
