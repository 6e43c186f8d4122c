"""The stand-ins of a run's services: sockets in a folder that the job's forwarder leads to."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.errors import InputError
from replay.sources import forward
from replay.sources.catalogue import need_driver
from replay.sources.postgres import converse
from replay.sources.tape import Book, Service
from replay.sources.upstream import Upstream, unanswered
from replay.sources.web import Handler
from replay.store.base import Store


@dataclass(frozen=True)
class Desk:
    """What a run with services needs: the folder to show it, and the books of what is said meanwhile."""

    folder: Path | None
    books: Mapping[str, Book]

    def check(self) -> None:
        """Raise InputError where the job asked what the record does not hold: then the run shows nothing."""
        for name, book in self.books.items():
            if book.missed:
                raise unanswered(name, book.missed)
            if book.trouble:
                raise InputError(
                    f"the source {name} could not be recorded: {book.trouble[0]}",
                    cause="the answer is too large, or the store could not take it",
                    do="ask for less at a time, or declare the input as a file",
                )


@contextlib.contextmanager
def desk(
    services: Mapping[str, Service], store: Store, live: Mapping[str, Upstream], secrets: Mapping[str, str]
) -> Iterator[Desk]:
    """Serve `services` while the body runs: through to those in `live`, from their tapes otherwise.

    Raises ConfigError where a live service needs a driver that is not installed.
    """
    if any(upstream.address for upstream in live.values()):
        need_driver()
    if not services:
        yield Desk(None, {})
        return
    # Sockets have short names; the outer folder keeps everyone else on this machine from them.
    outer = Path(tempfile.mkdtemp(prefix="replay-", dir=_short()))
    folder = outer / "services"
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        with contextlib.ExitStack() as stack:
            books = {}
            for number, (name, service) in enumerate(sorted(services.items())):
                upstream = live.get(name)
                book = Book(store, {**secrets, **(upstream.hidden if upstream else {})}, dict(service.tape))
                stack.enter_context(_serving(folder / str(number), service, book, upstream))
                books[name] = book
            _describe(folder, services)
            yield Desk(folder, books)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _short() -> str | None:
    return None if len(tempfile.gettempdir()) < 60 else "/tmp"  # noqa: S108 - a private folder is made there


def _describe(folder: Path, services: Mapping[str, Service]) -> None:
    document = [
        {"socket": str(number), "port": service.port, "variables": sorted(service.env)}
        for number, (_, service) in enumerate(sorted(services.items()))
    ]
    files = {"services.json": json.dumps(document), "forward.py": Path(forward.__file__).read_text("utf-8")}
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o644)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a job that hangs up is no news, and a traceback in its midst helps nobody."""


@contextlib.contextmanager
def _serving(path: Path, service: Service, book: Book, upstream: Upstream | None) -> Iterator[None]:
    if service.kind == "http":
        members = {"book": book, "origin": upstream.origin if upstream else None}
        handler: Any = type("BoundHandler", (Handler,), members)
    else:
        dial = upstream.address.dial if upstream and upstream.address else None

        class Conversation(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                request: socket.socket = self.request
                converse(request, book, dial)

        handler = Conversation
    server = _Server(str(path), handler)
    path.chmod(0o666)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
