"""Real services: a PostgreSQL of our own and an HTTP server, and a job bound beside them."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path

import pytest

from replay.bind import Project, bind
from replay.config import load
from replay.engines.here import HereEngine
from replay.execute import Workbench
from replay.record import RunRecord
from replay.store.folder import FolderStore
from tests.support.private_postgres import PostgresMissing, PrivatePostgres, private_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    try:
        with private_postgres() as server:
            yield server
    except PostgresMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with a PostgreSQL driver and nothing else: what is bound `--here` is kept, all of it."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    for name in ("psycopg", "psycopg-binary", "typing-extensions"):
        for file in files(name) or []:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), site / file)
    return place


@pytest.fixture(autouse=True)
def _inside(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the jobs in that environment, as a caller who activated it."""
    monkeypatch.setenv("PATH", f"{environment}/bin:{os.environ['PATH']}")


@dataclass
class Web:
    """A server that gives each path its (status, body) to who has the right `token`, and remembers the requests."""

    pages: dict[str, tuple[int, str]]
    token: str | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def web() -> Iterator[Callable[..., Web]]:
    servers = []

    def start(pages: dict[str, tuple[int, str]], token: str | None = None) -> Web:
        site = Web(pages, token)

        class Page(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                site.asked.append(self.path)
                allowed = site.token is None or self.headers.get("Authorization") == f"Bearer {site.token}"
                status, text = site.pages.get(self.path.split("?")[0], (404, "")) if allowed else (403, "forbidden")
                self.send_response(status)
                self.send_header("Content-Type", "text/csv")
                self.send_header("Set-Cookie", "session=hush")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        site.url = f"http://127.0.0.1:{server.server_port}"
        return site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Place:
    """A project whose job asks services, with its store."""

    root: Path

    @property
    def store(self) -> FolderStore:
        return FolderStore.open(self.root / ".replay", create=True)

    def declare(self, job: str, services: str, runtime: str = "") -> None:
        (self.root / "job.py").write_text(job)
        (self.root / "replay.toml").write_text(
            f'[job]\nname = "score"\ncommand = ["python", "job.py"]\n[runtime]\n{runtime}\n'
            f'[pipeline]\npaths = ["job.py"]\n{services}\n[outputs.scores]\npath = "out/scores.csv"\nkey = "id"\n'
        )

    def bench(self, environ: Mapping[str, str]) -> Workbench:
        return Workbench(self.store, HereEngine(), environ)

    def bind(self, environ: Mapping[str, str]) -> RunRecord:
        return bind(self.bench(environ), Project(self.root, load(self.root)))

    def output(self, record: RunRecord) -> str:
        (entry,) = record.outputs["scores"].files.values()
        return self.store.get(entry.blob).decode()

    def log(self, record: RunRecord) -> str:
        return self.store.get(record.log).decode()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = tmp_path / "project"
    root.mkdir()
    return Place(root)
