"""Requirements between items: which orders and mixes are consistent. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Requires = Mapping[str, frozenset[str]]
"""Item to the items that must be taken from BAD whenever it is."""


def in_order(items: Sequence[str], requires: Requires) -> list[tuple[str, ...]]:
    """Return the items requirements first, those that require each other as one.

    Every prefix of the order is then a consistent mix. Strongly connected components after Tarjan (1972),
    which come out in that very order; otherwise the given order is kept.
    """
    inside = frozenset(items)
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(item: str) -> None:
        numbers[item] = lowest[item] = len(numbers)
        stack.append(item)
        for other in sorted(requires.get(item, frozenset()) & inside):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[item] = min(lowest[item], lowest[other])
        if lowest[item] == numbers[item]:
            start = stack.index(item)
            found.append(tuple(sorted(stack[start:])))
            del stack[start:]

    for item in items:
        if item not in numbers:
            visit(item)
    return found


def closed(chosen: frozenset[str], requires: Requires) -> frozenset[str]:
    """Return `chosen` with all that it requires, and what that requires."""
    pending, found = list(chosen), set(chosen)
    while pending:
        for other in requires.get(pending.pop(), frozenset()) - found:
            found.add(other)
            pending.append(other)
    return frozenset(found)


def turned(items: Collection[str], requires: Requires) -> dict[str, frozenset[str]]:
    """Return the requirements read backwards: item to those that require it."""
    found: dict[str, set[str]] = {item: set() for item in items}
    for item in items:
        for other in requires.get(item, frozenset()):
            if other in found:
                found[other].add(item)
    return {item: frozenset(others) for item, others in found.items()}
