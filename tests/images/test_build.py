"""A base is the same image wherever and whenever it is built from the same packages."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from images import build
from images.layers import write_layer
from images.recipe import Recipe
from replay.engines.names import Names

SUITES = ["bookworm", pytest.param("trixie", marks=pytest.mark.slow), pytest.param("bullseye", marks=pytest.mark.slow)]


@pytest.fixture
def other_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second, empty cache: what is built there is built anew."""
    monkeypatch.setenv("REPLAY_IMAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.docker
@pytest.mark.parametrize("name", SUITES)
def test_two_builds_give_the_same_bytes(
    name: str, base_image: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    base_image(name)
    first = build.build(name)
    request.getfixturevalue("other_cache")
    second = build.build(name)
    assert first != second
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.docker
@pytest.mark.parametrize("name", ["bookworm", "bookworm-notz"])
def test_the_image_in_the_engine_is_the_one_we_computed(
    name: str, base_image: Callable[[str], str], docker_host: str
) -> None:
    api = docker.APIClient(docker_host, version="auto")
    image = Names(lambda: api).find(api, base_image(name))
    assert image.id == build.image_id(build.build(name))
    assert image.told["Created"] == "2025-01-01T00:00:00Z"


IN_CONTAINER = """
import json, locale, sys, time, zoneinfo
locale.setlocale(locale.LC_ALL, "en_US.UTF-8")
try:
    zone = zoneinfo.ZoneInfo("Europe/Berlin").key
except zoneinfo.ZoneInfoNotFoundError:
    zone = None
cached = json.__cached__ and open(json.__cached__, "rb").read(8)[4]
print(json.dumps({"python": sys.version_info[:2], "zone": zone, "berlin": time.localtime(0).tm_hour, "cached": cached}))
"""


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "python", "zone"),
    [
        ("bookworm", [3, 11], "Europe/Berlin"),
        ("bookworm-notz", [3, 11], None),
        pytest.param("trixie", [3, 13], "Europe/Berlin", marks=pytest.mark.slow),
        pytest.param("bullseye", [3, 9], "Europe/Berlin", marks=pytest.mark.slow),
    ],
)
def test_a_base_has_its_python_its_locale_and_its_time_zones(
    name: str, python: list[int], zone: str | None, base_image: Callable[[str], str], docker_host: str
) -> None:
    output = docker.DockerClient(base_url=docker_host).containers.run(
        base_image(name),
        ["python", "-c", IN_CONTAINER],
        network_mode="none",
        remove=True,
        read_only=True,
        user="1000:1000",
        environment={"TZ": "Europe/Berlin"},
    )
    unchecked = 1  # PEP 552: the flags of bytecode that is not checked against its source
    expected = {"python": python, "zone": zone, "berlin": 1 if zone else 0, "cached": unchecked}
    assert json.loads(output) == expected


@pytest.mark.docker
def test_a_purged_package_is_gone_from_the_list_of_packages_as_well(
    base_image: Callable[[str], str], docker_host: str
) -> None:
    def packages(name: str) -> set[str]:
        client = docker.DockerClient(base_url=docker_host)
        command = ["dpkg-query", "--show", "--showformat", "${Package}\n"]
        listed = client.containers.run(base_image(name), command, network_mode="none", remove=True)
        return set(listed.decode().split())

    assert packages("bookworm") - packages("bookworm-notz") == {"tzdata"}


def test_an_unknown_base_is_an_error_that_names_the_others() -> None:
    done = subprocess.run([sys.executable, build.__file__, "buster"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no base called 'buster'" in done.stderr
    assert "bookworm, bookworm-notz, bullseye, trixie" in done.stderr


def test_a_layer_is_sorted_dated_and_free_of_what_differs_between_machines(tmp_path: Path) -> None:
    source = tmp_path / "tree.tar"
    with tarfile.open(source, "w") as tar:
        for path in [
            "./",
            "./zebra",
            "./ape",
            "./etc/",
            "./etc/machine-id",
            "./tmp/",
            "./tmp/left",
            "./doc/",
            "./doc/LICENCE",
            "./doc/big",
        ]:
            member = tarfile.TarInfo(path.rstrip("/") or ".")
            member.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            member.mtime, member.uname = 1_700_000_000, "somebody"
            tar.addfile(member, io.BytesIO())
    recipe = Recipe("small", exclude=("/doc",), keep=("/doc/LICENCE",))
    with tarfile.open(source) as tree:
        write_layer(tree, tmp_path / "layer.tar", recipe, 5)
    with tarfile.open(tmp_path / "layer.tar") as layer:
        members = layer.getmembers()
    assert [member.name for member in members] == [".", "ape", "doc", "doc/LICENCE", "etc", "tmp", "zebra"]
    assert {(member.mtime, member.uname) for member in members} == {(5, "")}


def test_a_hard_link_to_what_was_left_out_keeps_its_content(tmp_path: Path) -> None:
    source = tmp_path / "tree.tar"
    with tarfile.open(source, "w") as tar:
        first, second = tarfile.TarInfo("./doc/text"), tarfile.TarInfo("./text")
        first.size = 5
        second.type, second.linkname = tarfile.LNKTYPE, "./doc/text"
        tar.addfile(first, io.BytesIO(b"words"))
        tar.addfile(second)
    with tarfile.open(source) as tree:
        write_layer(tree, tmp_path / "layer.tar", Recipe("small", exclude=("/doc",)), 5)
    with tarfile.open(tmp_path / "layer.tar") as layer:
        content = layer.extractfile("text")
        assert layer.getnames() == ["text"]
        assert content
        assert content.read() == b"words"
