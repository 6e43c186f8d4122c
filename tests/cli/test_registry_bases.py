"""A base by digest or tag from a real registry: fetched once, verified, and what happens where that fails."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from images import build
from replay.engines.names import Names
from tests.cli.conftest import Shop
from tests.support.images import OCI, Shelf
from tests.support.private_registry import PrivateRegistry, logged_in, private_registry

pytestmark = pytest.mark.docker


@pytest.fixture
def shelf(registry: PrivateRegistry, tmp_path: Path) -> Shelf:
    """A repository of this test's own."""
    return Shelf(registry.host, f"bases/{tmp_path.name.replace('_', '-').lower()}")


@pytest.fixture
def base(base_image: Callable[[str], str]) -> Path:
    """The archive of a base that the engine has, as `docker save` writes it."""
    base_image("bookworm")
    return build.build("bookworm")


@pytest.fixture(autouse=True)
def _tidy(client: docker.DockerClient, tmp_path: Path) -> Iterator[None]:
    """Remove the images that a test brought into the engine."""
    yield
    for image in brought(client, tmp_path):
        client.images.remove(image, force=True)


def lose(client: docker.DockerClient, image: str) -> None:
    """Remove an image from the engine, whatever the engine calls it."""
    client.images.remove(Names(lambda: client.api).find(client.api, image).here, force=True)


def brought(client: docker.DockerClient, tmp_path: Path) -> list[str]:
    """The images in the engine that bear this test's folder in their variable OWN: other tests use the engine, too."""
    found = []
    for image in client.images.list():
        with contextlib.suppress(docker.errors.NotFound):  # another test's, removed meanwhile
            told = client.api.inspect_image(image.id)["Config"]["Env"] or []
            found += [image.id] if any(line.startswith(f"OWN={tmp_path}") for line in told) else []
    return found


def image_of(shop: Shop, ref: str) -> str:
    named: str = shop.replay("show", ref, "--layer", "runtime").json["base"]["image"]
    return named


def test_a_base_is_fetched_by_its_digest_once_and_needs_no_registry_afterwards(
    shop: Shop, shelf: Shelf, base: Path, tmp_path: Path, client: docker.DockerClient
) -> None:
    with private_registry() as own:
        here = Shelf(own.host, shelf.name)
        name = f"{own.host}/{here.name}@{here.image(base, 'one', str(tmp_path))}"
        shop.declare(base=name)
        run = shop.bind("a")["record"]
        told = here.told(name.partition("@")[2])["config"]["digest"]
        assert image_of(shop, "a") == told  # the id that any engine gives it
        assert run["provenance"]["base"] == name
    # The registry is gone. Another store on this machine knows the base by the engine alone.
    assert shop.bind("b")["record"]["state"] == run["state"]
    shutil.rmtree(shop.root / ".replay/cache")
    assert shop.bind("c", "--store", str(tmp_path / "other"))["record"]["state"] == run["state"]
    assert shop.replay("rerun", "a").code == 0
    assert shop.replay("build", "a").code == 0
    lose(client, told)
    lost = shop.replay("rerun", "a")
    assert lost.code == 2
    assert f"the image {name} (sha256:" in lost.explains()[0]
    assert f"docker pull {name}" in lost.explains()[2]
    assert "did not answer" in shop.replay("run").explains()[0]


def test_a_base_that_was_kept_comes_back_without_its_registry(
    shop: Shop, shelf: Shelf, base: Path, tmp_path: Path, client: docker.DockerClient
) -> None:
    with private_registry() as own:
        here = Shelf(own.host, shelf.name)
        shop.declare(base=f"{own.host}/{here.name}@{here.image(base, 'one', str(tmp_path))}")
        state = shop.bind("a", "--keep-base")["record"]["state"]
    for cached in (True, False):
        if not cached:
            shutil.rmtree(shop.root / ".replay/cache")
        lose(client, image_of(shop, "a"))
        assert shop.bind("b")["record"]["state"] == state
    lose(client, image_of(shop, "a"))
    assert shop.replay("rerun", "a", "--json").json["byte_for_byte"]
    shop.sound()


def test_a_tag_is_pinned_in_the_state_and_one_that_moved_is_a_change_and_a_finding(
    shop: Shop, shelf: Shelf, base: Path, tmp_path: Path
) -> None:
    with private_registry() as own:
        here = Shelf(own.host, shelf.name)
        name = f"{own.host}/{here.name}:prod"
        shop.declare(base=name)
        digests = []
        for tag in "ab":
            digests.append(here.image(base, "prod", f"{tmp_path}-{tag}"))
            record = shop.bind(tag)["record"]
            assert record["provenance"]["base"] == f"{name}@{digests[-1]}"
        assert f"the tag of the base {name} was moved" in "".join(record["findings"])
        (change,) = shop.replay("diff", "a", "b", "--json").json["changes"]
        assert change["name"] == "runtime/base"
        assert change["before"].startswith(f"{name}@{digests[0]}")
        assert shop.replay("rerun", "a").code == 0
        assert shop.bind("c")["record"]["findings"] == []
    record = shop.bind("offline")["record"]
    assert record["provenance"]["base"] == f"{name}@{digests[1]}"
    assert "what it was when it was last bound here" in "".join(record["findings"])
    assert "did not answer" in "".join(record["findings"])


def test_of_several_architectures_the_engines_own_is_taken(
    shop: Shop, shelf: Shelf, base: Path, tmp_path: Path
) -> None:
    own = shelf.image(base, "one", str(tmp_path))
    foreign = shelf.image(base, "two", str(tmp_path), architecture="riscv64")
    index = shelf.index("both", riscv64=foreign, amd64=own)
    shop.declare(base=f"{shelf.host}/{shelf.name}@{index}")
    shop.bind("a")
    assert image_of(shop, "a") == shelf.told(own)["config"]["digest"]
    for digest in (foreign, shelf.index("none", riscv64=foreign)):
        shop.declare(base=f"{shelf.host}/{shelf.name}@{digest}")
        what, cause, _ = shop.replay("run").explains()
        assert "is no image for linux/amd64" in what
        assert "linux/riscv64" in cause


def unsound(shop: Shop, client: docker.DockerClient, **environ: str) -> list[str]:
    """The three lines of a run that fails for its base, and leaves nothing in engine or store."""
    ended = shop.replay("run", **environ)
    assert ended.code == 2
    assert not brought(client, shop.root.parent)
    shop.sound()
    return ended.explains()


def test_what_a_registry_gives_is_believed_by_its_digest_alone(
    shop: Shop, shelf: Shelf, registry: PrivateRegistry, base: Path, tmp_path: Path, client: docker.DockerClient
) -> None:
    digest = shelf.image(base, "one", str(tmp_path))
    shop.declare(base=f"{shelf.host}/{shelf.name}@{digest}")
    layer = registry.blob(shelf.told(digest)["layers"][0]["digest"])
    sound = layer.read_bytes()
    try:
        for damaged in (sound[: len(sound) // 2], bytes([sound[0] ^ 1]) + sound[1:]):
            layer.write_bytes(damaged)
            assert "gave other bytes than sha256:" in unsound(shop, client)[0]
    finally:
        layer.write_bytes(sound)
    registry.blob(digest).write_bytes(registry.blob(digest).read_bytes() + b" ")
    assert f"gave other bytes than {digest}" in unsound(shop, client)[0]
    shop.declare(base=f"{shelf.host}/{shelf.name}:gone")
    assert "does not have it" in unsound(shop, client)[0]


def test_a_layer_that_is_not_what_the_config_says_is_refused(
    shop: Shop, shelf: Shelf, base: Path, tmp_path: Path, client: docker.DockerClient
) -> None:
    manifest = shelf.told(shelf.image(base, "one", str(tmp_path)))
    kind = f"{OCI}.layer.v1.tar"
    packed = gzip.compress(b"another layer")
    for data in (b"another layer", packed, packed[:-9], b"\x28\xb5\x2f\xfd and more"):
        manifest["layers"] = [shelf.blob(data, kind)]
        digest = shelf.manifest({k: manifest[k] for k in ("config", "layers")}, "other", f"{OCI}.manifest.v1+json")
        shop.declare(base=f"{shelf.host}/{shelf.name}@{digest}")
        what = unsound(shop, client)[0]
        assert ("zstd" if data[0] == 0x28 else "a layer, unpacked, is not sha256:") in what


def test_what_is_no_image_is_no_base(shop: Shop, shelf: Shelf, client: docker.DockerClient) -> None:
    shop.bind("mine", "--engine", "local")
    assert shop.replay("push", "mine", f"{shelf.host}/{shelf.name}:state").code == 0
    shop.declare(base=f"{shelf.host}/{shelf.name}:state")
    assert "is no image that can be taken" in unsound(shop, client)[0]
    huge = shelf.blob(b"[" * 5_000_000, f"{OCI}.config.v1+json")
    shelf.manifest({"config": huge, "layers": []}, "huge", f"{OCI}.manifest.v1+json")
    shop.declare(base=f"{shelf.host}/{shelf.name}:huge")
    assert "its config has 5000000 bytes" in unsound(shop, client)[0]
    shop.declare(base=f"{shelf.host}/Not-A-Name:1")
    assert "is no REGISTRY/NAME:TAG" in unsound(shop, client)[0]


def test_credentials_come_from_docker_and_are_kept_nowhere(
    shop: Shop, base: Path, tmp_path: Path, client: docker.DockerClient
) -> None:
    with private_registry(guarded=True) as guarded:
        shop.declare(base=f"{guarded.host}/team/python:1")
        for environ in ({"DOCKER_CONFIG": str(tmp_path)}, logged_in(tmp_path / "w", guarded.host, password="hunter2")):
            what, _, do = unsound(shop, client, **environ)
            assert "does not let you" in what
            assert f"docker login {guarded.host}" in do
        right = logged_in(tmp_path / "right", guarded.host)
        assert "does not have it" in unsound(shop, client, **right)[0]


def test_the_local_engine_fetches_nothing_and_says_that_it_holds_no_base(shop: Shop) -> None:
    shop.declare(base="127.0.0.1:9/nobody/there:1")
    record = shop.bind("a", "--engine", "local")["record"]
    assert "the local engine holds no image" in json.dumps(record["not_held"])
