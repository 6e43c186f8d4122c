"""A hub over folders in memory, with the routes that references use, and a second server that large content lies on.

Answers as huggingface.co does: https://huggingface.co/docs/hub/api, and what its own client (`file_download`) reads.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_hushHush77"


@dataclass
class Repo:
    """Commits by id, each with its files; names of commits; private: only TOKEN may read it."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Add a commit of a branch; return its id."""
        told = repr((sorted(files.items()), sorted(self.commits))).encode()
        name = hashlib.sha1(told).hexdigest()
        self.commits[name] = files
        self.names[branch] = name
        return name


class Hub:
    """Repositories by `datasets/ORG/NAME` or `models/ORG/NAME`. What ends in .parquet lies on the other server."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.elsewhere: dict[str, bytes] = {}
        self.address = ""
        self.other = ""
        self.asked: list[str] = []
        self.leaked: list[str] = []
        """Credentials that reached the other server."""

    def environ(self, token: str = "") -> dict[str, str]:
        """Return the variables under which this hub is asked."""
        return {"HF_ENDPOINT": self.address} | ({"HF_TOKEN": token} if token else {})

    def answer(self, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        self.asked.append(path)
        if path == "/api/whoami-v2":
            return (200, {}, b'{"name": "ada"}') if token == TOKEN else (401, {}, b"")
        for name, repo in self.repos.items():
            files = f"/{name.removeprefix('models/')}/resolve/"
            infos = f"/api/{name}/revision/"
            if not path.startswith((files, infos)):
                continue
            if repo.private and token != TOKEN:
                break
            if path.startswith(infos):
                return self._info(repo, unquote(path.removeprefix(infos)))
            revision, _, file = path.removeprefix(files).partition("/")
            return self._file(repo, unquote(revision), unquote(file))
        return 401, {"X-Error-Code": "RepoNotFound"}, b""

    def _info(self, repo: Repo, revision: str) -> tuple[int, dict[str, str], bytes]:
        commit = repo.names.get(revision, revision)
        if commit not in repo.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        siblings = [{"rfilename": file} for file in repo.commits[commit]]
        return 200, {}, json.dumps({"sha": commit, "siblings": siblings}).encode()

    def _file(self, repo: Repo, revision: str, file: str) -> tuple[int, dict[str, str], bytes]:
        commit = repo.names.get(revision, revision)
        if commit not in repo.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        content = repo.commits[commit].get(file)
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        headers = {"X-Repo-Commit": commit}
        if not file.endswith(".parquet"):
            return 200, headers | {"ETag": '"0123"'}, content
        digest = hashlib.sha256(content).hexdigest()
        self.elsewhere.setdefault(digest, content)
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        return 302, headers | linked | {"Location": f"{self.other}/{digest}"}, b""


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub on this machine while inside."""
    hub = Hub()

    class Front(_Handler):
        def reply(self) -> tuple[int, dict[str, str], bytes]:
            return hub.answer(self.path, self.headers.get("Authorization", "").removeprefix("Bearer "))

    class Back(_Handler):
        def reply(self) -> tuple[int, dict[str, str], bytes]:
            hub.leaked += [self.headers["Authorization"]] if "Authorization" in self.headers else []
            return 200, {}, hub.elsewhere[self.path[1:]]

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Front, Back)]
    hub.address, hub.other = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield hub
    for server in servers:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        status, headers, body = self.reply()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError
