"""Searches whose answer is known: simulated worlds, and two locks with their wheels' own requirements.

What is counted are unique probes: mixes asked for, each once, GOOD and BAD themselves not among them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from replay.bisect.knowledge import Outcome, Taken, drive
from replay.bisect.order import Requires, closed, in_order
from replay.bisect.search import cause, narrow, sweep
from replay.digest import of_bytes
from replay.environment.packages import PackageSet, Wheel
from replay.layers.requirements import implications

LAYERS = ("schema", "data", "pipeline", "model", "runtime", "access")
"""Six layers; the 85 changes of `layered` lie in them as 6, 14, 20, 5, 36 and 4."""

SIZES = (6, 14, 20, 5, 36, 4)


@dataclass(frozen=True)
class Problem:
    """Items, what they require, and the sets that break GOOD. A mix that splits a requirement cannot run."""

    items: tuple[str, ...]
    causes: tuple[Taken, ...]
    requires: Requires = field(default_factory=dict)

    def outcome(self, taken: Taken) -> Outcome:
        """Answer one probe."""
        if any(not self.requires.get(item, frozenset()) <= taken for item in taken):
            return "unresolved"
        return "bad" if any(members <= taken for members in self.causes) else "good"


@dataclass
class Oracle:
    """Answers and counts."""

    problem: Problem
    asked: dict[Taken, Outcome] = field(default_factory=dict)

    def __call__(self, mixes: Sequence[Taken]) -> Mapping[Taken, Outcome]:
        """Answer a batch."""
        for mix in mixes:
            if mix and len(mix) < len(self.problem.items):
                self.asked[mix] = self.problem.outcome(mix)
        return {mix: self.problem.outcome(mix) for mix in mixes}

    @property
    def unresolved(self) -> int:
        """How many of the mixes asked for could not run."""
        return sum(outcome == "unresolved" for outcome in self.asked.values())


def to_the_answer(problem: Problem) -> Oracle:
    """Search until the exact set is named and was shown to break GOOD by itself."""
    oracle = Oracle(problem)
    (wanted,) = problem.causes
    found = drive(cause(ordered(problem), problem.requires), oracle)
    _exact(found == wanted, problem, found)
    return oracle


def with_proof(problem: Problem) -> Oracle:
    """Search in both directions, each member left out once on either side."""
    oracle = Oracle(problem)
    found = drive(narrow(ordered(problem), problem.requires), oracle)
    _exact(set(found.breaks) == set(problem.causes), problem, found)
    return oracle


def layer_by_layer(problem: Problem) -> Oracle:
    """Sweep the layers in both directions, drill down, prove: all that a bisect runs beside its two ends."""
    oracle = Oracle(problem)
    layers = {layer: frozenset(i for i in problem.items if i.startswith(layer)) for layer in LAYERS}

    def by_layer(mixes: list[Taken]) -> Mapping[Taken, Outcome]:
        told = oracle([_atoms(layers, mix) for mix in mixes])
        return {mix: told[_atoms(layers, mix)] for mix in mixes}

    coarse = drive(sweep(LAYERS), by_layer)
    told = {_atoms(layers, mix): outcome for mix, outcome in coarse.outcomes.items()}
    found = drive(narrow(ordered(problem), problem.requires, told=told), oracle)
    _exact(set(found.breaks) == set(problem.causes), problem, found)
    return oracle


def ordered(problem: Problem) -> list[str]:
    """Return the items requirements first."""
    return [item for atom in in_order(problem.items, problem.requires) for item in atom]


def flat(size: int, together: int, limit: int, seed: int = 1) -> Iterator[Problem]:
    """Yield problems of `size` free items of which some act only together: all of them, or `limit` by chance."""
    items = tuple(f"p{number:03}" for number in range(size))
    yield from _problems(items, together, limit, seed, {})


def layered(kind: str, limit: int, seed: int = 1) -> Iterator[Problem]:
    """Yield problems of 85 changes in six layers: `one`, `pair`, `across` or `two` (independent)."""
    dice = random.Random(seed)
    items = tuple(f"{layer}/{n:02}" for layer, size in zip(LAYERS, SIZES, strict=True) for n in range(size))
    for _ in range(limit):
        first = dice.choice(items)
        same = [item for item in items if item != first and item.split("/")[0] == first.split("/")[0]]
        others = [item for item in items if item.split("/")[0] != first.split("/")[0]]
        causes = {
            "one": (frozenset({first}),),
            "pair": (frozenset({first, dice.choice(same)}),),
            "across": (frozenset({first, dice.choice(others)}),),
            "two": (frozenset({first}), frozenset({dice.choice(same + others)})),
        }[kind]
        yield Problem(items, causes)


def locks(good: PackageSet, bad: PackageSet, together: int, limit: int, seed: int = 1) -> Iterator[Problem]:
    """Yield problems over what differs between two locks, with the requirements of their wheels."""
    atoms, requires = atoms_of(good, bad)
    yield from _problems(atoms, together, limit, seed, requires)


def atoms_of(good: PackageSet, bad: PackageSet) -> tuple[tuple[str, ...], Requires]:
    """Return the changed packages, those that require each other as one, and what each requires."""
    between = {name: frozenset(others) for name, others in implications(good, bad).items()}
    merged = in_order(sorted(between), between)
    holder = {name: "+".join(members) for members in merged for name in members}
    requires = {
        "+".join(members): frozenset(holder[o] for name in members for o in between[name]) - {"+".join(members)}
        for members in merged
    }
    return tuple(requires), requires


def read_locks(folder: Path) -> tuple[PackageSet, PackageSet]:
    """Return two locks from a folder of two JSON files, each a list of name, version and requires_dist."""
    first, last = sorted(folder.glob("*.json"))[:2]
    return _lock(json.loads(first.read_text("utf-8"))), _lock(json.loads(last.read_text("utf-8")))


def made_up_locks(size: int = 160, seed: int = 7) -> tuple[PackageSet, PackageSet]:
    """Return two locks of `size` packages of which each new one asks for some new others, as real ones do."""
    dice = random.Random(seed)
    names = [f"lib{number:03}" for number in range(size)]
    good, bad = [], []
    for number, name in enumerate(names):
        below = dice.sample(names[:number], min(number, dice.choice((0, 0, 1, 2, 3))))
        tight = [other for other in below if dice.random() < 0.35]
        held = [other for other in below if other not in tight and dice.random() < 0.15]
        good.append({"name": name, "version": "1.0", "requires_dist": [f"{other}<2" for other in held] + below})
        bad.append({"name": name, "version": "2.0", "requires_dist": [f"{other}>=2" for other in tight] + below})
    return _lock(good), _lock(bad)


def _lock(entries: Sequence[Mapping[str, object]]) -> PackageSet:
    wheels = {}
    for entry in entries:
        name, version, wants = str(entry["name"]), str(entry["version"]), entry["requires_dist"]
        requires = tuple(str(line) for line in wants) if isinstance(wants, list) else ()
        blob = of_bytes(f"{name} {version}".encode())
        filename = f"{name}-{version}-py3-none-any.whl"
        wheels[canonicalize_name(name)] = Wheel(
            version=version, filename=filename, blob=blob, size=0, requires=requires
        )
    return PackageSet(python="3.11", platform="linux_x86_64", wheels=wheels)


def _problems(items: tuple[str, ...], together: int, limit: int, seed: int, requires: Requires) -> Iterator[Problem]:
    """Yield every item alone, or `limit` sets by chance; of two that come only together, none can be told apart."""
    dice = random.Random(seed)
    if together == 1:
        yield from (Problem(items, (frozenset({item}),), requires) for item in items)
        return
    for _ in range(limit):
        members = frozenset(dice.sample(items, together))
        while any(member in closed(members - {member}, requires) for member in members):
            members = frozenset(dice.sample(items, together))
        yield Problem(items, (members,), requires)


def _atoms(layers: Mapping[str, Taken], mix: Taken) -> Taken:
    return frozenset().union(*(layers[layer] for layer in mix))


def _exact(right: bool, problem: Problem, found: object) -> None:
    if not right:
        raise AssertionError(f"the search found {found} instead of {[sorted(each) for each in problem.causes]}")
