"""The clock as a user meets it: a job that reads today's date."""

from __future__ import annotations

import struct

import pytest

from tests.cli.conftest import Shop

DATED = """
import csv, datetime, os
days = (datetime.date.today() - datetime.date(2026, 1, 1)).days
rows = list(csv.DictReader(open("data/customers.csv")))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        score = round(days * FACTOR + OFFSET + int(row["tenure"]), 6)
        out.writerow([row["id"], score, int(score > 60)])
"""
LAST_MONTH, LATER = "2026-06-01T08:00:00Z", "2026-07-01T08:00:00Z"


@pytest.fixture
def dated(shop: Shop) -> Shop:
    shop.job(source=DATED)
    return shop


def at(shop: Shop, tag: str, clock: str) -> None:
    ended = shop.replay("run", "--tag", tag, "--clock", clock)
    assert ended.code == 0, ended.err


def test_a_run_bound_with_a_clock_of_last_month_reproduces_today(dated: Shop) -> None:
    at(dated, "june", LAST_MONTH)
    ended = dated.replay("rerun", "june", "--json")
    assert ended.code == 0
    assert ended.json["byte_for_byte"]
    assert "clock" not in ended.json["not_held"]


def test_a_clock_that_is_let_go_is_named(dated: Shop) -> None:
    at(dated, "june", LAST_MONTH)
    ended = dated.replay("rerun", "june", "--clock", "now", "--json")
    assert ended.code == 1
    assert "let go" in ended.json["not_held"]["clock"]


def test_a_rerun_at_another_time_shows_what_the_job_would_say_then(dated: Shop) -> None:
    at(dated, "june", LAST_MONTH)
    at(dated, "july", LATER)
    assert dated.replay("rerun", "june", "--clock", LATER).code == 1
    assert dated.replay("compare", "last", "july").code == 0


def test_where_only_the_clock_differs_it_is_the_culprit(dated: Shop) -> None:
    at(dated, "june", LAST_MONTH)
    at(dated, "july", LATER)
    ended = dated.replay("bisect", "june", "july", "--json")
    assert ended.code == 0
    found = ended.json
    (culprit,) = found["culprits"]
    assert culprit["changes"] == ["runtime/clock"]
    assert culprit["from"] == {"runtime/clock": "2026-06-01T08:00:00.000Z"}
    assert found["verdict"] == "execution-state-drift"
    assert "hand it the date" in found["advice"]
    assert found["fix"] is None


def test_the_clock_and_the_code_are_two_causes(dated: Shop) -> None:
    at(dated, "june", LAST_MONTH)
    dated.job(offset=3, source=DATED)
    at(dated, "july", LATER)
    found = dated.replay("bisect", "june", "july", "--json").json
    changes = sorted(tuple(culprit["changes"]) for culprit in found["culprits"])
    assert [change[0].split("#")[0] for change in changes] == ["pipeline/score.py", "runtime/clock"]


def test_a_clock_that_does_nothing_is_cleared_and_costs_no_probe(shop: Shop) -> None:
    at(shop, "june", LAST_MONTH)
    shop.job(offset=3)
    at(shop, "july", LATER)
    found = shop.replay("bisect", "june", "july", "--json").json
    assert [culprit["changes"][0].split("#")[0] for culprit in found["culprits"]] == ["pipeline/score.py"]
    assert "runtime/clock" in found["cleared"]
    let_go = shop.replay("bisect", "june", "july", "--clock", "now", "--json").json
    assert found["probes"]["run"] == let_go["probes"]["run"]
    assert "runtime/clock" not in let_go["cleared"]


def test_a_time_that_is_none_is_explained(shop: Shop) -> None:
    what, _, remedy = shop.replay("run", "--clock", "yesterday").explains()
    assert "'yesterday' is no time" in what
    assert "2026-10-21T08:00:00Z" in remedy


def static_binary() -> bytes:
    """A program of 129 bytes that loads no library and ends with 0 (elf(5), x86-64)."""
    code = bytes.fromhex("31ff b83c000000 0f05")
    size = 120 + len(code)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 4096) + code


def test_a_static_binary_reads_the_real_time_and_the_record_says_so(shop: Shop) -> None:
    (shop.root / "score").write_bytes(static_binary())
    (shop.root / "score").chmod(0o755)
    declared = (shop.root / "replay.toml").read_text()
    declared = declared.replace('["python", "score.py"]', '["./score"]').replace('["score.py"]', '["score"]')
    (shop.root / "replay.toml").write_text(declared)
    shop.replay("run", "--tag", "static")
    ended = shop.replay("rerun", "static", "--json")
    assert "static binary" in ended.json["not_held"]["clock"]
    what, cause, _ = shop.replay("run", "--clock", LAST_MONTH).explains()
    assert "cannot be bound with another clock" in what
    assert "static binary" in cause
