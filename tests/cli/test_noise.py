"""--noise: what differs between repeats of one state is no evidence, and the report says so."""

from __future__ import annotations

from tests.cli.conftest import Shop

SHAKY = """
import csv, random
rows = list(csv.DictReader(open("data/customers.csv")))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        out.writerow([row["id"], int(row["tenure"]) * FACTOR + random.random() * 1e-6, 0])
"""


def shaky(shop: Shop, tag: str, factor: int) -> None:
    (shop.root / "score.py").write_text(f"FACTOR = {factor}\n{SHAKY}")
    shop.bind(tag)


def test_the_noise_floor_is_measured_and_named(shop: Shop) -> None:
    shaky(shop, "a", 1)
    assert shop.replay("rerun", "a").code == 1
    ended = shop.replay("rerun", "a", "--noise", "4", "--json")
    assert 0 < ended.json["noise"]["scores"]["score"] < 1e-5
    assert ended.code == 0, ended.out
    assert "noise floor of 4 repeats: scores/score " in ended.err
    (finding,) = ended.json["reruns"][0]["difference"]["children"][0]["children"]
    assert finding["kind"] == "noise"
    assert "the noise floor measured between repeats" in finding["sentence"]


def test_what_is_beyond_the_floor_is_evidence_all_the_same(shop: Shop) -> None:
    shaky(shop, "a", 1)
    shaky(shop, "b", 2)
    assert shop.replay("compare", "a", "b", "--noise", "3").code == 1
    assert shop.replay("bisect", "a", "b").code == 3  # nondeterministic: nothing is claimed
    found = shop.replay("bisect", "a", "b", "--noise", "4")
    assert found.code == 0, found.out
    assert "pipeline/score.py" in found.out
    assert "noise floor of 4 repeats" in found.out


def test_one_repeat_and_files_have_no_noise_to_measure(shop: Shop) -> None:
    shop.bind("a")
    assert "measures nothing" in shop.replay("rerun", "a", "--noise", "1").explains()[0]
    (shop.root / "x.csv").write_text("id\n1\n")
    assert "cannot be run again" in shop.replay("compare", "x.csv", "x.csv", "--noise", "2").explains()[0]
    calm = shop.replay("rerun", "a", "--noise", "2")
    assert calm.code == 0
    assert "noise floor of 2 repeats: none" in calm.err
