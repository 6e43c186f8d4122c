"""What a bisect takes apart, and what it tries first: `--only`, `--skip`, `--suspect`, and the prior. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from replay.bisect.verdict import CLOCK, Group
from replay.errors import ReplayError
from replay.state import INPUTS, Change

IMPORTED = 3.0
"""How much likelier than others a package is that the job's own code imports; a choice."""

LEAP = {0: 4.0, 1: 2.0}
"""How much likelier than others a package is whose first (second) number of the version changed; a choice."""


@dataclass(frozen=True)
class Focus:
    """Names of changes, or what names begin with: `runtime/packages`, `pipeline/score.py`.

    `only`: nothing else is taken apart; `skip`: these are not; `suspect`: these are tried first. `imported` are the
    packages that the job's own code imports.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()
    imported: frozenset[str] = frozenset()


def focused(atoms: Mapping[str, Group], focus: Focus) -> dict[str, Group]:
    """Return the atoms with those out of focus as one a layer: still tried, as a whole, so that none is overlooked.

    Raises ReplayError where a name fits nothing that changed.
    """
    changes = [change for group in atoms.values() for change in group.changes]
    for name in (*focus.only, *focus.skip, *focus.suspect):
        if not any(_fits(change, name) for change in changes):
            raise ReplayError(
                f"nothing that changed between the two runs is called {name}",
                cause="it is misspelt, it did not change, or it belongs to a larger change",
                do="`replay diff GOOD BAD` lists the names; the beginning of one will do, as runtime/packages",
            )
    found: dict[str, Group] = {}
    for name, group in atoms.items():
        if name == CLOCK or _in_focus(group, focus):
            found[name] = group
            continue
        layer = "inputs" if group.changes[0].layer in INPUTS else group.changes[0].layer
        whole = found.get(f"{layer}, not taken apart", Group(f"{layer}, not taken apart", ()))
        found[whole.name] = replace(whole, changes=(*whole.changes, *group.changes))
    return found


def weights(atoms: Mapping[str, Group], focus: Focus) -> dict[str, float]:
    """Return the prior of each atom: the size of its change, whether the job imports it, suspects before all else.

    It decides what is tried first and nothing else.
    """
    found = {name: max((_size(change) for change in group.changes), default=1.0) for name, group in atoms.items()}
    for name, group in atoms.items():
        if any(change.name in focus.imported for change in group.changes):
            found[name] *= IMPORTED
    whole = sum(found.values())
    suspects = [name for name, group in atoms.items() if _any(group.changes, focus.suspect)]
    return found | dict.fromkeys(suspects, whole)


def _in_focus(group: Group, focus: Focus) -> bool:
    wanted = not focus.only or _any(group.changes, focus.only)
    return wanted and not _any(group.changes, focus.skip)


def _any(changes: Iterable[Change], names: Iterable[str]) -> bool:
    return any(_fits(change, name) for change in changes for name in names)


def _fits(change: Change, name: str) -> bool:
    wanted = name.rstrip("/")
    return change.name == wanted or change.name.startswith((f"{wanted}/", f"{wanted}#", f"{wanted}@"))


def _size(change: Change) -> float:
    if not change.name.startswith("runtime/packages/") or change.before is None or change.after is None:
        return 1.0
    before, after = (re.findall(r"\d+", version)[:2] for version in (change.before, change.after))
    first = next((place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    return LEAP.get(first, 1.0) if first is not None else 1.0
