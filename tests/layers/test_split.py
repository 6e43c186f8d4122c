"""A file taken apart: hunks and keys by name, and every mix a file of its own."""

from __future__ import annotations

import ast
import json
import random
import tomllib

import pytest

from replay.layers.hunks import MOST_HUNKS, versions
from replay.layers.split import split

GOOD = b"""import csv

def impute(rows):
    return [row or MEAN for row in rows]

MEAN = 3


def score(row):
    return row * 2
"""


def names(path: str, good: bytes, bad: bytes) -> list[str]:
    parted = split(path, good, bad)
    assert parted is not None
    return [part.suffix for part in parted.parts]


def mixed(path: str, good: bytes, bad: bytes, *taken: str) -> bytes:
    parted = split(path, good, bad)
    assert parted is not None
    return parted.mixed(taken)


def test_a_text_has_its_hunks_in_order() -> None:
    bad = GOOD.replace(b"or MEAN", b"or 0").replace(b"* 2", b"* 3")
    assert names("score.py", GOOD, bad) == ["#1", "#2"]
    assert mixed("score.py", GOOD, bad, "#2") == GOOD.replace(b"* 2", b"* 3")


def test_a_hunk_shows_its_lines() -> None:
    bad = GOOD.replace(b"or MEAN", b"or 0").replace(b"* 2\n", b"* 2\n\n\nLAST = 1\n")
    parted = split("score.py", GOOD, bad)
    assert parted is not None
    first, second = parted.parts
    assert (first.before, first.after) == (
        "    return [row or MEAN for row in rows]",
        "    return [row or 0 for row in rows]",
    )
    assert (second.before, second.after) == (None, "\n\nLAST = 1")


def test_a_single_hunk_is_called_by_the_file() -> None:
    assert names("score.py", GOOD, GOOD.replace(b"* 2", b"* 3")) == [""]


def test_lines_that_are_one_statement_go_together() -> None:
    good = b"x = f(\n    1,\n    2,\n)\nz = 0\ny = 1\n"
    bad = b"x = g([\n    1,\n    2,\n])\nz = 0\ny = 2\n"
    assert names("score.py", good, bad) == ["#1", "#2"]
    assert mixed("score.py", good, bad, "#1") == bad.replace(b"y = 2", b"y = 1")


@pytest.mark.parametrize("content", [b"\x00\x01", b"a" * (1 << 20) + b"b"])
def test_what_is_no_text_or_too_large_is_swapped_whole(content: bytes) -> None:
    assert split("weights.bin", b"a\n", content) is None


def versions_of(seed: int) -> tuple[bytes, bytes]:
    """Two texts with shared lines, odd line ends, bytes that are no UTF-8, and sometimes no last line end."""
    chance = random.Random(seed)
    lines = [chance.choice([b"a\n", b"b\r\n", b"\n", b"\xff\xfe\n", b"c\r", b"  d\n"]) for _ in range(30)]
    bad = [line for line in lines if chance.random() > 0.2]
    for _ in range(chance.randrange(6)):
        bad.insert(chance.randrange(len(bad) + 1), b"new %d\n" % chance.randrange(9))
    tails = chance.choice([b"", b"end"]), chance.choice([b"", b"end", b"other end"])
    return b"".join(lines) + tails[0], b"".join(bad) + tails[1]


@pytest.mark.parametrize("seed", range(300))
def test_no_hunk_is_good_and_all_are_bad_byte_for_byte(seed: int) -> None:
    good, bad = versions_of(seed)
    for token in (None, lambda line: line[:1]):
        found = versions(good, bad, token)
        numbers = range(len(found.hunks))
        assert found.mixed(()) == good
        assert found.mixed(numbers) == bad
        # What one hunk adds and the others add is all there is: hunks do not overlap.
        for number in numbers:
            one = found.mixed({number})
            assert one != good
            assert versions(one, bad, token).mixed(range(1000)) == bad


def test_the_number_of_hunks_is_bounded() -> None:
    good = b"".join(b"line %d\n" % number for number in range(2000))
    bad = b"".join(b"line %d\n" % number if number % 3 else b"new\n" for number in range(2000))
    found = versions(good, bad)
    assert 1 <= len(found.hunks) <= MOST_HUNKS
    assert found.mixed(range(len(found.hunks))) == bad


@pytest.mark.parametrize("seed", range(40))
def test_every_mix_of_python_hunks_is_python(seed: int) -> None:
    chance = random.Random(seed)
    good = "\n".join(_block(chance, number) for number in range(12))
    bad = "\n".join(_block(random.Random(seed * 100 + number), number) for number in range(12))
    parted = split("job.py", good.encode(), bad.encode())
    assert parted is not None
    suffixes = [part.suffix for part in parted.parts]
    for _ in range(10):
        ast.parse(parted.mixed([suffix for suffix in suffixes if chance.random() < 0.5]))


def _block(chance: random.Random, number: int) -> str:
    value = chance.randrange(3)
    return chance.choice(
        [
            f"A{number} = {value}",
            f"A{number} = [\n    {value},\n    1,\n]",
            f"def f{number}(x):\n    if x > {value}:\n        return 1\n    return {value}",
            f"def f{number}(x):\n    for y in x:\n        if y:\n            return {value}\n    return 0",
            f'T{number} = """\ntext {value}\n"""',
        ]
    )


PARAMS = b'{\n  "threshold": 0.5,\n  "fill": "mean",\n  "model": {\n    "depth": 4,\n    "rate": 1e-1\n  }\n}\n'


def test_json_keys_have_their_names_and_keep_the_lines() -> None:
    bad = PARAMS.replace(b"0.5", b"0.7").replace(b'"mean"', b'"zero"').replace(b": 4", b": 6")
    assert names("params.json", PARAMS, bad) == ["/threshold", "/fill", "/model.depth"]
    assert mixed("params.json", PARAMS, bad, "/fill") == PARAMS.replace(b'"mean"', b'"zero"')


def test_json_on_one_line_is_written_anew() -> None:
    good, bad = b'{"a":1,"b":[1,2],"c":{"d":1.50}}', b'{"a":2,"b":[1,2,3],"c":{"e":null}}'
    assert names("params.json", good, bad) == ["/a", "/b", "/c.d", "/c.e"]
    assert mixed("params.json", good, bad, "/b", "/c.d") == b'{"a":1,"b":[1,2,3],"c":{}}'
    assert mixed("params.json", good, bad) == good
    assert mixed("params.json", good, bad, "/a", "/b", "/c.d", "/c.e") == bad


def test_a_change_of_no_value_is_format() -> None:
    assert names("params.json", PARAMS, PARAMS.replace(b"  ", b"\t")) == ["/format"]
    assert names("params.toml", b"a = 1\n", b"a = 1 # one\n") == ["/format"]


def test_toml_keys_keep_their_comments() -> None:
    good = b'# the job\nthreshold = 0.5 # agreed\nfill = "mean"\n[model]\ndepth = 4\n'
    bad = b'# the job\nthreshold = 0.7 # agreed\nfill = "mean"\n[model]\ndepth = 6\nrate = 0.1\n'
    assert names("params.toml", good, bad) == ["/threshold", "/model.depth", "/model.rate"]
    assert mixed("params.toml", good, bad, "/model.rate") == good + b"rate = 0.1\n"


def test_toml_on_one_line_is_called_by_what_its_keys_share() -> None:
    good, bad = b"model = { depth = 4, rate = 1 }\n", b"model = { depth = 5, rate = 2 }\n"
    assert names("params.toml", good, bad) == ["/model"]


def test_yaml_keys_are_lines() -> None:
    good = b"# the job\nthreshold: 0.5\nfill: mean\nmodel:\n  depth: 4  # agreed\n  rate: 0.1\nsteps:\n- scale\n- fit\n"
    bad = good.replace(b"0.5", b"0.7").replace(b"mean", b"zero").replace(b"4", b"6")
    assert names("params.yaml", good, bad) == ["/threshold", "/fill", "/model.depth"]
    assert mixed("params.yaml", good, bad, "/model.depth") == good.replace(b"4", b"6")
    assert names("params.yaml", good, good.replace(b"- fit", b"- fit\n- score")) == ["/steps"]


def test_a_broken_config_has_hunks() -> None:
    assert names("params.json", b'{"a": 1,\n"b": 2}\n', b'{"a": 1\n"b": 3}\n') == [""]
    assert names("params.json", b'{"a": 1, "a": 2}\n', b'{"a": 1, "a": 3}\n') == [""]


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("kind", ["json", "json flat", "toml", "yaml"])
def test_any_mix_of_keys_is_a_document_with_just_these(seed: int, kind: str) -> None:
    chance = random.Random(seed)
    good = {f"k{n}": chance.randrange(3) for n in range(8) if chance.random() < 0.8}
    bad = {f"k{n}": chance.randrange(3) for n in range(8) if chance.random() < 0.8}
    path = f"params.{kind.split()[0]}"
    texts = _written(good, kind), _written(bad, kind)
    parted = split(path, *texts)
    if parted is None:
        assert good == bad
        return
    suffixes = [part.suffix for part in parted.parts]
    assert parted.mixed(()) == texts[0]
    assert parted.mixed(suffixes) == texts[1]
    if sorted(suffixes) == sorted({f"/k{n}" for n in range(8) if good.get(f"k{n}") != bad.get(f"k{n}")}):
        taken = [suffix for suffix in suffixes if chance.random() < 0.5]
        wanted = {key: (bad if f"/{key}" in taken else good).get(key) for key in {**good, **bad}}
        assert _read(parted.mixed(taken), kind) == {key: v for key, v in wanted.items() if v is not None}
    else:
        assert kind == "yaml"


def _written(document: dict[str, int], kind: str) -> bytes:
    if kind.startswith("json"):
        return json.dumps(document, indent=None if "flat" in kind else 2).encode()
    return "".join(f"{key}{' =' if kind == 'toml' else ':'} {value}\n" for key, value in document.items()).encode()


def _read(data: bytes, kind: str) -> dict[str, int]:
    if kind.startswith("json"):
        found: dict[str, int] = json.loads(data)
        return found
    if kind == "toml":
        return tomllib.loads(data.decode())
    return {line.split(": ")[0]: int(line.split(": ")[1]) for line in data.decode().splitlines()}


def test_a_model_learned_anew_is_one_change() -> None:
    good = json.dumps({"bias": 0.5, "w": {f"x{n}": n for n in range(12)}}, indent=1).encode()
    few = good.replace(b"3,", b"4,")
    assert [part.suffix for part in split("m.json", good, few, learned=True).parts] == ["/w.x3"]  # type: ignore[union-attr]
    refit = json.dumps({"bias": 0.6, "w": {f"x{n}": n * 1.1 for n in range(1, 13)}}, indent=1).encode()
    assert [part.suffix for part in split("m.json", good, refit, learned=True).parts] == ["/bias", "/w"]  # type: ignore[union-attr]
    assert split("model.txt", b"tree=1\n\ntree=2\n", b"tree=3\n\ntree=4\n", learned=True) is None
