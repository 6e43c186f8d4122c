"""What moved is named by its column: in the first lines of a diff, and by the gate before a retraining."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.cli.conftest import Shop

JOB = """
import csv, math
def number(text):
    try:
        return float(text)
    except ValueError:
        return 0.0
with open("data/customers.csv") as file, open("out/scores.csv", "w", newline="") as scores:
    out = csv.writer(scores)
    out.writerow(["id", "score", "leaves"])
    for row in csv.DictReader(file):
        z = number(row["tenure"]) * -0.06 + number(row["monthly"]) * 0.02 + number(row["total"]) * 0.0001
        z += {"Month-to-month": 0.9, "Two year": -1.4}.get(row["contract"], 0.0)
        out.writerow([row["id"], round(1 / (1 + math.exp(-z)), 6), int(z > 0)])
"""

Row = dict[str, str]


def telco(edit: Callable[[Row], object] = lambda _: None) -> str:
    """A table like the public Telco churn data, with 12 blanks among 2,000 totals; the job does not read `paper`."""
    dice = random.Random(11)
    lines = ["id,tenure,contract,monthly,paper,total"]
    for number in range(2000):
        tenure, monthly = dice.randint(1, 72), dice.uniform(18, 118)
        row = {
            "id": f"{number:04}-TEL",
            "tenure": str(tenure),
            "contract": dice.choice(["Month-to-month", "One year", "Two year"]),
            "monthly": f"{monthly:.2f}",
            "paper": "yes" if number % 3 else "no",
            "total": " " if number % 181 == 3 else f"{tenure * monthly:.2f}",
        }
        edit(row)
        lines.append(",".join(row.values()))
    return "\n".join(lines) + "\n"


def dearer(row: Row) -> None:
    row.update(monthly=f"{float(row['monthly']) * 1.12:.2f}")


def renamed(row: Row) -> None:
    row.update(contract=row["contract"].replace("Two year", "24 months"))


def coerced(row: Row) -> None:
    row.update(total="" if row["total"] == " " else row["total"])


def with_comma(row: Row) -> None:
    row.update(total=f'"{row["total"].replace(".", ",")}"')


def unknown_tenure(row: Row) -> None:
    row.update(tenure="" if int(row["id"][:4]) % 12 == 0 else row["tenure"])


def moved(shop: Shop, *edits: Callable[[Row], object]) -> tuple[list[str], dict[str, object]]:
    """Bind the table before and after; return the first three lines of the diff, and what the gate says."""
    (shop.root / "score.py").write_text(JOB)
    (shop.root / "data/customers.csv").write_text(telco())
    shop.bind("good")

    def edit(row: Row) -> None:
        for each in edits:
            each(row)

    (shop.root / "data/customers.csv").write_text(telco(edit))
    shop.bind("bad")
    told = shop.replay("diff", "good", "bad").out.splitlines()[:3]
    return told, shop.replay("verify", "good", "bad", "--json").json


def culprits(verdict: dict[str, object]) -> list[list[str]]:
    found = verdict["culprits"]
    assert isinstance(found, list)
    return [culprit["changes"] for culprit in found]


@pytest.mark.parametrize(
    ("edit", "change", "told"),
    [
        (renamed, "schema/customers/contract/categories", "+ '24 months' (676 rows), - 'Two year'"),
        (with_comma, "schema/customers/total/type", "text (decimal comma)"),
        (unknown_tenure, "schema/customers/tenure/nulls", "8.3 % null"),
    ],
)
def test_a_contract_that_broke_calls_for_no_retraining(shop: Shop, edit: object, change: str, told: str) -> None:
    assert callable(edit)
    lines, verdict = moved(shop, edit)
    assert change in lines[2]
    assert told in lines[2]
    assert (verdict["verdict"], verdict["retrain"]) == ("execution-state-drift", False)
    assert culprits(verdict) == [[change]]


def test_a_coercion_that_changes_no_score_is_said_and_harmless(shop: Shop) -> None:
    lines, verdict = moved(shop, coerced)
    assert "schema/customers/total/type" in lines[2]
    assert "text (numbers but for 12 blanks)  ->  float" in lines[2]
    assert verdict["verdict"] == "no-difference"


def test_prices_that_rose_call_for_retraining(shop: Shop) -> None:
    lines, verdict = moved(shop, dearer)
    assert "data/customers/monthly" in lines[2]
    assert "(+12 %), each x 1.12" in lines[2]
    assert (verdict["verdict"], verdict["retrain"]) == ("data-drift", True)
    assert culprits(verdict) == [["data/customers/monthly"]]


def test_a_broken_contract_and_risen_prices_are_two_causes(shop: Shop) -> None:
    _, verdict = moved(shop, dearer, renamed)
    assert (verdict["verdict"], verdict["retrain"]) == ("both", False)
    assert culprits(verdict) == [["schema/customers/contract/categories"], ["data/customers/monthly"]]
    assert "schema/customers/contract/categories" in str(verdict["advice"])


def test_a_column_the_job_does_not_read_is_cleared(shop: Shop) -> None:
    _, verdict = moved(shop, dearer, lambda row: row.update(paper=row["paper"].upper()))
    assert verdict["cleared"] == ["schema/customers/paper/categories", "runtime/clock"]
    assert culprits(verdict) == [["data/customers/monthly"]]


def test_a_value_the_job_cannot_take_is_named(shop: Shop) -> None:
    strict = JOB.replace("return 0.0", "raise")
    (shop.root / "data/customers.csv").write_text(telco(coerced).replace(",,", ",0,").replace(",\n", ",0\n"))
    (shop.root / "score.py").write_text(strict)
    shop.bind("good")
    text = (shop.root / "data/customers.csv").read_text().splitlines()
    text[40] = text[40].rsplit(",", 1)[0] + ",free"
    text[41:] = [line.replace("One year", "1 year") for line in text[41:]]
    (shop.root / "data/customers.csv").write_text("\n".join(text) + "\n")
    shop.replay("run", "--tag", "bad")
    ended = shop.replay("bisect", "good", "bad", "--json")
    assert culprits(ended.json) == [["schema/customers/total/type"]], ended.out


RANKED = """
import csv
rows = list(csv.DictReader(open("data/customers.csv")))
mean = 10 * round(sum(int(row["tenure"]) for row in rows) / len(rows) / 10)
with open("out/scores.csv", "w", newline="") as scores:
    out = csv.writer(scores)
    out.writerow(["id", "score", "leaves"])
    out.writerows([row["id"], round(int(row["tenure"]) / mean, 2), int(int(row["tenure"]) * 2 < mean)] for row in rows)
"""


def test_rows_that_went_are_named_by_their_segment_and_the_others_cleared(shop: Shop) -> None:
    """Most customers of two years are no longer exported, and a few others left: the former alone moved the scores."""
    (shop.root / "score.py").write_text(RANKED)

    def loyal(row: Row) -> None:
        row.update(tenure=str(int(row["tenure"]) % 40 + (40 if row["contract"] == "Two year" else 0)))

    header, *lines = telco(loyal).splitlines()
    (shop.root / "data/customers.csv").write_text("\n".join([header, *lines]) + "\n")
    shop.bind("good")
    left = [line for number, line in enumerate(lines) if number % (20 if "Two year" in line else 97) == 5]
    kept = [line for line in lines if ("Two year" in line) == (line in left)]
    (shop.root / "data/customers.csv").write_text("\n".join([header, *kept]) + "\n")
    shop.bind("bad")
    verdict = shop.replay("verify", "good", "bad", "--json").json
    assert culprits(verdict) == [["data/customers/rows/contract=Two year"]]
    assert verdict["cleared"] == ["data/customers/rows", "runtime/clock"]


def test_an_input_whose_rows_are_all_gone_is_no_reason_to_retrain(shop: Shop) -> None:
    (shop.root / "score.py").write_text(JOB)
    (shop.root / "data/customers.csv").write_text(telco())
    shop.bind("september")
    (shop.root / "data/customers.csv").write_text(telco().splitlines()[0] + "\n")
    shop.bind("october")

    verdict = shop.replay("bisect", "september", "october", "--json").json
    assert (verdict["verdict"], verdict["retrain"]) == ("data-drift", False)
    assert culprits(verdict) == [["data/customers"]]
    assert "no row is left in scores (2,000 rows before)" in verdict["sentence"]
    assert "retraining will not mend it" in verdict["advice"]
    gate = shop.replay("verify", "september", "october")
    assert gate.code == 0
    assert gate.out.splitlines()[:2] == [
        "GATE     open",
        "         execution is innocent, but retraining is not the answer: see the advice",
    ]
