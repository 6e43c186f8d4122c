"""The input tables of a recorded run, to find where its changed outputs sit: all flips are `contract = Two year`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from replay.compare.segments import Inputs
from replay.content import detect, load
from replay.errors import ReplayError
from replay.layers import release
from replay.layers.data import Data

if TYPE_CHECKING:
    import pyarrow as pa

    from replay.store.base import Store

LARGEST = 256 << 20
"""Bytes of an input up to which it is read to explain a change."""


def inputs_of(store: Store, state: str) -> Inputs:
    """Return what reads the single-file tables among a state's inputs, once it is asked for them.

    An input that cannot be read explains nothing: it is left out, as are those larger than `LARGEST`.
    """
    return partial(_with_key, store, state)


def _with_key(store: Store, state: str, key: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    layer = Data.document.model_validate(release.load(store, state).layers[Data.name])
    for name, snapshot in layer.sources.items():
        if snapshot is None or len(snapshot.files) != 1:
            continue
        ((path, entry),) = snapshot.files.items()
        if entry.size > LARGEST:
            continue
        try:
            file = store.path(entry.blob)
            table = load(file, path, detect(file, path), key).table
        except ReplayError:
            continue
        if table is not None and {*key} <= {*table.column_names}:
            yield name, table
