"""Environments that reach the engine as images: swapped wheels alone are sent, and digests are proved."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from replay.engines.base import RunSpec
from replay.engines.docker import DockerEngine
from replay.errors import EngineError
from tests.cli.conftest import Shop, own_images
from tests.environment.making import requirements

pytestmark = pytest.mark.docker

IMAGE = {"REPLAY_DELIVERY": "image"}


@contextmanager
def over_tcp(docker_host: str) -> Iterator[str]:
    """The same engine at a TCP address, as one on another machine is reached."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(docker_host.removeprefix("unix://"))
            for pair in ((client, engine), (engine, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_an_image_gives_what_a_mounted_tree_gives_and_is_proved_at_every_rerun(
    bound: Shop, client: docker.DockerClient
) -> None:
    mounted = bound.replay("show", "a", "--json").json["run"]
    assert mounted["image"] is None
    made = bound.bind("b", **IMAGE)["record"]
    assert made["outputs"] == mounted["outputs"]
    assert [layer["title"].split("+")[0] for layer in made["image"]["layers"]] == [
        "alpha 1.0",
        "beta 1.0",
        "environment",
    ]
    assert made["image"]["id"] == bound.replay("build", "b", "--json").json["environment"]
    again = bound.replay("rerun", "b", "--json", **IMAGE)
    assert again.code == 0
    assert own_images(bound, client)


def test_a_swapped_wheel_goes_on_top_of_what_the_engine_has(bound: Shop, client: docker.DockerClient) -> None:
    first = bound.bind("b", **IMAGE)["record"]
    requirements(bound.root, "--no-index", "--find-links wheels", "alpha==2.0", "beta")
    second = bound.bind("c", **IMAGE)["record"]
    assert second["outputs"] != first["outputs"]
    layers = [client.api.inspect_image(image)["RootFS"]["Layers"] for image in own_images(bound, client)]
    below, above = sorted(layers, key=len)
    assert above[: len(below)] == below
    assert len(above) == len(below) + 2
    assert bound.replay("rerun", "b", **IMAGE).code == 0
    assert bound.replay("rerun", "c", **IMAGE).code == 0


def test_an_engine_elsewhere_gets_everything_by_copying(bound: Shop, docker_host: str) -> None:
    shutil.rmtree(bound.root / ".replay/cache/unpacked")
    shutil.rmtree(bound.root / ".replay/cache/trees")
    with over_tcp(docker_host) as elsewhere:
        ended = bound.replay("rerun", "a", "--json", DOCKER_HOST=elsewhere)
        assert (ended.code, ended.json["byte_for_byte"]) == (0, True), ended.err
        bound.job(source="import os; open('data/customers.csv', 'w')\n")
        tampering = bound.replay("run", DOCKER_HOST=elsewhere)
        assert "PermissionError" in tampering.err
        bound.job(source="raise SystemExit(3)\n")
        assert "exit code 3" in bound.replay("run", DOCKER_HOST=elsewhere).err
    bound.sound()


def test_a_job_with_services_is_told_that_an_engine_elsewhere_cannot_run_it(
    base_image: Callable[[str], str], docker_host: str, tmp_path: Path
) -> None:
    with over_tcp(docker_host) as elsewhere:
        engine = DockerEngine(elsewhere)
        asked = RunSpec(engine.base(base_image("bookworm"), None), ["true"], tmp_path, services=tmp_path)
        with pytest.raises(EngineError, match=r"asks \[services\] cannot run on the engine at tcp://") as caught:
            engine.run(asked)
    assert "sockets of this machine" in caught.value.cause
    assert "--engine local" in caught.value.do


def test_a_changed_file_in_the_cache_is_found_before_anything_is_loaded(
    bound: Shop, client: docker.DockerClient
) -> None:
    bound.bind("b", **IMAGE)
    for image in own_images(bound, client):
        client.images.remove(image, force=True)
    (victim,) = (bound.root / ".replay/cache/unpacked").rglob("alpha.py")
    victim.chmod(0o644)
    victim.write_text("A = 9\n")
    victim.chmod(0o444)
    # With its layers measured before, and with all that was measured forgotten: the record tells.
    for forgotten in ((), ("layers", "environments", "delivered")):
        for kind in forgotten:
            shutil.rmtree(bound.root / ".replay/cache" / kind)
        ended = bound.replay("rerun", "b", **IMAGE)
        assert ended.code == 2
        assert "layer of alpha 1.0 is not the one recorded: opt/replay/env/lib" in ended.explains()[0]
        assert "alpha.py" in ended.explains()[0]
    shutil.rmtree(bound.root / ".replay/cache")
    assert bound.replay("rerun", "b", **IMAGE).code == 0


def test_another_word_for_the_delivery_is_an_error(bound: Shop) -> None:
    ended = bound.replay("rerun", "a", REPLAY_DELIVERY="pigeon")
    assert ended.code == 2
    assert "REPLAY_DELIVERY=pigeon" in ended.explains()[0]
