"""What one can ask of a bisect: where to look, how long, what to do with what it found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Shop


@pytest.fixture
def drifted(shop: Shop) -> Shop:
    """Two runs that differ in two variables and the code; the code did it."""
    shop.bind("good", LOG_LEVEL="INFO", SHIFT="0")
    shop.job(offset=1)
    shop.bind("bad", LOG_LEVEL="DEBUG", SHIFT="+0")
    return shop


def test_a_spent_budget_is_inconclusive_and_what_ran_is_kept(drifted: Shop) -> None:
    ended = drifted.replay("bisect", "good", "bad", "--budget", "4", "--json")
    assert (ended.code, ended.json["verdict"], ended.json["culprits"]) == (3, "inconclusive", [])
    assert "the budget of 4 probes was spent" in ended.json["sentence"]
    assert ended.json["probes"]["run"] == 4
    resumed = drifted.replay("bisect", "good", "bad", "--resume", "--json")
    assert resumed.code == 0
    assert resumed.json["probes"]["cached"] == 4
    assert "resuming: 4 probes had ended" in resumed.err


def test_only_takes_apart_what_it_names_and_still_tries_the_rest(drifted: Shop) -> None:
    ended = drifted.replay("bisect", "good", "bad", "--only", "runtime/env", "--json")
    assert ended.code == 0
    assert [culprit["changes"] for culprit in ended.json["culprits"]] == [["pipeline/score.py"]]
    assert drifted.replay("bisect", "good", "bad", "--skip", "nothing/so").code == 2


def test_the_plan_says_what_how_many_and_how_long(drifted: Shop) -> None:
    ended = drifted.replay("bisect", "good", "bad", "--plan", "--json")
    assert ended.code == 0
    assert ended.json["probes"][:2] == ["GOOD, repetition 1", "BAD, repetition 1"]
    assert "GOOD at BAD's time" in ended.json["probes"]
    assert ended.json["seconds"] >= 0
    assert drifted.replay("log", "--json").json["runs"][0]["reason"] == "run"


def test_both_states_of_the_flip_pair_are_shown_and_rerun(drifted: Shop) -> None:
    found = drifted.replay("bisect", "good", "bad", "--json").json
    line = next(line for line in found["evidence"] if line.startswith("flip pair"))
    states = re.findall(r"[0-9a-f]{12}", line)
    assert len(states) == 2
    for state in states:
        assert drifted.replay("show", state).code == 0
        assert drifted.replay("rerun", state).code == 0
    assert drifted.replay("diff", *states, "--json").json["changes"][0]["name"].startswith("pipeline/score.py")


def test_a_fix_is_run_tagged_and_names_the_line_to_change(shop: Shop) -> None:
    shop.bind("good", SHIFT="0")
    shop.bind("bad", SHIFT="4")
    ended = shop.replay("bisect", "good", "bad", "--fix")
    assert ended.code == 0, ended.err
    assert 'SHIFT = "0"' in ended.out
    assert shop.replay("rerun", "fix").code == 0
    assert shop.replay("compare", "good", "fix").code == 0


def test_progress_says_what_is_still_suspected(shop: Shop) -> None:
    shop.bind("good", SHIFT="0", LOG_LEVEL="a")
    shop.bind("bad", SHIFT="4", LOG_LEVEL="b")
    ended = shop.replay("bisect", "good", "bad")
    assert re.search(r"still suspected: 1 of \d changes: runtime/env/SHIFT", ended.err)


TIMES = (
    (r"\b[0-9a-f]{12}\b", "<id>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "<when>"),
    (r"\d+\.\d+ s\b", "<seconds>"),
    (r"not held fixed: .*", "not held fixed: <what this engine cannot>"),
)


def test_the_transcript_of_a_bisect(drifted: Shop) -> None:
    """What a person sees, progress and verdict, word by word; only times and ids are left out."""
    ended = drifted.replay("bisect", "good", "bad", "--engine", "local")
    said = ended.err + "---\n" + ended.out
    for pattern, word in TIMES:
        said = re.sub(pattern, word, said)
    golden = Path(__file__).parent / "golden" / "bisect.txt"
    assert said == golden.read_text("utf-8")
