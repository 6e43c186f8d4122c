"""The main job by the command line: run, diff, rerun, compare, bisect, verify, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shop


def test_a_run_is_bound_listed_shown_and_found_by_tag_prefix_and_last(shop: Shop) -> None:
    run = shop.bind("september")
    assert run["record"]["exit_code"] == 0
    ids = [shop.replay("show", ref, "--json").json["run"]["id"] for ref in ("september", "last", run["run"][7:17])]
    assert ids == [run["run"]] * 3
    (entry,) = shop.replay("log", "--json").json["runs"]
    assert entry["tags"] == ["september"]


def test_the_state_is_known_before_the_job_starts_and_the_same_twice(shop: Shop) -> None:
    first, second = shop.bind("a"), shop.bind("b")
    assert first["record"]["state"] == second["record"]["state"]
    assert first["run"] != second["run"]
    told = shop.replay("run").err
    assert f"state {first['record']['state'][7:19]} bound; running" in told


def test_diff_names_what_changed_and_exits_1(shop: Shop) -> None:
    shop.bind("a")
    shop.job(factor=0.2)
    shop.bind("b", SHIFT="1")
    ended = shop.replay("diff", "a", "b", "--json")
    assert ended.code == 1
    assert [change["name"] for change in ended.json["changes"]] == ["pipeline/score.py", "runtime/env/SHIFT"]
    assert shop.replay("diff", "a", "a").code == 0


def test_a_rerun_reproduces_byte_for_byte_as_often_as_asked(shop: Shop) -> None:
    shop.bind("a")
    shop.job(factor=9)  # what stands in the folder today does not matter
    shop.customers(3)
    ended = shop.replay("rerun", "a", "--repeat", "2", "--json")
    assert ended.code == 0
    assert ended.json["byte_for_byte"] is True
    assert len(ended.json["reruns"]) == 2
    shop.sound()


def test_compare_takes_runs_and_files(shop: Shop) -> None:
    shop.bind("a")
    shop.job(factor=0.2)
    shop.bind("b")
    assert shop.replay("compare", "a", "b").code == 1
    one, other = shop.root / "one.csv", shop.root / "other.csv"
    one.write_text("id,x\n1,1.0\n2,2\n")
    other.write_text("id,x\n2,2\n1,1.5\n")
    ended = shop.replay("compare", "one.csv", "other.csv", "--key", "id")
    assert ended.code == 1
    assert "x: 1 of 2 cells changed" in ended.out
    assert shop.replay("compare", "one.csv", "other.csv", "--key", "id", "--atol", "0.5").code == 0


def test_of_two_changed_layers_only_the_guilty_one_is_named(shop: Shop) -> None:
    shop.bind("good", LOG_LEVEL="INFO")
    shop.job(offset=1)
    shop.bind("bad", LOG_LEVEL="WARNING")
    ended = shop.replay("bisect", "good", "bad", "--json")
    assert ended.code == 0
    found = ended.json
    assert found["verdict"] == "execution-state-drift"
    assert [culprit["changes"] for culprit in found["culprits"]] == [["pipeline/score.py"]]
    assert found["culprits"][0]["share"] == 1.0
    assert found["cleared"] == ["runtime/env/LOG_LEVEL", "runtime/clock"]
    assert shop.replay("rerun", found["fix"]).code == 0


def test_two_layers_that_both_matter_are_both_named_with_their_shares(shop: Shop) -> None:
    shop.bind("good", SHIFT="0")
    shop.job(offset=3)
    shop.bind("bad", SHIFT="1")
    found = shop.replay("bisect", "good", "bad", "--json", "--jobs", "2").json
    shares = {culprit["changes"][0]: culprit["share"] for culprit in found["culprits"]}
    assert shares.keys() == {"pipeline/score.py", "runtime/env/SHIFT"}
    assert shares["pipeline/score.py"] > shares["runtime/env/SHIFT"] > 0
    assert sum(shares.values()) == pytest.approx(1, abs=0.05)


def test_new_customers_alone_are_no_drift_and_open_the_gate(shop: Shop) -> None:
    """Every row is new: nothing may be compared row by row, and nothing is blamed."""
    shop.customers(600)
    shop.bind("baseline")
    shop.customers(600, first=5000)
    shop.bind("next")
    ended = shop.replay("verify", "--json")
    assert ended.json["verdict"] == "no-difference"
    assert ended.code == 0


def test_verify_closes_the_gate_on_execution_drift(shop: Shop) -> None:
    shop.bind("baseline")
    shop.job(offset=1)
    shop.bind("next")
    ended = shop.replay("verify")
    assert ended.code == 1
    assert ended.out.startswith("GATE     closed")


def test_a_test_of_ones_own_decides(shop: Shop, tmp_path: Path) -> None:
    judge = tmp_path / "judge.py"
    judge.write_text("import sys; sys.exit(int(open('out/scores.csv').read().count(',1\\n') > 60))")
    shop.bind("good")
    shop.job(offset=4)
    shop.bind("bad", LOG_LEVEL="x")
    found = shop.replay("bisect", "good", "bad", "--test", f"python {judge}", "--json")
    assert found.code == 0, found.err
    assert [culprit["changes"] for culprit in found.json["culprits"]] == [["pipeline/score.py"]]


def test_a_plan_runs_nothing(shop: Shop) -> None:
    shop.bind("good")
    shop.job(offset=1)
    shop.bind("bad", LOG_LEVEL="x")
    ended = shop.replay("bisect", "good", "bad", "--plan", "--json")
    assert len(ended.json["probes"]) == 13
    assert len(shop.store.runs()) == 2


def test_html_is_written(shop: Shop) -> None:
    shop.bind("good")
    shop.job(offset=1)
    shop.bind("bad")
    shop.replay("bisect", "good", "bad", "--html", "report.html")
    assert "Execution state drift" in (shop.root / "report.html").read_text("utf-8")


def test_here_binds_what_runs_already(shop: Shop) -> None:
    record = shop.bind("a", "--here")["record"]
    assert record["engine"]["name"] == "here"
    layer = json.loads(shop.replay("show", "a", "--layer", "runtime").out)
    assert "pydantic" in layer["packages"]["wheels"]
    assert shop.replay("rerun", "a").code == 0


def test_init_writes_a_declaration_that_runs(shop: Shop) -> None:
    (shop.root / "replay.toml").unlink()
    assert shop.replay("init").code == 0
    assert (shop.root / "replay.toml").read_text().count('key = "id"') == 2
    assert shop.replay("run").code == 0


def test_doctor_knows_bases_that_are_archives_and_recipes(shop: Shop) -> None:
    for base, word in (("base.tar", "missing"), ("images/nowhere", "missing"), ("images/bookworm", "fine")):
        shop.declare(base=base)
        checks = {check["name"]: check["word"] for check in shop.replay("doctor", "--json").json["checks"]}
        assert (base, checks["base"]) == (base, word)


def test_doctor_says_what_this_machine_can_do(shop: Shop) -> None:
    ended = shop.replay("doctor", "--json")
    assert ended.code == 0
    assert {"python", "docker", "local", "store"} <= {check["name"] for check in ended.json["checks"]}
