"""What a changed package drags along, read off the wheels' own metadata."""

from __future__ import annotations

from replay.environment.packages import PackageSet, Wheel
from replay.layers.requirements import implications

Lock = dict[str, tuple[str, list[str]]]


def lock(packages: Lock) -> PackageSet:
    wheels = {
        name: Wheel(
            version=v, filename=f"{name}-{v}-py3-none-any.whl", blob=f"sha256:{v[0] * 64}", size=1, requires=tuple(r)
        )
        for name, (v, r) in packages.items()
    }
    return PackageSet(python="3.11", platform="linux_x86_64", wheels=wheels)


def between(good: Lock, bad: Lock) -> dict[str, set[str]]:
    return implications(lock(good), lock(bad))


OLD: Lock = {"pandas": ("2.3.3", ["numpy>=1.23.2", "pytz>=2020.1"]), "numpy": ("1.26.4", []), "pytz": ("2025.2", [])}
NEW: Lock = {"pandas": ("3.0.1", ["numpy>=2.0", "tzdata; sys_platform == 'win32'"]), "numpy": ("2.4.2", [])}


def test_the_new_needs_the_new_and_what_the_old_needed_goes_last() -> None:
    assert between(OLD, NEW) == {"pandas": {"numpy"}, "numpy": set(), "pytz": {"pandas"}}


def test_an_upper_bound_of_the_old_ties_the_new_to_its_going() -> None:
    good: Lock = {"scipy": ("1.0", ["numpy<2"]), "numpy": ("1.0", [])}
    bad: Lock = {"scipy": ("2.0", ["numpy"]), "numpy": ("2.0", [])}
    assert between(good, bad) == {"scipy": set(), "numpy": {"scipy"}}


def test_each_needing_the_other_is_a_circle() -> None:
    good: Lock = {"a": ("1.0", ["b==1.0"]), "b": ("1.0", [])}
    bad: Lock = {"a": ("2.0", ["b==2.0"]), "b": ("2.0", [])}
    assert between(good, bad) == {"a": {"b"}, "b": {"a"}}


def test_an_extra_counts_where_somebody_asks_for_it() -> None:
    good: Lock = {"app": ("1.0", ["lib"]), "lib": ("1.0", ["six>=2; extra == 'fast'"]), "six": ("1.0", [])}
    asked: Lock = {"app": ("2.0", ["lib[fast]"]), "lib": ("2.0", ["six>=2; extra == 'fast'"]), "six": ("2.0", [])}
    plain: Lock = {"app": ("2.0", ["lib"]), "lib": ("2.0", ["six>=2; extra == 'fast'"]), "six": ("2.0", [])}
    assert "six" in between(good, asked)["lib"]
    assert between(good, plain)["lib"] == set()


def test_a_lock_that_breaks_its_own_rules_binds_nothing() -> None:
    good: Lock = {"a": ("1.0", ["b<1"]), "b": ("1.0", [])}
    bad: Lock = {"a": ("2.0", ["b<1", "not a requirement !!"]), "b": ("2.0", [])}
    assert between(good, bad) == {"a": set(), "b": set()}
