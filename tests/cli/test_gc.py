"""`replay gc` as a user has it."""

from __future__ import annotations

import docker
import pytest

from replay.engines.warehouse import Warehouse
from tests.cli.conftest import Shop, own_images

SLOW = """
import time
open("out/scores.csv", "w").write("id,score,leaves\\n1,2,0\\n")
print("here", flush=True)
time.sleep(FACTOR)
"""


def test_what_no_run_needs_goes_and_the_rest_still_runs(shop: Shop) -> None:
    shop.bind("old", "--engine", "local")
    shop.job(factor=0.2)
    shop.bind("newer", "--engine", "local")
    shop.replay("run", "--engine", "local")
    dropped = shop.store.tags()["old"]
    (shop.store.root / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')  # nothing has a tag
    shop.replay("tag", "last~1", "newer")

    would = shop.replay("gc", "--keep", "1", "--dry-run", "--json").json
    assert (would["dry_run"], would["runs"], would["states"]) == (True, [dropped.run], [dropped.state])
    assert len(shop.store.runs()) == 3
    said = shop.replay("gc", "--keep", "1", "--caches")
    assert said.code == 0, said.err
    assert f"run    {(dropped.run or '')[7:19]}" in said.out
    assert f"blobs  {would['blobs']} that nothing needs" in said.out
    assert len(shop.store.runs()) == 2
    assert shop.replay("show", dropped.state[7:]).code == 2
    assert shop.replay("rerun", "newer", "--json").json["byte_for_byte"]
    shop.sound()


def test_nothing_is_dropped_unasked(shop: Shop) -> None:
    shop.replay("run", "--engine", "local")
    done = shop.replay("gc", "--json").json
    assert (done["runs"], done["states"]) == ([], [])
    assert shop.replay("gc", "--older-than", "30d", "--json").json["runs"] == []
    assert shop.replay("gc", "--older-than", "soon").explains()[0] == "replay: 'soon' is no age"
    assert shop.replay("rerun", "last").code == 0


def test_a_run_at_work_is_not_disturbed(shop: Shop) -> None:
    shop.job(factor=8, source=SLOW)
    shop.replay("run", "--engine", "local", "--clock", "now", SHIFT="1")
    running = shop.start("run", "--engine", "local", "--tag", "slow")
    assert running.stderr is not None
    assert any("running churn" in line for line in running.stderr)
    refused = shop.replay("gc", "--keep", "0")
    assert refused.code == 2
    assert "another process is using the store" in refused.explains()[0]
    assert running.wait(timeout=120) == 0
    assert shop.replay("gc", "--keep", "0").code == 0
    assert [entry.run for entry in shop.store.runs()] == [shop.store.tags()["slow"].run]
    shop.sound()


@pytest.mark.docker
def test_an_image_that_was_removed_from_the_engine_is_made_again(
    bound: Shop, client: docker.DockerClient, docker_host: str
) -> None:
    """Others share this engine, so only what is ours is removed, by what `gc --engine` removes all with."""
    bound.environ["REPLAY_DELIVERY"] = "image"
    assert bound.replay("rerun", "a").code == 0
    names = {name for image in own_images(bound, client) for name in client.images.get(image).tags}
    listed = bound.replay("gc", "--engine", "--dry-run", "--json").json["images"]
    assert names
    assert names <= set(listed)
    warehouse = Warehouse(lambda: docker.APIClient(base_url=docker_host))
    assert all(warehouse.remove(name) for name in names)
    assert own_images(bound, client) == []
    assert bound.replay("rerun", "a", "--json").json["byte_for_byte"]
