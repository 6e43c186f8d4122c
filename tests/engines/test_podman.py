"""The same engine over Podman's socket: every promise of the contract, and the isolation, with Podman's differences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from images import build
from images.recipe import ToolMissing
from replay.engines.docker import DockerEngine
from replay.environment.base import Base
from replay.record import Limits
from tests.engines.contract import ContainerContract, Run, python
from tests.support.private_engine import EngineMissing
from tests.support.private_podman import private_podman


@pytest.fixture(scope="module")
def podman_host() -> Iterator[str]:
    try:
        with private_podman() as host:
            build.load("bookworm", host)
            yield host
    except (EngineMissing, ToolMissing) as error:
        pytest.skip(f"no Podman: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def engine(podman_host: str) -> DockerEngine:
    return DockerEngine(podman_host)


@pytest.fixture(scope="module")
def base(engine: DockerEngine) -> Base:
    return engine.base(build.reference("bookworm"), None)


class TestPodman(ContainerContract):
    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, podman_host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("DOCKER_HOST", podman_host)  # for the processes that a test starts
        self.client = docker.APIClient(podman_host, version="auto")
        yield
        assert self.client.containers(all=True) == []
        self.client.close()

    def of_the_base(self, base: Base) -> set[str]:
        """Podman adds two variables of its own, the same in every container."""
        own = {line.split("=")[0] for line in self.client.inspect_image(base.image)["Config"]["Env"]}
        return own | {"container", "TERM"}

    def test_it_says_that_it_is_podman_and_knows_the_image_by_the_same_id(
        self, engine: DockerEngine, base: Base
    ) -> None:
        assert engine.info().version.startswith("Podman ")
        assert base.image == build.image_id(build.build("bookworm"))

    def test_only_the_workspace_and_scratch_can_be_written(self, run: Run) -> None:
        """Podman lays an empty /var/tmp of its own over a read-only root."""
        job = """
            import os
            found = []
            for folder, _, _ in os.walk('/'):
                if not folder.startswith('/proc') and os.access(folder, os.W_OK):
                    found.append(folder)
            print(sorted(found))
        """
        assert run(python(job)).log.decode() == "['/dev/mqueue', '/dev/shm', '/tmp', '/var/tmp', '/work']\n"

    def test_a_job_that_needs_more_memory_than_it_may_have_is_stopped(self, run: Run) -> None:
        """Podman without systemd does not always tell the kernel's kill from another's."""
        result = run(python("bytearray(400 << 20)"), limits=Limits(memory=64))
        assert result.exit_code is None
        assert result.ended in ("out-of-memory", "killed")

    def test_what_the_job_writes_is_the_callers(self, run: Run, workspace: Path) -> None:
        assert run(python("open('kept', 'w').write('x')")).exit_code == 0
        assert os.access(workspace / "kept", os.R_OK)
