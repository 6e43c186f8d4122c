"""Documents by path, everything else by bytes."""

from __future__ import annotations

from typing import Any

import pytest

from replay.compare.documents import compare_bytes, compare_documents
from replay.compare.tolerance import WHOLE
from replay.errors import CompareError
from replay.record import OutputSpec

SPEC = OutputSpec(path="metrics.json")


def lines(good: Any, bad: Any, noise: dict[str, float] | None = None, **spec: Any) -> list[str]:
    found = compare_documents("metrics", good, bad, OutputSpec(path="metrics.json", **spec), noise)
    return found.lines() if found else []


def test_equal_documents() -> None:
    document = {"auc": float("nan"), "folds": [1, {"loss": -0.0}], "note": None}
    assert (
        compare_documents("metrics", document, {"note": None, "folds": [1.0, {"loss": 0}], "auc": float("nan")}, SPEC)
        is None
    )


def test_values_are_named_by_path() -> None:
    good = {"auc": 0.8, "folds": [{"loss": 1}, {"loss": 2}], "odd key": "a"}
    bad = {"auc": 0.7, "folds": [{"loss": 1}, {"loss": 3}], "odd key": "b"}
    assert lines(good, bad) == [
        "metrics: 3 values changed",
        "  auc: 0.8 -> 0.7 (by 0.1)",
        "  folds[1].loss: 2 -> 3 (by 1)",
        '  ["odd key"]: a -> b',
    ]


def test_added_and_removed_values() -> None:
    assert lines({"a": 1, "b": [1, 2]}, {"b": [1], "c": {"d": 1}})[1:] == [
        "  a: 1 -> (absent)",
        "  b[1]: 2 -> (absent)",
        '  c: (absent) -> {"d": 1}',
    ]


def test_null_is_not_absent_and_text_is_no_number() -> None:
    assert lines({"a": None}, {})[1] == "  a: (null) -> (absent)"
    assert lines({"a": 1}, {"a": "1"})[1] == "  a: 1 -> 1"
    assert lines({"a": 1}, {"a": True})[1] == "  a: 1 -> True"


def test_whole_numbers_are_exact() -> None:
    assert lines({"a": 2**53}, {"a": 2**53 + 1})[1] == "  a: 9007199254740992 -> 9007199254740993 (by 1)"
    assert len(lines({"a": 10**400}, {"a": 10**400 + 1})) == 2


def test_tolerances_and_noise_are_named() -> None:
    found = compare_documents("m", {"auc": 0.8}, {"auc": 0.8000001}, OutputSpec(path="m", rtol="1e-6"))
    assert found is not None
    assert not found.matters
    assert found.lines() == ["m: 1 value within tolerance", "  auc: 0.8 -> 0.8000001, within rtol 1e-6; 1e-07"]
    assert "noise floor measured between repeats (0.2)" in lines({"a": 1.0}, {"a": 1.1}, {"a": 0.2})[1]
    assert lines({"id": "x1"}, {"id": "x2"}, {"id": 1.0})[1] == "  id: x1 -> x2, as between repeats"


def test_no_tolerance_forgives_nan() -> None:
    found = compare_documents("m", {"auc": 0.8}, {"auc": float("nan")}, OutputSpec(path="m", atol="10"))
    assert found is not None
    assert found.matters


def test_many_changes_are_counted_and_the_first_listed() -> None:
    found = compare_documents("m", dict.fromkeys(map(str, range(500)), 1), dict.fromkeys(map(str, range(500)), 2), SPEC)
    assert found is not None
    assert found.numbers["changed"] == 500
    assert len(found.children) == 50


def test_a_document_that_is_nested_too_deeply_is_an_error() -> None:
    good: Any = 1
    bad: Any = 2
    for _ in range(900):
        good, bad = [good], [bad]
    with pytest.raises(CompareError, match="nested too deeply"):
        compare_documents("m", good, bad, SPEC)


def test_bytes_say_where_they_part() -> None:
    found = compare_bytes("model.bin", b"\0" * 100_000 + b"a", b"\0" * 100_000 + b"bc")
    assert found is not None
    assert found.sentence == "model.bin: bytes differ from offset 100,000 on (100,001 bytes -> 100,002 bytes)"
    assert compare_bytes("model.bin", b"\0a", b"\0a") is None


def test_a_prefix_parts_at_its_end() -> None:
    found = compare_bytes("model.bin", b"\0ab", b"\0abc")
    assert found is not None
    assert found.numbers["offset"] == 3


def test_a_small_text_shows_its_lines_without_control_characters() -> None:
    found = compare_bytes("log.txt", b"one\ntwo\n", b"one\n\x1b[31mtwo\r\n")
    assert found is not None
    assert found.lines()[1:] == ["  @@ -2 +2 @@", "  -two", "  +\\x1b[31mtwo\\r"]


def test_bytes_that_differ_between_repeats_are_noise() -> None:
    found = compare_bytes("model.bin", b"\0a", b"\0b", {WHOLE: 1.0})
    assert found is not None
    assert not found.matters
