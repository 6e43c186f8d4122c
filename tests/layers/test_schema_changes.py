"""How two contracts differ: the incidents that must be named, and the months that must not."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.layers.contract import Contract, concluded
from replay.layers.contract_changes import contract_changes, escaped, rates_differ
from replay.layers.tabular import profile_file
from replay.state import Change


def table(folder: Path, columns: dict[str, list[object]], name: str = "in.csv") -> Contract:
    """The contract of a CSV file with these columns."""
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    return text(folder, "\n".join(lines) + "\n", name)


def text(folder: Path, content: str, name: str = "in.csv", encoding: str = "utf-8") -> Contract:
    file = folder / name
    file.write_text(content, encoding)
    return concluded(profile_file(file, name))


def changes(good: Contract | None, bad: Contract | None) -> dict[str, tuple[str | None, str | None]]:
    found = contract_changes("customers", good, bad)
    assert all(change.name.startswith("schema/customers/") for change in found)
    return {change.name.removeprefix("schema/customers/"): (change.before, change.after) for change in found}


def draw(seed: int, *values: object, rows: int = 800) -> list[object]:
    return random.Random(seed).choices(values, k=rows)


IDS: list[object] = list(range(800))


def test_dealer_codes_lose_their_leading_zeros_when_the_one_letter_code_goes(tmp_path: Path) -> None:
    numbers = draw(1, "0381", "0840", "5096", "5315", "0595")
    good = table(tmp_path, {"customer_id": IDS, "dealer_code": ["WEB1", *numbers[1:]]})
    bad = table(tmp_path, {"customer_id": IDS, "dealer_code": ["5315", *numbers[1:]]})

    assert changes(good, bad) == {
        "dealer_code/type": ("text (numbers but for 'WEB1' (1 row))", "int (leading zeros)"),
    }


def test_a_region_called_na_is_read_as_null(tmp_path: Path) -> None:
    regions = draw(2, "EAST", "WEST", "NORTH")
    codes = {"EAST": "EA", "WEST": "WA", "NORTH": "NA"}
    north = regions.count("NORTH")
    good = table(tmp_path, {"customer_id": IDS, "region": regions})
    bad = table(tmp_path, {"customer_id": IDS, "region": [codes[str(region)] for region in regions]})

    found = changes(good, bad)

    assert found.keys() == {"region/nulls", "region/categories"}
    assert found["region/nulls"] == ("no nulls", f"{north / 8:.1f} % null ('NA' is read as null)")
    before, after = found["region/categories"]
    assert before == "3 categories"
    assert after is not None
    for part in ("+ 'EA' (", "+ 'WA' (", "- 'EAST'", "- 'WEST'", "- 'NORTH'"):
        assert part in after


def test_a_renamed_category_is_new_and_lost(tmp_path: Path) -> None:
    tariffs = draw(3, "Start", "Smart", "Family")
    family = tariffs.count("Family")
    good = table(tmp_path, {"customer_id": IDS, "tariff": tariffs})
    bad = table(tmp_path, {"customer_id": IDS, "tariff": [str(t).replace("Family", "Family 2024") for t in tariffs]})

    assert changes(good, bad) == {
        "tariff/categories": ("3 categories", f"+ 'Family 2024' ({family} rows), - 'Family'"),
    }


def test_a_new_category_counts_even_once_in_a_closed_list(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "tariff": draw(4, "A", "B")})
    bad = table(tmp_path, {"customer_id": IDS, "tariff": [*draw(5, "A", "B")[1:], "Z"]})

    assert changes(good, bad) == {"tariff/categories": ("2 categories", "+ 'Z' (1 row)")}


def test_a_list_with_values_seen_once_is_open_and_a_new_one_is_expected(tmp_path: Path) -> None:
    common = draw(6, "Riga", "Oslo", rows=798)
    good = table(tmp_path, {"customer_id": IDS, "city": [*common, "Bergen", "Turku"]})
    few = table(tmp_path, {"customer_id": IDS, "city": [*common, "Tartu", "Narva"]})
    many = table(tmp_path, {"customer_id": IDS, "city": [*common[:-28], *["Tartu"] * 30]})

    assert changes(good, few) == {}
    assert changes(good, many) == {"city/categories": ("4 categories", "+ 'Tartu' (30 rows)")}


def test_a_list_that_becomes_free_text_is_no_list_any_more(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "tariff": draw(7, "A", "B", "C")})
    bad = table(tmp_path, {"customer_id": IDS, "tariff": [f"A for customer {n}" for n in IDS]})

    assert changes(good, bad) == {"tariff/categories": ("3 categories", "more than 256 different values")}
    assert changes(bad, good) == {"tariff/categories": ("more than 256 different values", "3 categories")}


def test_a_null_rate_that_jumps(tmp_path: Path) -> None:
    def nps(share: float) -> list[object]:
        chance = random.Random(8)
        return ["" if n < share * 1000 else chance.randint(0, 10) for n in range(1000)]

    ids: list[object] = list(range(1000))
    good, bad = (table(tmp_path, {"customer_id": ids, "nps": nps(share)}) for share in (0.021, 0.34))

    assert changes(good, bad) == {"nps/nulls": ("2.1 % null", "34.0 % null")}


@pytest.mark.parametrize(
    ("good", "bad", "differ"),
    [
        ((21, 1000), (340, 1000), True),
        ((0, 10), (10, 10), True),
        ((0, 1000), (5, 1000), False),  # chance
        ((0, 100_000), (150, 100_000), True),  # from none
        ((150, 100_000), (0, 100_000), True),  # to none: somebody fills them in
        ((0, 10_000_000), (5_000, 10_000_000), False),  # petty: 0.05 %
        ((10_000, 1_000_000), (15_000, 1_000_000), False),  # petty: half a point
        ((100_000, 1_000_000), (115_000, 1_000_000), True),
        ((20, 1000), (45, 1000), False),  # 2.5 points, 3 sigma: a table of many columns sees that
        ((0, 0), (5, 10), False),
    ],
)
def test_null_rates_differ_beyond_chance_and_pettiness(
    good: tuple[int, int], bad: tuple[int, int], differ: bool
) -> None:
    assert rates_differ(*good, *bad) is differ


def test_blanks_turn_numbers_into_text(tmp_path: Path) -> None:
    charges: list[object] = [f"{n / 4:.2f}" for n in IDS if isinstance(n, int)]
    good = table(tmp_path, {"customer_id": IDS, "total": charges})
    bad = table(tmp_path, {"customer_id": IDS, "total": [*charges[11:], *[" "] * 11]})

    assert changes(good, bad) == {"total/type": ("float", "text (numbers but for 11 blanks)")}


def test_columns_come_and_go(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "age": draw(9, 30, 40, 50), "fee": IDS})
    bad = table(tmp_path, {"customer_id": IDS, "fee": IDS, "segment": draw(9, "a", "b")})

    assert changes(good, bad) == {"age/removed": ("int", None), "segment/added": (None, "text")}


def test_a_column_of_the_same_place_type_and_values_is_renamed(tmp_path: Path) -> None:
    fee: list[object] = [round(random.Random(n).uniform(10, 90), 2) for n in range(800)]
    good = table(tmp_path, {"customer_id": IDS, "monthly_fee": fee, "tariff": draw(10, "A", "B"), "end": IDS})
    bad = table(tmp_path, {"customer_id": IDS, "fee_eur": fee[::-1], "plan": draw(11, "A", "B"), "end": IDS})

    assert changes(good, bad) == {
        "fee_eur/renamed": ("'monthly_fee'", "'fee_eur'"),
        "plan/renamed": ("'tariff'", "'plan'"),
    }


def test_a_column_of_other_values_in_the_same_place_is_another_column(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "age": draw(12, *range(18, 90)), "tariff": draw(12, "A", "B")})
    bad = table(tmp_path, {"customer_id": IDS, "fee": draw(13, *range(100, 900)), "region": draw(13, "N", "S")})

    assert changes(good, bad).keys() == {"age/removed", "fee/added", "tariff/removed", "region/added"}


def test_a_renamed_column_is_compared_under_its_new_name(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "tariff": draw(14, "A", "B", "C")})
    bad = table(tmp_path, {"customer_id": IDS, "plan": ["D", *draw(15, "A", "B", "C")[1:]]})

    assert changes(good, bad).keys() == {"plan/renamed", "plan/categories"}


def test_columns_in_another_order(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "age": draw(16, 30, 40), "fee": IDS})
    bad = table(tmp_path, {"customer_id": IDS, "new": IDS, "fee": IDS, "age": draw(16, 30, 40)})

    assert changes(good, bad) == {"new/added": (None, "int"), "order": ("'age', 'fee'", "'fee', 'age'")}


def test_everything_about_how_a_text_is_written_is_one_change(tmp_path: Path) -> None:
    good = text(tmp_path, "id,name,start\n1,Zoë,2026-10-13\n2,Ann,2026-10-14\n")
    bad = text(tmp_path, "id;name;start\n1;Zoë;13/10/2026\n2;Ann;14/10/2026\n", encoding="latin-1")

    assert changes(good, bad) == {
        "format": (
            "delimiter ',', encoding utf-8, 'start' as YYYY-MM-DD",
            "delimiter ';', encoding latin-1, 'start' as DD/MM/YYYY",
        )
    }


def test_what_fits_both_is_no_change_of_format(tmp_path: Path) -> None:
    """No accents this month; and no day beyond the twelfth."""
    good = text(tmp_path, "id,name,start\n1,Zoë,13/10/2026\n2,Ann,14/10/2026\n")
    bad = text(tmp_path, "id,name,start\n1,Tom,01/11/2026\n2,Ann,02/11/2026\n")

    assert changes(good, bad) == {}


def test_a_lost_header_is_one_change_not_two_of_every_column(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 7},x\n" for n in range(100))

    assert changes(text(tmp_path, "id,age,kind\n" + rows), text(tmp_path, rows)) == {
        "format": ("header yes", "header no")
    }


def test_another_file_format_shows_what_its_types_change(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "dealer": draw(17, "0381", "5315")})
    pq.write_table(pa.table({"customer_id": IDS, "dealer": draw(17, "0381", "5315")}), tmp_path / "in.parquet")
    bad = concluded(profile_file(tmp_path / "in.parquet", "in.parquet"))

    assert changes(good, bad) == {"format": ("csv", "parquet"), "dealer/type": ("int (leading zeros)", "text")}


def test_the_unit_of_a_stored_time_is_its_type(tmp_path: Path) -> None:
    sides = []
    for unit in ("us", "ns"):
        pq.write_table(pa.table({"seen": pa.array([1, 2], pa.timestamp(unit))}), tmp_path / "in.parquet")
        sides.append(concluded(profile_file(tmp_path / "in.parquet", "in.parquet")))

    assert changes(*sides) == {"seen/type": ("timestamp[us]", "timestamp[ns]")}


def test_a_file_that_broke_is_a_change_of_format(tmp_path: Path) -> None:
    good, bad = text(tmp_path, "a,b\n1,2\n"), text(tmp_path, "a,b\n1\n")

    assert changes(good, bad) == {"format": ("csv", "opaque (csv: line 2 has 1 field where the first has 2)")}


def test_an_input_that_a_side_did_not_see_is_accesss_to_tell(tmp_path: Path) -> None:
    seen = text(tmp_path, "a,b\n1,2\n")

    assert changes(None, seen) == changes(seen, None) == changes(None, None) == {}


def month(folder: Path, seed: int, name: str, rows: int = 1000) -> Contract:
    """A month of customers from one and the same population: nobody appears twice."""
    chance = random.Random(seed)
    return table(
        folder,
        {
            "customer_id": [chance.randrange(10**6, 10**7) for _ in range(rows)],
            "month": [name] * rows,
            "tariff": chance.choices(["Start", "Smart", "Family", "Premium"], [50, 30, 15, 5], k=rows),
            "surname": [f"Name{chance.randrange(400)}" for _ in range(rows)],
            "fee": [round(chance.uniform(10, 90), 2) for _ in range(rows)],
            "started": [f"20{chance.randint(10, 25)}-{chance.randint(1, 12):02d}-11" for _ in range(rows)],
            "dealer": [f"{chance.randrange(10_000):04d}" for _ in range(rows)],
            "rare_code": [chance.choices(["0123", "77", "4567"], [1, 500, 500])[0] for _ in range(rows)],
            "discount": [chance.choices([0, 5, 2.5], [900, 100, 1])[0] for _ in range(rows)],
            "nps": ["" if chance.random() < 0.02 else chance.randint(0, 10) for _ in range(rows)],
            "complaints": ["NA" if chance.random() < 0.0005 else chance.randint(0, 3) for _ in range(rows)],
            "active": [chance.choice(["True", "False"]) for _ in range(rows)],
        },
    )


@pytest.mark.parametrize("seed", range(40))
def test_another_month_of_new_customers_is_no_change(tmp_path: Path, seed: int) -> None:
    assert changes(month(tmp_path, 2 * seed, "2026-10"), month(tmp_path, 2 * seed + 1, "2026-11")) == {}


def test_a_price_rise_is_no_change_of_schema(tmp_path: Path) -> None:
    chance = random.Random(18)
    tariffs = draw(19, "A", "B", "C", "D")
    fee: list[object] = [round(chance.uniform(15, 60), 2) for _ in IDS]
    pairs = zip(fee, tariffs, strict=True)
    risen: list[object] = [round(float(str(f)) * (1.3 if t in ("A", "B") else 1), 2) for f, t in pairs]
    good = table(tmp_path, {"customer_id": IDS, "tariff": tariffs, "fee": fee, "complaints": draw(20, 0, 0, 0, 1)})
    bad = table(tmp_path, {"customer_id": IDS, "tariff": tariffs, "fee": risen, "complaints": draw(21, 0, 1, 2)})

    assert good != bad
    assert changes(good, bad) == {}


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("tenure", "tenure"),
        ("a/b", "a%2Fb"),
        ("100 %", "100 %25"),
        ("two\nlines\x1b[2J", "two%0Alines%1B[2J"),
        ("\u202egnp", "%E2%80%AEgnp"),
        ("größe", "größe"),
        ("", "%"),
    ],
)
def test_a_hostile_column_name_stays_one_step_of_a_change_name(name: str, step: str) -> None:
    assert escaped(name) == step


def test_a_very_long_column_name_is_cut_and_stays_its_own() -> None:
    one, two = escaped("x" * 5000 + "1"), escaped("x" * 5000 + "2")

    assert len(one) == len(two) == 80
    assert one != two


def test_what_a_file_says_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    good = table(tmp_path, {"customer_id": IDS, "tariff": draw(22, "A", "B")})
    bad = table(tmp_path, {"customer_id": IDS, "tariff": draw(22, "A", "\x1b[2J" + "B" * 100)})
    (found,) = contract_changes("customers", good, bad)

    assert isinstance(found, Change)
    assert found.sentence().isprintable()
    assert len(found.sentence()) < 200
