"""Where flips lie, by a column that only the input has."""

from __future__ import annotations

from tests.cli.conftest import JOB, Shop


def test_the_flips_lie_in_one_contract_of_the_input(shop: Shop) -> None:
    rows = "\n".join(f"C{i},{i % 80 + 1},{'Two year' if i % 4 == 0 else 'Monthly'}" for i in range(400))
    (shop.root / "data/customers.csv").write_text(f"id,tenure,contract\n{rows}\n")
    shop.job()
    shop.bind("september", "--here")
    shop.job(source=JOB.replace("int(score > 5)", "int(score > 5) ^ (row['contract'] == 'Two year')"))
    shop.bind("october", "--here")
    where = "all of them where customers/contract = Two year (25 % of the rows)"
    for command in ("diff", "compare"):
        assert where in shop.replay(command, "september", "october").out
        assert '"source":"customers"' in shop.replay(command, "september", "october", "--json").out.replace(" ", "")
