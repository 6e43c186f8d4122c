"""Which wheels share a layer: never more layers than an engine takes, and a swapped wheel stays in its place."""

from __future__ import annotations

import random

import pytest

from replay.errors import EngineError
from replay.image.plan import MOST_LAYERS, OWN_LAYERS, arrange


@pytest.mark.parametrize("seed", range(200))
def test_every_package_is_in_one_layer_and_there_are_never_too_many(seed: int) -> None:
    some = random.Random(seed)
    sizes = {f"p{number}": some.randrange(1, 1 << 31) for number in range(some.randrange(400))}
    below = some.randrange(100)
    stack = arrange(sizes, below)
    assert sorted(name for layer in stack for name in layer) == sorted(sizes)
    assert below + len(stack) + OWN_LAYERS <= MOST_LAYERS


def test_large_ones_lie_low_and_keep_their_place_from_version_to_version() -> None:
    stack = arrange({"six": 11_000, "numpy": 18_000_000, "pandas": 13_000_000, "pyarrow": 42_000_000}, 1)
    assert stack == [("pyarrow",), ("numpy",), ("pandas",), ("six",)]
    assert arrange({"six": 12_000, "numpy": 20_000_000, "pandas": 12_000_000, "pyarrow": 45_000_000}, 1) == stack


def test_above_a_hundred_packages_the_small_ones_share_layers_that_one_more_leaves_alone() -> None:
    sizes = {f"p{number}": 1000 for number in range(300)} | {f"large{number}": 1 << 20 for number in range(20)}
    stack = arrange(sizes, 1)
    more = arrange(sizes | {"zebra": 1000}, 1)
    assert len(stack) == 100
    assert stack[:20] == sorted((f"large{number}",) for number in range(20))
    assert len([layer for layer in more if layer not in stack]) <= 2


def test_a_base_of_too_many_layers_is_refused() -> None:
    with pytest.raises(EngineError, match="leaves no room for packages"):
        arrange({"six": 1}, MOST_LAYERS)
