from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from images import build
from replay.engines.base import RunSpec
from replay.engines.container import PID
from replay.engines.docker import DockerEngine
from replay.environment.base import Base
from replay.errors import BaseMissing, EngineError
from replay.record import Limits
from tests.engines.contract import ContainerContract, Run, python, wait_for
from tests.support.private_engine import private_engine

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine(docker_host: str) -> DockerEngine:
    return DockerEngine(docker_host)


@pytest.fixture(scope="module")
def base(engine: DockerEngine, base_image: Callable[[str], str]) -> Base:
    return engine.base(base_image("bookworm"), None)


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.APIClient]:
    client = docker.APIClient(docker_host, version="auto")
    yield client
    client.close()


def containers(client: docker.APIClient, folder: Path) -> list[str]:
    """Return the containers of this process, and those of any process that work over `folder`."""
    found = client.containers(all=True, filters={"label": PID})
    return [
        one["Names"][0]
        for one in found
        if one["Labels"][PID] == str(os.getpid())
        or any(mount["Source"].startswith(str(folder)) for mount in one["Mounts"])
    ]


class TestDocker(ContainerContract):
    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, client: docker.APIClient, tmp_path: Path) -> Iterator[None]:
        self.client = client
        yield
        assert containers(client, tmp_path) == []

    def of_the_base(self, base: Base) -> set[str]:
        return {line.split("=")[0] for line in self.client.inspect_image(base.reference)["Config"]["Env"]}

    def test_only_the_workspace_and_scratch_can_be_written(self, run: Run) -> None:
        job = """
            import os
            def writable(folder):
                try:
                    open(os.path.join(folder, 'x'), 'w').close()
                except OSError:
                    return False
                return True
            found = {folder for folder, _, _ in os.walk('/') if not folder.startswith('/proc') and writable(folder)}
            print(sorted(found))
        """
        folders = ["/dev/mqueue", "/dev/shm", "/tmp", "/work"]
        assert run(python(job)).log.decode() == f"{folders}\n"

    def test_limits_are_set(self, run: Run) -> None:
        job = """
            import os, time
            children = []
            try:
                for _ in range(100):
                    pid = os.fork()
                    if pid == 0:
                        time.sleep(60)
                        os._exit(0)
                    children.append(pid)
            except BlockingIOError:
                print('no more after', len(children) < 20)
        """
        assert run(python(job), limits=Limits(processes=20)).log == b"no more after True\n"

    def test_out_of_memory_is_told(self, run: Run) -> None:
        result = run(python("bytearray(400 << 20)"), limits=Limits(memory=64))
        assert (result.exit_code, result.ended) == (None, "out-of-memory")

    def test_the_name_of_the_machine_is_always_the_same(self, run: Run) -> None:
        assert run(["cat", "/proc/sys/kernel/hostname"]).log == b"replay\n"

    def test_the_environment_comes_first(self, run: Run, tmp_path: Path, engine: DockerEngine, base: Base) -> None:
        tree = tmp_path / "tree"
        (tree / "bin").mkdir(parents=True)
        (tree / "bin/python").symlink_to(engine.interpreter(base).executable)
        job = """
            import os, sys
            print(sys.executable, os.environ['PATH'].split(':')[0])
            open('/opt/replay/env/x', 'w')
        """
        result = run(python(job), environment=tree)
        assert b"/opt/replay/env/bin/python /opt/replay/env/bin\n" in result.log
        assert b"Read-only file system" in result.log

    def test_a_base_is_known_by_its_config_and_packages_whatever_the_engine_calls_it(self, base: Base) -> None:
        assert base.image == build.image_id(build.build("bookworm"))
        assert base.os.startswith("Debian GNU/Linux 12")
        assert base.os_packages["libc6"].startswith("2.36")

    def test_an_image_of_another_python_is_refused(self, engine: DockerEngine, base: Base) -> None:
        with pytest.raises(BaseMissing, match=r"has Python 3\.11\.\d+, not 3\.9"):
            engine.base(base.reference, "3.9")

    def test_a_base_that_is_not_there(self, engine: DockerEngine, base: Base, run: Run) -> None:
        with pytest.raises(BaseMissing, match="image no-such-image:1 is not in this engine") as caught:
            engine.base("no-such-image:1", None)
        assert "docker pull no-such-image:1" in caught.value.do
        gone = base.model_copy(update={"image": f"sha256:{0:064}"})
        with pytest.raises(BaseMissing, match=f"{base.reference} \\(sha256:0000"):
            engine.require(gone)
        with pytest.raises(BaseMissing):
            engine.run(RunSpec(gone, ["true"], Path("/nonexistent")))

    def test_a_state_of_a_host_cannot_run_here(self, engine: DockerEngine, base: Base) -> None:
        with pytest.raises(BaseMissing, match="recorded on a host"):
            engine.require(base.model_copy(update={"kind": "host", "image": None}))

    def test_facts_are_kept(self, docker_host: str, base: Base, tmp_path: Path) -> None:
        first = DockerEngine(docker_host, cache=tmp_path).base(base.reference, "3.11")
        (kept,) = tmp_path.glob("*-3.11.json")
        assert DockerEngine(docker_host, cache=tmp_path).base(base.reference, "3.11") == first
        kept.write_text("spoilt")
        assert DockerEngine(docker_host, cache=tmp_path).base(base.reference, "3.11") == first

    def test_jobs_side_by_side(self, engine: DockerEngine, base: Base, tmp_path: Path) -> None:
        results: dict[int, bytes] = {}

        def one(number: int) -> None:
            folder = tmp_path / str(number)
            folder.mkdir()
            results[number] = engine.run(RunSpec(base, ["echo", str(number)], folder)).log

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {number: b"%d\n" % number for number in range(4)}

    def test_an_engine_that_does_not_share_the_files_is_told(
        self, docker_host: str, base: Base, tmp_path: Path
    ) -> None:
        if os.getuid() != 0:
            pytest.skip("only root can hide a folder from the engine")
        program = f"""
from pathlib import Path
from replay.engines.base import RunSpec
from replay.engines.docker import DockerEngine
from replay.environment.base import Base
workspace = Path({str(tmp_path)!r}, "workspace")
workspace.mkdir()
DockerEngine({docker_host!r}).run(RunSpec(Base.model_validate_json({base.model_dump_json()!r}), ["true"], workspace))
"""
        alone = f'mount -t tmpfs none {tmp_path} && exec "$0" -c "$1"'
        command = ["unshare", "--mount", "sh", "-c", alone, sys.executable, program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "the Docker Engine does not see the files of this machine" in done.stderr


def test_a_daemon_that_dies(tmp_path: Path, base: Base, client: docker.APIClient) -> None:
    """The error says so and names what is left."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    raised: list[BaseException] = []
    with private_engine() as mine:
        other = docker.APIClient(mine.host, version="auto")
        other.load_image(client.get_image(base.reference))
        engine = DockerEngine(mine.host)
        its_base = engine.base(base.reference, None)

        def job() -> None:
            command = python("open('started', 'w').close(); import time; time.sleep(600)")
            try:
                engine.run(RunSpec(its_base, command, workspace))
            except EngineError as error:
                raised.append(error)

        thread = threading.Thread(target=job)
        thread.start()
        wait_for((workspace / "started").exists)
        wait_for(lambda: bool(other.containers(filters={"label": PID})))
        (name,) = (one["Names"][0].lstrip("/") for one in other.containers(filters={"label": PID}))
        mine.kill()
        thread.join(60)
    (error,) = raised
    assert isinstance(error, EngineError)
    assert name in error.what
    assert f"docker rm -f {name}" in error.do
