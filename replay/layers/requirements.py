"""What a changed package drags along: from the wheels' own metadata to implications between changes. Pure.

Both locks are valid, so a mix of two versions can only break a requirement in one of two ways: the new p with
the old q (then taking p requires taking q), or the old p with the new q (then taking q requires taking p).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from replay.environment.packages import PackageSet, Wheel

Needs = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Package to required package to the version specifiers asked of it."""


def implications(good: PackageSet, bad: PackageSet) -> dict[str, set[str]]:
    """Return, for each changed package, the changed packages that must be taken from `bad` with it.

    Reads Requires-Dist with its markers, for the closure's own Python; an extra counts where some package
    of the closure asks for it. A requirement that a lock itself does not meet binds nothing.
    """
    changed = {n for n in good.wheels.keys() | bad.wheels.keys() if good.wheels.get(n) != bad.wheels.get(n)}
    found: dict[str, set[str]] = {name: set() for name in changed}
    before, after = _needs(good), _needs(bad)
    for name in changed:
        for other, asked in after.get(name, {}).items():
            if other in changed and _meets(bad, other, asked) and not _meets(good, other, asked):
                found[name].add(other)
        for other, asked in before.get(name, {}).items():
            if other in changed and _meets(good, other, asked) and not _meets(bad, other, asked):
                found[other].add(name)
    return found


def universal(wheel: Wheel | None) -> bool:
    """Whether a wheel fits any Python 3 and platform (an absent one fits everywhere)."""
    return wheel is None or wheel.filename.endswith("-none-any.whl")


def _meets(packages: PackageSet, name: str, asked: tuple[str, ...]) -> bool:
    from packaging.specifiers import SpecifierSet

    wheel = packages.wheels.get(name)
    return wheel is not None and all(SpecifierSet(text).contains(wheel.version, prereleases=True) for text in asked)


def _needs(packages: PackageSet) -> Needs:
    extras: dict[str, set[str]] = {name: set() for name in packages.wheels}
    while True:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        grown = False
        for name, wheel in packages.wheels.items():
            for other, asked, wanted in _lines(wheel, extras[name], packages.python):
                found.setdefault(name, {})[other] = (*found.get(name, {}).get(other, ()), asked)
                if other in extras and not wanted <= extras[other]:
                    extras[other] |= wanted
                    grown = True
        if not grown:
            return found


def _lines(wheel: Wheel, extras: set[str], python: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the requirements that hold: the other's name, the specifiers, the extras asked for."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for line in wheel.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), str(requirement.specifier), set(requirement.extras)
