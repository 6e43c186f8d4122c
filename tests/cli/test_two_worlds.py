"""One state, tree and image, whatever differs between the places where they are made."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from replay.engines.clock import library
from tests.cli.conftest import Shop
from tests.environment.making import requirements, wheel

pytestmark = pytest.mark.docker

STRANGER = 4711


@dataclass
class Elsewhere(Shop):
    """The same project with another user (where the tests may become one), umask, time zone, locale and day."""

    socket: Path = Path()

    def replay_in(self, *words: str) -> str:
        """Run a command and return what it says."""
        # The interpreter of the tests may lie in a folder of root's: the stranger may read past modes.
        user = ["setpriv", f"--reuid={STRANGER}", f"--regid={self.socket.stat().st_gid}", "--clear-groups"]
        user += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DOCKER_HOST": os.environ["DOCKER_HOST"],
            "HOME": str(self.root.parent),
            "TZ": "Pacific/Auckland",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "7",
        }
        day = [f"LD_PRELOAD={library()}", "FAKETIME=-40d", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        done = subprocess.run(
            [*(user if os.geteuid() == 0 else []), "env", *day, sys.executable, "-m", "replay", *words],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            umask=0o077,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def elsewhere(shop: Shop, docker_host: str) -> Iterator[Elsewhere]:
    """A copy of the shop's project in another folder, its files written in another order, with an empty store."""
    top = Path(tempfile.mkdtemp(prefix="other world ", dir="/var/tmp"))
    made = Elsewhere(top / "deeper" / "Projekt ü", socket=Path(docker_host.removeprefix("unix://")))
    yield made
    shutil.rmtree(top, ignore_errors=True)


def moved(shop: Shop, there: Elsewhere) -> None:
    there.root.mkdir(parents=True)
    files = [path for path in shop.root.rglob("*") if path.is_file() and ".replay" not in path.parts]
    for path in sorted(files, reverse=True):
        target = there.root / path.relative_to(shop.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if os.geteuid() == 0:
        for path in (there.root.parents[1], *there.root.parents[1].rglob("*")):
            os.chown(path, STRANGER, STRANGER)


def trees(root: Path) -> dict[str, str]:
    """The trees of a store by name, each as a digest of all that a mount shows: paths, modes, times, content."""
    found = {}
    for tree in (root / ".replay/cache/trees").iterdir():
        told = hashlib.sha256()
        for path in sorted(tree.rglob("*")):
            status = path.lstat()
            content = (
                os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            )
            told.update(repr((str(path.relative_to(tree)), status.st_mode, status.st_mtime_ns, content)).encode())
        found[tree.name] = told.hexdigest()
    return found


def test_state_tree_and_image_are_one_wherever_and_whenever_they_are_made(
    shop: Shop, elsewhere: Elsewhere, base_image: Callable[[str], str], client: docker.DockerClient
) -> None:
    folder = shop.root / "wheels"
    wheel(folder, "alpha", files={"alpha/__init__.py": "A = {'a', 'b', 'c'}\n", "alpha/sub/mod.py": "B = 1\n"})
    wheel(folder, "beta", files={"beta.py": "import alpha\n"}, requires=("alpha",))
    requirements(shop.root, "--no-index", "--find-links wheels", "beta")
    shop.declare(base=base_image("bookworm"), runtime='requirements = "requirements.txt"')
    shop.job(source=f"import beta\n{(shop.root / 'score.py').read_text()}")
    first = shop.bind("warm-up")["record"]
    built = shop.replay("build", "--json").json
    moved(shop, elsewhere)
    elsewhere.replay_in("run", "--tag", "a")
    told = elsewhere.replay_in("show", "a")
    assert first["state"] in told
    assert trees(elsewhere.root) == trees(shop.root)
    assert built["image"] in elsewhere.replay_in("build", "a")
    one, two = shop.root / "one.tar", elsewhere.root / "two.tar"
    shop.replay("export", "-o", str(one))
    elsewhere.replay_in("export", "a", "-o", str(two))
    assert one.read_bytes() == two.read_bytes()
    again = shop.bind("warm")["record"]
    assert again["state"] == first["state"]
    client.images.remove(built["name"], force=True)
