"""Push and pull as a user has them, over real registries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shop
from tests.environment.making import requirements, wheel
from tests.support.private_registry import PASSWORD, PrivateRegistry, RegistryMissing, logged_in, private_registry

PACKAGED = """
import alpha, csv, os
rows = list(csv.DictReader(open("data/customers.csv")))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        out.writerow([row["id"], int(row["tenure"]) * alpha.A * FACTOR + int(os.environ.get("SHIFT", "0")), 0])
"""


@pytest.fixture
def packaged(shop: Shop) -> Shop:
    """A job with a package, bound as `good` and, with another version of it, as `bad`."""
    wheel(shop.root / "wheels", "alpha", files={"alpha.py": "A = 2\n"})
    wheel(shop.root / "wheels", "alpha", "2.0", files={"alpha.py": "A = 3\n"})
    shop.declare(runtime='requirements = "requirements.txt"')
    shop.job(factor=2, source=PACKAGED)
    for tag, version in (("good", "1.0"), ("bad", "2.0")):
        requirements(shop.root, "--no-index", "--find-links wheels", f"alpha=={version}")
        shop.bind(tag, "--engine", "local")
    return shop


@pytest.fixture
def elsewhere(tmp_path: Path) -> Shop:
    """Another machine: a folder with nothing in it but a store, and an index that cannot be reached."""
    root = tmp_path / "elsewhere"
    root.mkdir()
    return Shop(root, {"REPLAY_STORE": str(root / ".replay"), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"})


def place(registry: PrivateRegistry, tmp_path: Path) -> str:
    """A repository of this test's own."""
    return f"{registry.host}/tests/{tmp_path.name.replace('_', '-').lower()}"


def test_a_run_is_pushed_pulled_and_rerun_elsewhere_byte_for_byte(
    packaged: Shop, elsewhere: Shop, registry: PrivateRegistry, tmp_path: Path
) -> None:
    name = place(registry, tmp_path)
    for tag in ("good", "bad"):
        assert packaged.replay("push", tag, f"{name}:{tag}").code == 0
    (packaged.root / "wheels").rename(tmp_path / "gone")

    for tag in ("good", "bad"):
        pulled = elsewhere.replay("pull", f"{name}:{tag}", "--json")
        assert pulled.code == 0, pulled.err
        assert pulled.json["tag"] == tag
    assert elsewhere.store.tags() == packaged.store.tags()

    again = elsewhere.replay("rerun", "good", "--json")
    assert again.json["byte_for_byte"], again.err
    assert elsewhere.replay("show", "good", "--log").out == packaged.replay("show", "good", "--log").out
    assert "runtime/packages/alpha" in elsewhere.replay("diff", "good", "bad").out
    found = elsewhere.replay("bisect", "good", "bad", "--json")
    assert found.json["culprits"][0]["changes"] == ["runtime/packages/alpha"], found.err
    assert elsewhere.replay("fsck").code == 0


def test_what_a_registry_has_is_not_sent_again(packaged: Shop, registry: PrivateRegistry, tmp_path: Path) -> None:
    name = place(registry, tmp_path)
    first = packaged.replay("push", "good", name, "--json").json
    assert first["reference"] == f"{name}:good"
    assert first["known"] == first["mounted"] == 0
    same = packaged.replay("push", "good", f"{name}:again", "--json").json
    assert (same["manifest"], same["sent"], same["mounted"]) == (first["manifest"], [], 0)
    other = packaged.replay("push", "good", f"{name}-copy", "--json").json
    assert (other["sent"], other["mounted"]) == ([], len(first["sent"]))
    over = packaged.replay("push", "bad", f"{name}:again", "--json").json
    assert over["replaced"] == first["manifest"]
    assert "alpha-2.0-py3-none-any.whl" in over["sent"]
    assert over["known"] > 0


def test_a_tag_of_yours_is_not_taken_by_what_is_pulled(
    packaged: Shop, elsewhere: Shop, registry: PrivateRegistry, tmp_path: Path
) -> None:
    name = place(registry, tmp_path)
    packaged.replay("push", "good", f"{name}:prod")
    own = elsewhere.replay("pull", f"{name}:prod", "--json").json
    packaged.replay("push", "bad", f"{name}:prod")
    refused = elsewhere.replay("pull", f"{name}:prod")
    assert refused.code == 2
    assert "tag 'prod' is in use" in refused.explains()[0]
    assert elsewhere.store.tags()["prod"].run == own["run"]
    assert elsewhere.replay("pull", f"{name}:prod", "--tag", "theirs").code == 0
    assert elsewhere.replay("pull", f"{name}:prod", "--force").code == 0
    assert elsewhere.store.tags()["prod"] == elsewhere.store.tags()["theirs"]


def test_last_never_means_what_was_pulled(
    packaged: Shop, elsewhere: Shop, registry: PrivateRegistry, tmp_path: Path
) -> None:
    name = place(registry, tmp_path)
    packaged.replay("push", "good", f"{name}:good")
    elsewhere.replay("pull", f"{name}:good")
    assert "no last run" in elsewhere.replay("show").explains()[0]
    assert name in elsewhere.replay("log").out
    assert elsewhere.replay("log", "--json").json["runs"][0]["origin"] == f"{name}:good"


def test_without_its_data_a_state_can_be_shown(
    packaged: Shop, elsewhere: Shop, registry: PrivateRegistry, tmp_path: Path
) -> None:
    name = place(registry, tmp_path)
    packaged.customers(73)  # no other test's
    packaged.bind("own", "--engine", "local")
    sent = packaged.replay("push", "own", f"{name}:bare", "--without-data", "--json").json
    assert sent["left_out"] == ["data/customers.csv"]
    assert sent["run"] is None
    customers = packaged.root / "data/customers.csv"
    assert all(customers.read_bytes() != file.read_bytes() for file in registry.blobs.glob("*/*/data"))
    pulled = elsewhere.replay("pull", f"{name}:bare", "--json").json
    assert pulled["missing"] == ["data/customers.csv"]
    assert elsewhere.replay("show", "bare").code == 0
    assert elsewhere.replay("fsck").code == 0
    assert elsewhere.replay("rerun", "bare").code == 2
    # Where the data is, the state is whole.
    assert packaged.replay("pull", f"{name}:bare", "--json").json["missing"] == []


@pytest.fixture(scope="session")
def guarded() -> Iterator[PrivateRegistry]:
    try:
        with private_registry(guarded=True) as started:
            yield started
    except RegistryMissing as error:
        pytest.skip(str(error))


def test_a_password_is_taken_from_where_docker_keeps_it(shop: Shop, guarded: PrivateRegistry, tmp_path: Path) -> None:
    shop.bind("mine", "--engine", "local")
    right = logged_in(tmp_path / "right", guarded.host)
    wrong = logged_in(tmp_path / "wrong", guarded.host, password="hunter2-wrong")
    nobody = {"DOCKER_CONFIG": str(tmp_path)}
    target = f"{guarded.host}/guarded/churn:mine"
    for environ in (nobody, wrong):
        refused = shop.replay("push", "mine", target, **environ)
        assert refused.code == 2
        assert "does not let you" in refused.explains()[0]
        assert f"docker login {guarded.host}" in refused.explains()[2]
        assert "hunter2" not in refused.out + refused.err
    done = shop.replay("push", "mine", target, **right)
    assert done.code == 0, done.err
    back = shop.replay("pull", target, "--store", str(tmp_path / "b"), "--json", **right)
    assert json.loads(back.out)["tag"] == "mine"
    assert shop.replay("pull", target, "--store", str(tmp_path / "c"), **nobody).code == 2
    kept = b"".join(file.read_bytes() for file in (tmp_path / "b").rglob("*") if file.is_file())
    assert PASSWORD.encode() not in kept + done.out.encode() + done.err.encode()
