"""YAML and TOML compared by path: what differs is told, what is only written otherwise is not, nothing is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.comparing import compare, fails, kinds


def said(folder: Path, good: str, bad: str, name: str = "metrics.yaml", **spec: Any) -> list[str]:
    found = compare(folder, good, bad, name, **spec)
    return found.lines() if found else []


def test_yaml_is_compared_by_path_with_the_tolerances_of_each(tmp_path: Path) -> None:
    good = "auc: 0.81\nfolds:\n- {loss: 1e-3}\n- {loss: .nan}\nwhen: 2024-01-01\n"
    bad = "# refit\nauc: 0.8100001\nfolds:\n- loss: 0.001\n- loss: .NaN\nwhen: 2024-01-02\n"
    assert said(tmp_path, good, bad, rtol="1e-6") == [
        "metrics.yaml: 1 value changed, 1 value within tolerance",
        "  when: 2024-01-01 -> 2024-01-02",
        "  auc: 0.81 -> 0.8100001, within rtol 1e-6; 1e-07",
    ]


def test_toml_is_compared_by_path(tmp_path: Path) -> None:
    good, bad = "[model]\ndepth = 3\nat = 2024-01-01\n", "[model]\ndepth = 4\nat = 2024-01-02\n"
    assert said(tmp_path, good, bad, "params.toml")[1:] == [
        "  model.at: 2024-01-01 -> 2024-01-02",
        "  model.depth: 3 -> 4 (by 1)",
    ]
    assert "at line 2, column 5" in fails(tmp_path / "torn", "a = 1\nb = x", "a = 1\n", "params.toml").what


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("a: 007", "a: 7"),
        ("a: yes", "a: true"),
        ("a: 12:30", "a: 750"),
        ('a: "1"', "a: 1"),
        ("a: 1_000", "a: 1000"),
        ("a: null", "{}"),
        ("a: 9007199254740992", "a: 9007199254740993"),
        ("a: !Ref b", "a: b"),
        ("a: 1\n---\na: 2", "a: 1\n---\na: 3"),
    ],
)
def test_what_differs_in_yaml_is_never_read_as_the_same(tmp_path: Path, good: str, bad: str) -> None:
    assert kinds(compare(tmp_path, good, bad, "params.yml")) == ["path"]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("a: [1, 2]  # both", "a:\n  - 1\n  - 2"),
        ("base: &b {x: 1, y: 2}\nrun: {<<: *b, y: 3}", "base: {x: 1, y: 2}\nrun: {y: 3, x: 1}"),
        ("a: &one [1]\nb: *one", "a: [1]\nb: [1]"),
        ("a: ~", "a:"),
        ("a: !!str 1", 'a: "1"'),
        ("? 1\n: x", '"1": x'),
        ("a: !!binary aGk=", "a: aGk="),
    ],
)
def test_the_same_yaml_written_otherwise_is_a_matter_of_bytes(tmp_path: Path, good: str, bad: str) -> None:
    found = compare(tmp_path, good, bad, "params.yaml")
    assert found is not None
    assert found.kind == "encoding"


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    """A numpy number that was dumped as an object is told by its parts; nothing that a tag names is called."""
    dumped = "auc: !!python/object/apply:os.system ['touch {}']\n"
    found = said(tmp_path, dumped.format("a"), dumped.format("b"))
    assert found[1] == '  auc["tag:yaml.org,2002:python/object/apply:os.system"][0]: touch a -> touch b'
    assert not Path("a").exists()


LAUGHS = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\nb: [1, 2", "line 3, column 1: did not find expected"),
        ("a: 1\na: 2", "the key 'a' is there twice in the object from line 1 on"),
        ("a: &a [*a]", "line 1: *a stands for nothing, or for itself"),
        (LAUGHS, "its aliases repeat more than 100,000 values"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("a: \x07", "metrics.yaml: "),
    ],
)
def test_wrong_yaml_is_named_by_its_line(tmp_path: Path, text: str, what: str) -> None:
    assert what in fails(tmp_path, text, "a: 1", "metrics.yaml").what
    assert "is not UTF-8: byte 0xe9 in line 2" in fails(tmp_path / "latin", b"a: 1\nb: \xe9\n", "a: 1", "m.yaml").what
