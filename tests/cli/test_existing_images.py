"""Images that exist already: run in as they are, diffed and bisected down to one package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.cli.conftest import Shop
from tests.environment.making import wheel
from tests.support.existing import SITE, foreign, image, installed

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
    assert found["cleared"] == ["runtime/packages/words", "runtime/clock"]
    assert shop.replay("rerun", "september").code == 0
    shop.sound()


def test_a_file_patched_by_hand_is_a_finding_with_its_diff_and_a_change_of_its_own(
    shop: Shop, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published file comes from an index, here a folder of wheels."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (shop.root / "score.py").write_text(JOB)
    shop.bind("before", "--image", images())
    patches = {"rounding.py": ROUNDING.format(how="round(x)"), "words_extra.py": "", "words-1.0.dist-info/extra": ""}
    run = shop.bind("after", "--image", images(patches=patches))
    found = {(odd["package"], odd["kind"]): odd for odd in run["record"]["packages"]}
    patched = found["rounding", "patched"]
    assert patched["path"] == "/usr/local/lib/python3.11/dist-packages/rounding.py"
    assert "-    return round(x, 1)\n+    return round(x)" in patched["diff"]
    for told in (shop.replay("show", "after").out, shop.replay("diff", "before", "after").out):
        assert "package rounding: /usr/local/lib/python3.11/dist-packages/rounding.py was changed by hand" in told
        assert "+    return round(x)" in told
    changes = shop.replay("diff", "before", "after", "--json").json["changes"]
    assert [change["name"] for change in changes] == [
        "runtime/packages/files-of-no-package",
        "runtime/packages/rounding",
        "runtime/packages/words",
    ]
    assert changes[1]["after"].startswith("1.0 (")
    assert changes[1]["after"].endswith(": rounding.py)")


def test_the_same_packages_installed_twice_are_one_state_but_for_the_image(shop: Shop, images: Images) -> None:
    """Bytecode, times and what the installer noted are no change."""
    (shop.root / "score.py").write_text(JOB)
    shop.bind("one", "--image", images())
    shop.bind("other", "--image", images())
    ended = shop.replay("diff", "one", "other", "--json")
    assert (ended.code, ended.json["changes"]) == (0, [])


def test_a_variable_and_a_file_of_the_image_are_changes(shop: Shop, images: Images) -> None:
    (shop.root / "score.py").write_text(f"import os\nprint(os.environ.get('THREADS'))\n{JOB}")
    settings = ["ENV THREADS=4", "ENV DB_PASSWORD=hush-hush"]
    run = shop.bind("one", "--image", images(changes=settings))
    assert shop.replay("show", "one", "--log").out == "4\n"
    layer = shop.replay("show", "one", "--layer", "runtime").out
    assert "hush-hush" not in layer
    shop.bind("other", "--image", images(changes=["ENV THREADS=8"]))
    (change,) = shop.replay("diff", "one", "other", "--json").json["changes"]
    assert (change["name"], change["before"], change["after"]) == ("runtime/env/THREADS", "4", "8")
    assert run["record"]["packages"] == []


def test_an_image_that_is_not_there_or_cannot_run(shop: Shop) -> None:
    ended = shop.replay("run", "--image", "no-such-image:1")
    assert ended.code == 2
    assert "the image no-such-image:1 is not in this engine" in ended.explains()[0]
    ended = shop.replay("run", "--image", "no-such-image:1", "--engine", "local")
    assert "an existing image cannot run on the local engine" in ended.explains()[0]


def test_an_image_for_another_architecture(shop: Shop, docker_host: str) -> None:
    with foreign(docker_host) as name:
        ended = shop.replay("run", "--image", name)
    assert ended.code == 2
    assert f"the image {name} is for arm64, and this engine runs amd64" in ended.explains()[0]


def test_a_dockerfile_is_built_and_taken_as_it_is(
    shop: Shop, base_image: Callable[[str], str], tmp_path: Path, client: docker.DockerClient
) -> None:
    files = installed([wheel(tmp_path, "rounding", "1.0", {"rounding.py": ROUNDING.format(how="round(x)")})])
    for name, data in files.items():
        (shop.root / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / "site" / name).write_bytes(data)
    (shop.root / "Dockerfile").write_text(f"FROM {base_image('bookworm')}\nCOPY site {SITE}\nENV THREADS=4\n")
    (shop.root / "score.py").write_text(JOB.replace(", words", ""))
    shop.declare(runtime='dockerfile = "Dockerfile"')
    shop.bind("built")
    layer = shop.replay("show", "built", "--layer", "runtime", "--json").json
    assert shop.replay("show", "built", "--json").json["run"]["provenance"]["base"] == "Dockerfile"
    assert layer["packages"]["wheels"]["rounding"]["version"] == "1.0"
    assert layer["env"]["THREADS"] == "4"
    assert shop.replay("rerun", "built").code == 0
    client.images.remove(layer["base"]["image"], force=True)
    (shop.root / "Dockerfile").write_text("FROM registry.invalid/no/such:image\n")
    assert "the image of Dockerfile could not be built" in shop.replay("run").explains()[0]
    (shop.root / "Dockerfile").write_text(f"FROM {base_image('bookworm')}\nRUN echo dear me; exit 7\n")
    assert "dear me" in shop.replay("run").explains()[1]
    (shop.root / "Dockerfile").unlink()
    assert "there is no Dockerfile" in shop.replay("run").explains()[0]


@pytest.mark.parametrize("more", ['base = "x"', 'requirements = "requirements.txt"', 'dockerfile = "Dockerfile"'])
def test_an_image_brings_all_that_it_needs(shop: Shop, more: str) -> None:
    shop.declare(runtime=f'image = "churn:prod"\n{more}')
    assert "replay.toml, line" in shop.replay("run").explains()[0]
