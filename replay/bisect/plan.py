"""What a bisect would probe, before anything runs."""

from __future__ import annotations

from replay.bisect.case import Options, atoms_of, layers_of
from replay.bisect.focus import focused
from replay.bisect.investigate import at_most
from replay.layers.release import Pair


def plan(pair: Pair, options: Options) -> list[str]:
    """Return the probes a bisect makes at most while single changes act, in order, for people."""
    atoms = focused(atoms_of(pair), options.focus)
    layers = layers_of(atoms)
    ends = ("GOOD", "BAD") if atoms else ("GOOD",)
    steps = [f"{end}, repetition {number + 1}" for number in range(options.repeat) for end in ends]
    if len(layers) > 1:
        steps += [f"GOOD with {name} from BAD" for name in layers]
        # Of two layers, taking the one is reverting the other.
        steps += [f"BAD with {name} from GOOD" for name in layers] if len(layers) > 2 else []
    proof = ["what was found broken, once more", "what was found mended, once more"] if len(atoms) > 1 else []
    more = at_most(len(atoms), len(layers), options) - len(steps) - len(proof)
    return [*steps, *(f"binary search among {len(atoms)} changes, step {number + 1}" for number in range(more)), *proof]
