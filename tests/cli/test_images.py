"""`replay build` and `replay export`: a state as an image, in a real engine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from images import build
from replay.schemas import Build, Export
from tests.cli.conftest import PACKAGED, Shop

pytestmark = pytest.mark.docker


def scores(client: docker.DockerClient, image: str) -> bytes:
    """What the job writes when somebody starts the image, without a network and without Replay."""
    container = client.containers.create(image, network_mode="none")
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs()
        chunks, _ = container.get_archive("/work/out/scores.csv")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            content = tar.extractfile("scores.csv")
            assert content
            return content.read()
    finally:
        container.remove(v=True, force=True)


def recorded(shop: Shop) -> bytes:
    run = shop.replay("show", "a", "--json").json["run"]
    return shop.store.get(run["outputs"]["scores"]["files"]["out/scores.csv"]["blob"])


def test_an_image_is_built_once_loaded_with_what_lacks_and_gives_the_recorded_outputs(
    bound: Shop, client: docker.DockerClient
) -> None:
    first = bound.replay("build", "a", "--json").json
    assert [title.split("+")[0] for title in first["loaded"]] == [
        "alpha 1.0",
        "beta 1.0",
        "environment",
        "data",
        "code",
    ]
    Build.model_validate(first)
    again = bound.replay("build", "a", "--json").json
    assert (again["image"], again["loaded"]) == (first["image"], [])
    assert scores(client, first["name"]) == recorded(bound)

    bound.job(factor=5, source=PACKAGED)
    bound.bind("b")
    other = bound.replay("build", "b", "--json").json
    assert other["loaded"] == ["code"]
    assert other["environment"] == first["environment"]
    assert scores(client, other["name"]) != recorded(bound)


def test_an_export_is_taken_by_docker_load_and_its_bytes_are_the_same_twice(
    bound: Shop, client: docker.DockerClient, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    made = bound.replay("export", "a", "-o", str(one), "--json").json
    Export.model_validate(made)
    bound.replay("export", "a", "-o", str(two))
    assert one.read_bytes() == two.read_bytes()
    with one.open("rb") as file:
        (image,) = client.images.load(file)
    built = bound.replay("build", "a", "--json").json
    assert (built["image"], built["name"]) == (made["image"], image.tags[0])
    assert built["loaded"] == []
    assert scores(client, image.id) == recorded(bound)


def test_an_export_without_data_holds_none_and_runs_over_those_that_are_mounted(
    bound: Shop, client: docker.DockerClient, tmp_path: Path
) -> None:
    target = tmp_path / "out.tar"
    made = bound.replay("export", "a", "-o", str(target), "--without-data", "--json").json
    assert (bound.root / "data/customers.csv").read_bytes() not in target.read_bytes()
    with target.open("rb") as file:
        (image,) = client.images.load(file)
    assert made["image"] != bound.replay("build", "a", "--json").json["image"]
    data = {str(bound.root / "data"): {"bind": "/work/data", "mode": "ro"}}
    said = client.containers.run(
        image.id, ["sh", "-c", "python score.py && cat out/scores.csv"], network_mode="none", volumes=data, remove=True
    )
    assert said == recorded(bound)


def test_every_format_holds_what_its_documents_name_digest_by_digest(bound: Shop, tmp_path: Path) -> None:
    for form in ("oci-archive", "oci", "docker-archive"):
        target = tmp_path / form
        made = bound.replay("export", "a", "-o", str(target), "--format", form, "--json").json
        if form != "oci":
            with tarfile.open(target) as tar:
                tar.extractall(tmp_path / f"{form}-unpacked", filter="data")
            target = tmp_path / f"{form}-unpacked"
        for blob in (target / "blobs/sha256").iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        if form != "oci":
            (listed,) = json.loads((target / "manifest.json").read_bytes())
            assert listed["Config"] == f"blobs/sha256/{made['image'].removeprefix('sha256:')}"
            assert all((target / layer).is_file() for layer in listed["Layers"])
        if form != "docker-archive":
            (entry,) = json.loads((target / "index.json").read_bytes())["manifests"]
            manifest = json.loads((target / "blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes())
            assert manifest["config"]["digest"] == made["image"]
            for part in (manifest["config"], *manifest["layers"]):
                blob = target / "blobs/sha256" / part["digest"].removeprefix("sha256:")
                assert blob.stat().st_size == part["size"]


def test_skopeo_reads_the_one_archive_either_way(bound: Shop, tmp_path: Path) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    bound.replay("export", "a", "-o", str(tmp_path / "out.tar"))
    for transport in ("oci-archive", "docker-archive"):
        command = ["skopeo", "inspect", "--config", f"{transport}:{tmp_path / 'out.tar'}"]
        said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert said["config"]["Cmd"] == ["/opt/replay/env/bin/python", "score.py"]


def test_podman_loads_and_runs_an_export_under_the_same_id(bound: Shop, tmp_path: Path) -> None:
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    made = bound.replay("export", "a", "-o", str(tmp_path / "out.tar"), "--json").json
    # Podman takes no run root of more than 50 characters.
    places = [f"--{name}={tempfile.mkdtemp(prefix='pod-', dir='/tmp')}" for name in ("root", "runroot")]

    def podman(*words: str) -> str:
        command = ["podman", *places, "--storage-driver=vfs", *words]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    try:
        podman("load", "-i", str(tmp_path / "out.tar"))
        assert podman("images", "--no-trunc", "--quiet").strip() == made["image"]
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        podman("run", "--name=job", "--network=none", *limits, made["image"])
        podman("cp", "job:/work/out/scores.csv", str(tmp_path / "scores.csv"))
        assert (tmp_path / "scores.csv").read_bytes() == recorded(bound)
    finally:
        podman("rm", "--all", "--force")
        podman("rmi", "--all", "--force")
        for place in places:
            shutil.rmtree(place.partition("=")[2], ignore_errors=True)


def test_what_is_there_already_is_not_written_over(bound: Shop, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for form in ("oci", "oci-archive"):
        ended = bound.replay("export", "a", "-o", str(tmp_path / "out"), "--format", form)
        assert ended.code == 2
        assert "is there already" in ended.explains()[0]
    assert not list((tmp_path / "out").iterdir())


def test_a_state_of_a_host_has_no_image(shop: Shop) -> None:
    shop.bind("a")
    ended = shop.replay("build", "a")
    assert ended.code == 2
    assert "bound on a host and has no image" in ended.explains()[0]


def own_base(shop: Shop, base: str, folder: Path, docker_host: str) -> Path:
    """An archive of a base that only this test has: the one in the engine with another variable in its config."""
    client = docker.APIClient(docker_host)
    with tarfile.open(fileobj=io.BytesIO(b"".join(client.get_image(base)))) as saved:
        saved.extractall(folder / "saved", filter="data")
    (listed,) = json.loads((folder / "saved/manifest.json").read_bytes())
    config = json.loads((folder / "saved" / listed["Config"]).read_bytes())
    config["config"]["Env"].append(f"OWN={shop.root}")
    text = json.dumps(config).encode()
    listed |= {"Config": f"{hashlib.sha256(text).hexdigest()}.json", "RepoTags": None}
    (folder / "saved" / listed["Config"]).write_bytes(text)
    (folder / "saved/manifest.json").write_text(json.dumps([listed]))
    with tarfile.open(shop.root / "base.tar", "w") as archive:
        for name in ("manifest.json", listed["Config"], *listed["Layers"]):
            archive.add(folder / "saved" / name, name)
    return shop.root / "base.tar"


def test_a_base_from_an_archive_is_kept_and_comes_back_when_the_engine_has_lost_it(
    bound: Shop, base_image: Callable[[str], str], client: docker.DockerClient, tmp_path: Path, docker_host: str
) -> None:
    archive = own_base(bound, base_image("bookworm"), tmp_path, docker_host)
    bound.declare(base="base.tar", runtime='requirements = "requirements.txt"')
    bound.bind("own")
    base = bound.replay("show", "own", "--layer", "runtime").json["base"]
    assert bound.replay("show", "own", "--json").json["run"]["provenance"]["base"] == "base.tar"
    built = bound.replay("build", "own", "--json").json
    names = (built["name"], f"replay-kept:{base['image'][7:19]}")
    for lost in names:
        client.images.remove(lost, force=True)
    archive.unlink()
    shutil.rmtree(bound.root / ".replay/cache")
    again = bound.replay("rerun", "own", "--json")
    assert (again.code, again.json["byte_for_byte"]) == (0, True), again.err
    assert bound.replay("build", "own", "--json").json["image"] == built["image"]
    for name in names:
        client.images.remove(name, force=True)


def test_a_base_of_the_engine_is_kept_on_request(bound: Shop) -> None:
    base = bound.replay("show", "a", "--layer", "runtime").json["base"]["image"]
    assert not bound.store.has(base)
    assert bound.replay("run", "--keep-base").code == 0
    assert bound.store.has(base)
    bound.sound()


def test_an_archive_that_holds_no_image_is_an_error(bound: Shop) -> None:
    bound.declare(base="base.tar", runtime='requirements = "requirements.txt"')
    for content, said in ((None, "cannot be read"), (b"nothing", "cannot be read")):
        if content is not None:
            (bound.root / "base.tar").write_bytes(content)
        ended = bound.replay("run")
        assert ended.code == 2
        assert said in ended.explains()[0]
    with tarfile.open(bound.root / "base.tar", "w") as archive:
        archive.add(bound.root / "score.py", "manifest.json")
    ended = bound.replay("run")
    assert "not that of one image" in ended.explains()[0]


def test_a_base_is_taken_by_its_recipe(shop: Shop, base_image: Callable[[str], str]) -> None:
    base_image("bookworm")
    wanted = build.image_id(build.build("bookworm"))
    shop.declare(base="images/bookworm")
    shop.job()
    shop.customers()
    shop.bind("a")
    base = shop.replay("show", "a", "--layer", "runtime").json["base"]
    assert base["image"] == wanted
    assert shop.replay("show", "a", "--json").json["run"]["provenance"]["base"] == "images/bookworm"
    assert shop.replay("rerun", "a").code == 0


def test_one_base_by_three_names_is_one_state(shop: Shop, base_image: Callable[[str], str]) -> None:
    names = (base_image("bookworm"), "images/bookworm", "base.tar")
    shutil.copyfile(build.build("bookworm"), shop.root / "base.tar")
    runs = []
    for tag, name in zip("abc", names, strict=True):
        shop.declare(base=name)
        runs.append(shop.bind(tag)["record"])
    assert len({run["state"] for run in runs}) == 1
    assert [run["provenance"]["base"] for run in runs] == list(names)
    same = shop.replay("diff", "a", "c")
    assert (same.code, same.out.splitlines()[0]) == (0, "states: no change")
    assert f"base   {names[1]}" in shop.replay("show", "b").out


def test_a_changed_base_is_told_by_the_names_it_was_asked_for_by(shop: Shop, base_image: Callable[[str], str]) -> None:
    for tag, name in (("a", "bookworm"), ("b", "bookworm-notz")):
        shop.declare(base=base_image(name))
        shop.bind(tag)
    (change,) = shop.replay("diff", "a", "b", "--json").json["changes"]
    assert change["name"] == "runtime/base"
    assert change["before"].startswith("replay-base:bookworm (")
    assert change["after"].startswith("replay-base:bookworm-notz (")


@pytest.mark.parametrize(("base", "told"), [("images/bokworm", "choose one of: bookworm"), ("Python:3", "lower case")])
def test_a_misspelt_base_is_said_to_be_one(shop: Shop, base: str, told: str) -> None:
    shop.declare(base=base)
    shop.job()
    shop.customers()
    ended = shop.replay("run")
    assert ended.code == 2
    assert told in "".join(ended.explains())
