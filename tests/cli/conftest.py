"""A project on disk and the real command line over it, as a user has them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from replay.store.folder import FolderStore
from tests.environment.making import requirements, wheel
from tests.support.private_registry import PrivateRegistry, RegistryMissing, private_registry

JOB = """
import csv, os, sys
rows = list(csv.DictReader(open("data/customers.csv")))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        score = round(int(row["tenure"]) * FACTOR + OFFSET + int(os.environ.get("SHIFT", "0")), 6)
        out.writerow([row["id"], score, int(score > 5)])
"""

TOML = """
[job]
name = "churn"
command = ["python", "score.py"]
timeout = {timeout}

[runtime]
{base}
env = ["SHIFT", "LOG_LEVEL"]
{runtime}

[pipeline]
paths = ["score.py"]

[data.customers]
path = "data/customers.csv"
key = "id"

[outputs.scores]
path = "out/scores.csv"
key = "id"
decision = "leaves"
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def explains(self) -> list[str]:
        """The three lines of an error: what failed, the likely cause, what to do."""
        lines = [line for line in self.err.splitlines() if not line.startswith("  ") or ": " in line]
        start = next(i for i, line in enumerate(lines) if line.startswith("replay: "))
        assert lines[start + 1].startswith("  likely cause: "), self.err
        assert lines[start + 2].startswith("  what to do:   "), self.err
        assert "Traceback" not in self.err
        return lines[start : start + 3]


@dataclass
class Shop:
    """A project folder and the command line."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def declare(self, *, timeout: int = 60, base: str = "", runtime: str = "") -> None:
        named = f'base = "{base}"' if base else ""
        (self.root / "replay.toml").write_text(TOML.format(timeout=timeout, base=named, runtime=runtime))

    def job(self, factor: float = 0.1, offset: float = 0.0, *, source: str = JOB) -> None:
        (self.root / "score.py").write_text(f"FACTOR, OFFSET = {factor}, {offset}\n{source}")

    def customers(self, number: int = 100, first: int = 1) -> None:
        (self.root / "data").mkdir(exist_ok=True)
        rows = "".join(f"{first + i:05d},{(i * 7) % 97}\n" for i in range(number))
        (self.root / "data/customers.csv").write_text(f"id,tenure\n{rows}")

    def replay(self, *words: str, **environ: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "replay", *words],
            cwd=self.root,
            env=self._environ(environ),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, to be interrupted."""
        return subprocess.Popen(
            [sys.executable, "-m", "replay", *words],
            cwd=self.root,
            env=self._environ(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def bind(self, tag: str, *words: str, **environ: str) -> dict[str, Any]:
        ended = self.replay("run", "--json", "--tag", tag, *words, **environ)
        assert ended.code == 0, ended.err
        document: dict[str, Any] = ended.json
        return document

    @property
    def store(self) -> FolderStore:
        return FolderStore.open(self.root / ".replay")

    def sound(self) -> None:
        """The store is sound and no work in progress is left."""
        ended = self.replay("fsck")
        assert ended.code == 0, ended.out
        left = [path.name for path in (self.root / ".replay/tmp").iterdir()]
        assert not left, left

    def _environ(self, environ: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"SHIFT", "LOG_LEVEL"}}
        return kept | {"NO_COLOR": "1"} | self.environ | environ


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    root = tmp_path / "churn"
    root.mkdir()
    made = Shop(root)
    made.declare()
    made.job()
    made.customers()
    return made


@pytest.fixture(scope="session")
def registry() -> Iterator[PrivateRegistry]:
    try:
        with private_registry() as started:
            yield started
    except RegistryMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def stopped() -> Callable[[subprocess.Popen[str], int, Callable[[], bool]], Ended]:
    """Send a signal to a command once something is so, and return how it ended."""

    def stop(process: subprocess.Popen[str], number: int, so: Callable[[], bool]) -> Ended:
        deadline = time.monotonic() + 60
        while not so():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    return stop


PACKAGED = """
import alpha, csv
rows = list(csv.DictReader(open("data/customers.csv")))
with open("out/scores.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "score", "leaves"])
    for row in rows:
        out.writerow([row["id"], int(row["tenure"]) * alpha.A * FACTOR, 0])
"""


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=docker_host)
    yield client
    client.close()


@pytest.fixture
def bound(shop: Shop, base_image: Callable[[str], str], client: docker.DockerClient) -> Iterator[Shop]:
    """A job on a base with two packages, bound as `a`; its images are removed from the engine afterwards.

    The same packages would be the same image in every test: one of them is of a version of this test's own.
    """
    folder, own = shop.root / "wheels", f"1.0+{secrets.token_hex(4)}"
    wheel(folder, "alpha", files={"alpha.py": "A = 2\n"})
    wheel(folder, "alpha", "2.0", files={"alpha.py": "A = 3\n"})
    wheel(folder, "beta", own, files={"beta.py": "B = 1\n"})
    requirements(shop.root, "--no-index", "--find-links wheels", "alpha==1.0", "beta")
    shop.declare(base=base_image("bookworm"), runtime='requirements = "requirements.txt"')
    shop.job(factor=2, source=PACKAGED)
    shop.bind("a")
    yield shop
    for image in own_images(shop, client):
        client.images.remove(image, force=True)


def own_images(shop: Shop, client: docker.DockerClient) -> list[str]:
    """The images in the engine that hold the package of this shop's own."""
    (beta,) = (shop.root / "wheels").glob("beta-*.whl")
    title = f"beta {beta.name.split('-')[1]}"
    found = []
    for image in client.images.list():
        if any(name.startswith("replay") for name in image.tags):
            with contextlib.suppress(docker.errors.NotFound):  # another test's, removed meanwhile
                found += [image.id] if any(title in str(one["CreatedBy"]) for one in image.history()) else []
    return found
