"""Images that exist already: run in as they are, diffed and bisected down to one package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shop
from tests.environment.making import wheel
from tests.support.existing import image, installed

pytestmark = pytest.mark.docker

JOB = """
import csv, rounding, words
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in csv.DictReader(open("data/customers.csv")):
        score = rounding.rounded(int(row["tenure"]) / 10)
        out.writerow([row["id"], score, int(score > 5)])
"""

ROUNDING = "def rounded(x):\n    return {how}\n"


Images = Callable[..., str]


@pytest.fixture
def images(docker_host: str, base_image: Callable[[str], str], tmp_path: Path) -> Iterator[Images]:
    """Make images: the base with a layer of packages, as `pip install` would leave them."""
    with contextlib.ExitStack() as stack:

        def make(rounding: str = "1.0", how: str = "round(x, 1)", words: str = "1.0", **more: object) -> str:
            patches = more.pop("patches", None)
            wheels = [
                wheel(tmp_path / "wheels", "rounding", rounding, {"rounding.py": ROUNDING.format(how=how)}),
                wheel(tmp_path / "wheels", "words", words, {"words.py": f"VERSION = '{words}'\n"}),
            ]
            files = installed(wheels, patches)  # type: ignore[arg-type]
            return stack.enter_context(image(docker_host, base_image("bookworm"), files, **more))  # type: ignore[arg-type]

        yield make


def test_two_images_that_differ_by_one_upgraded_package(shop: Shop, images: Images) -> None:
    """`diff` names it, `bisect` convicts it, beside one that changed as well and is innocent."""
    (shop.root / "score.py").write_text(JOB)
    shop.bind("september", "--image", images())
    shop.bind("october", "--image", images(rounding="2.0", how="round(x)"))
    ended = shop.replay("diff", "september", "october", "--json")
    assert [(c["name"], c["before"], c["after"]) for c in ended.json["changes"]] == [
        ("runtime/packages/rounding", "1.0", "2.0")
    ]
    shop.bind("november", "--image", images(rounding="2.0", how="round(x)", words="1.1"))
    found = shop.replay("bisect", "september", "november", "--json").json
    assert found["verdict"] == "execution-state-drift"
    assert [culprit["changes"] for culprit in found["culprits"]] == [["runtime/packages/rounding"]]
    assert found["cleared"] == ["runtime/packages/words"]
    assert shop.replay("rerun", "september").code == 0
    shop.sound()
