"""Odd pairs of runs: each has its own sentence, and none is blamed on a change."""

from __future__ import annotations

from tests.cli.conftest import JOB, Shop


def test_swapped_ends_are_said_to_look_swapped(shop: Shop) -> None:
    shop.bind("old", SHIFT="0")
    shop.bind("new", SHIFT="4")
    swapped = shop.replay("bisect", "new", "old", "--json")
    assert any("BAD ran before GOOD" in line for line in swapped.json["evidence"])
    right = shop.replay("bisect", "old", "new", "--json")
    assert not any("BAD ran before GOOD" in line for line in right.json["evidence"])


def test_an_empty_output_is_named_by_what_empties_it(shop: Shop) -> None:
    shop.bind("full", LOG_LEVEL="a")
    shop.job(source="open('out/scores.csv', 'w')")
    assert shop.replay("run", "--tag", "empty", LOG_LEVEL="b").code == 0
    ended = shop.replay("bisect", "full", "empty", "--json")
    assert ended.code == 0, ended.err
    assert [culprit["changes"] for culprit in ended.json["culprits"]] == [["pipeline/score.py"]]


def test_a_test_that_breaks_on_one_mix_only_convicts_nobody(shop: Shop) -> None:
    shop.bind("good", SHIFT="0", LOG_LEVEL="a")
    shop.job(source=JOB.replace("score = round", "score = 1 + round"))
    shop.bind("bad", SHIFT="1", LOG_LEVEL="b")
    (shop.root.parent / "judge.py").write_text(
        "import sys\n"
        "first = open('out/scores.csv').read().splitlines()[1].split(',')[1]\n"
        "sys.exit({'0.0': 0, '2.0': 1}.get(first, 9))\n"
    )
    ended = shop.replay("bisect", "good", "bad", "--test", f"python {shop.root.parent / 'judge.py'}")
    assert ended.code == 2
    assert "broke: exit code 9" in ended.explains()[0]
