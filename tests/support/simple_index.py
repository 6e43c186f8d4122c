"""A package index as companies run them: the simple API over HTTP, a password, no metadata beside the files."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name

CHUNK = 1 << 18


@dataclass
class Index:
    """A running index: its address without and with credentials, and the files that were asked of it."""

    port: int
    login: str = ""
    files: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def plain(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def url(self) -> str:
        return f"http://{self.login}@127.0.0.1:{self.port}/simple" if self.login else self.plain


@contextmanager
def serve(folder: Path, *, login: str = "", megabytes_a_second: float | None = None) -> Iterator[Index]:
    """Serve the files of a folder; `login` is `user:password`; the line may be slow."""
    expected = "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            if login and self.headers.get("Authorization") != expected:
                index.refused.append(path)
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path.startswith("/simple/"):
                self._page(path.strip("/").partition("/")[2])
            else:
                self._file(path.rpartition("/")[2])

        def do_HEAD(self) -> None:
            self.do_GET()

        def _page(self, project: str) -> None:
            found = [f for f in sorted(folder.iterdir()) if canonicalize_name(f.name.split("-")[0]) == project]
            links = "".join(
                f'<a href="/files/{f.name}#sha256={hashlib.sha256(f.read_bytes()).hexdigest()}">{f.name}</a>\n'
                for f in found
            )
            self._answer(200 if found else 404, "text/html", links.encode())

        def _file(self, name: str) -> None:
            if self.command == "GET":
                index.files.append(name)
            self._answer(200, "application/octet-stream", (folder / name).read_bytes())

        def _answer(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for start in range(0, len(data) if self.command == "GET" else 0, CHUNK):
                self.wfile.write(data[start : start + CHUNK])
                if megabytes_a_second:
                    time.sleep(CHUNK / 1e6 / megabytes_a_second)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = Index(server.server_port, login)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
