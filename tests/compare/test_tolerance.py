"""The noise floor, from comparisons of repeats."""

from __future__ import annotations

import pyarrow as pa

from replay.compare.difference import Difference
from replay.compare.documents import compare_bytes, compare_documents
from replay.compare.tables import compare_tables
from replay.compare.tolerance import noise_floor
from replay.record import Allowed, OutputSpec

SPEC = OutputSpec(path="x", key=("id",), decision="flag")


def table(score: float, flags: str) -> pa.Table:
    return pa.table({"id": range(4), "score": [score, 1.0, 2.0, 3.0], "flag": list(flags)})


def test_equal_repeats_have_no_noise() -> None:
    assert noise_floor([None, None]) == {}


def test_the_largest_that_was_seen_counts_twice() -> None:
    good = table(0.5, "nnyy")
    repeats = [compare_tables("scores", good, other, SPEC) for other in (table(0.75, "nnyn"), table(0.5625, "nnyy"))]
    floor = noise_floor(repeats)
    assert floor == {"scores": {"score": 0.5, "flag": 0.5}}
    assert not _matters(compare_tables("scores", good, table(0.875, "nyyn"), SPEC, floor["scores"]))
    assert _matters(compare_tables("scores", good, table(1.25, "nnyy"), SPEC, floor["scores"]))
    assert _matters(compare_tables("scores", good, table(0.5, "yyyn"), SPEC, floor["scores"]))


def test_documents_and_bytes_have_a_floor_too() -> None:
    spec = OutputSpec(path="x")
    children = [
        compare_documents("metrics", {"loss": 1.0, "id": "a"}, {"loss": 1.5, "id": "b"}, spec),
        compare_bytes("model", b"one\n", b"two\n"),
    ]
    group = Difference("outputs", "group", "outputs differ", children=tuple(c for c in children if c))
    assert noise_floor([group]) == {"metrics": {"loss": 1.0, "id": 2.0}, "model": {"": 1.0}}


def test_paths_that_a_report_does_not_list_have_a_floor_too() -> None:
    first, again = ({f"loss{i}": value for i in range(80)} for value in (1.0, 1.5))
    floor = noise_floor([compare_documents("metrics", first, again, OutputSpec(path="x"))])
    assert floor == {"metrics": {f"loss{i}": 1.0 for i in range(80)}}


def test_nulls_rows_and_types_are_never_noise() -> None:
    good, bad = pa.table({"id": [1, 2], "x": [1.0, 2.0]}), pa.table({"id": [1, 3], "x": pa.array([None, 2.0])})
    assert noise_floor([compare_tables("scores", good, bad, OutputSpec(path="x", key=("id",)))]) == {}


def _matters(difference: Difference | None) -> bool:
    return difference is not None and difference.matters


def test_a_column_and_a_path_have_tolerances_of_their_own() -> None:
    spec = OutputSpec(
        path="x",
        atol="0.001",
        places={"auc": Allowed(atol="0.5"), "folds[*].loss": Allowed(rtol="0.1"), "n": Allowed()},
    )
    good, bad = (
        {"auc": 1.0, "n": 1.0, "other": 1.0, "folds": [{"loss": 10.0}]},
        {"auc": 1.4, "n": 1.0005, "other": 1.0005},
    )
    found = compare_documents("m", good, bad | {"folds": [{"loss": 10.9}]}, spec)
    assert found is not None
    assert {child.name: child.matters for child in found.children} == {
        "n": True,
        "auc": False,
        "other": False,
        "folds[0].loss": False,
    }
    tables = [pa.table({"auc": [value], "n": [value]}) for value in (1.0, 1.4)]
    difference = compare_tables("x", *tables, spec)
    assert difference is not None
    assert [(child.name, child.kind) for child in difference.children] == [("auc", "noise"), ("n", "cells")]
