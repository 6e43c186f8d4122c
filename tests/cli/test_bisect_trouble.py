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


def test_a_crash_in_one_corner_is_no_proof_that_a_change_is_needed(shop: Shop) -> None:
    """SHIFT did it. With the old LOG_LEVEL beside it the job crashes: nothing shows LOG_LEVEL to be innocent."""
    crash = "import os\nif os.environ['SHIFT'] == '4' and os.environ['LOG_LEVEL'] == 'a': raise SystemExit(7)\n"
    shop.job(source=crash + JOB)
    shop.bind("good", SHIFT="0", LOG_LEVEL="a")
    shop.bind("bad", SHIFT="4", LOG_LEVEL="b")
    found = shop.replay("bisect", "good", "bad", "--json").json
    assert "are not told apart, because states between them could not run" in found["sentence"]
    assert "reverting runtime/env/SHIFT mends it" in found["sentence"]
    assert [culprit["relation"] for culprit in found["culprits"]] == ["inseparable"]


def test_a_change_after_which_the_job_fails_is_named(shop: Shop) -> None:
    shop.bind("good", SHIFT="0", LOG_LEVEL="a")
    shop.job(source="raise SystemExit(3)")
    assert shop.replay("run", "--tag", "bad", SHIFT="0", LOG_LEVEL="b").code == 2
    found = shop.replay("bisect", "good", "bad", "--json")
    assert found.code == 0
    assert [culprit["changes"] for culprit in found.json["culprits"]] == [["pipeline/score.py"]]
    swapped = shop.replay("bisect", "bad", "good")
    assert swapped.code == 2
    assert "did not end well itself" in swapped.explains()[0]


def test_a_test_that_is_no_command_breaks_before_anything_runs(shop: Shop) -> None:
    shop.bind("good", SHIFT="0")
    shop.bind("bad", SHIFT="4")
    for command in ("python 'judge.py", "", "/nowhere/judge"):
        ended = shop.replay("bisect", "good", "bad", "--test", command or " ")
        assert ended.code == 2
        assert "broke: " in ended.explains()[0]
    ended = shop.replay("bisect", "good", "bad", "--test", "true")
    assert ended.code == 2
    assert "does not tell GOOD from BAD" in ended.explains()[0]
