"""What access explains of how an input changed: such changes follow the change of access and are not told twice.

Rows that a policy hides are no moved data, and a column that may not be read is no changed contract. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replay.state import Change

POLICY = "policy"
WHOLE = {"definition", "labels"}


def following(access: Sequence[Change], found: Sequence[Change]) -> dict[str, str]:
    """Return which changes of the inputs follow which change of access, by name.

    A row policy explains the rows, a hidden column all of that column; anything else that changed in the access to
    a source (who asks, whether it is answered, a view's definition) and everything where the source could only be
    swapped whole explains all of it. What is tied to an explained change follows as well.
    """
    follows: dict[str, str] = {}
    for source in dict.fromkeys(_source(change.name) for change in access):
        causes = [change.name for change in access if _source(change.name) == source]
        own = [change for change in found if _source(change.name) == source]
        whole = [name for name in causes if not _partial(name)]
        if whole or any(change.name == f"data/{source}" for change in own):
            follows |= dict.fromkeys((change.name for change in own), (whole or causes)[0])
            continue
        for cause in causes:
            explained = {change.name for change in own if _explains(cause, change.name)}
            follows |= dict.fromkeys(_with_tied(explained, own), cause)
    return follows


def folded(access: Sequence[Change], found: Sequence[Change], follows: dict[str, str]) -> list[Change]:
    """Return all changes less those that follow; what required one of them requires what it follows."""
    demands: dict[str, set[str]] = {change.name: set(change.requires) for change in access}
    rest = []
    for change in found:
        if change.name in follows:
            demands[follows[change.name]] |= set(change.requires)
        else:
            rest.append(change.model_copy(update={"requires": _renamed(change.name, change.requires, follows)}))
    led = [c.model_copy(update={"requires": _renamed(c.name, demands[c.name], follows)}) for c in access]
    return [*rest, *led]


def _renamed(name: str, requires: Iterable[str], follows: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted({follows.get(other, other) for other in requires} - {name}))


def _source(name: str) -> str:
    return name.split("/")[1]


def _partial(name: str) -> bool:
    """Whether a change of access concerns rows or a column alone: access/SOURCE/[RELATION/]policy or COLUMN."""
    parts = name.split("/")
    return len(parts) > 2 and parts[-1] not in WHOLE


def _explains(cause: str, name: str) -> bool:
    layer, _, *parts = name.split("/")
    last = cause.split("/")[-1]
    if last == POLICY:
        return (layer, parts) == ("data", ["rows"])
    return parts[:1] == [last]


def _with_tied(names: set[str], own: Sequence[Change]) -> set[str]:
    """Return the names with what requires them and is required by them."""
    requires = {change.name: set(change.requires) for change in own}
    found = set(names)
    while more := {
        name
        for name, needs in requires.items()
        if name not in found and any(other in found and name in requires[other] for other in needs)
    }:
        found |= more
    return found
