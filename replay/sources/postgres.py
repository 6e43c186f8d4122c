"""A job's conversations with PostgreSQL: passed on and noted, or played from the tape.

A request is what the job sends up to a Query, Sync or Flush; its answer is what the server sends until it is
ready again. The log-in is a request too, named by its parameters; passwords pass through and are never noted.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from replay.digest import of_bytes
from replay.sources import wire
from replay.sources.tape import Book

Dial = Callable[[], socket.socket]

_WAITS_FOR_CLIENT = {3, 5, 7, 8, 10, 11}
"""Authentication requests that the client answers with one message."""

_SETTING = re.compile(rb"\s*(SET|RESET|DISCARD|SELECT\s+(pg_catalog\.)?set_config)\b", re.IGNORECASE)
_ANSWERS = {b"P": b"1", b"B": b"2", b"C": b"3", b"E": b"CIs", b"D": b"Tn"}
"""The message with which a server ends each step of an extended query."""


@dataclass
class Session:
    """What an answer depends on besides its request: statements prepared before, settings, who asks."""

    book: Book
    login: str = ""
    statements: dict[bytes, bytes] = field(default_factory=dict)
    settings: bytes = b""

    def key(self, request: list[wire.Frame]) -> str:
        """Return what names a request in the tape, and remember what later ones depend on."""
        said = [self.login.encode(), self.settings]
        for kind, body in request:
            said.append(wire.frame(kind, body))
            if kind == b"P":
                name, _ = wire.cstring(body)
                self.statements[name] = of_bytes(body).encode()
            elif kind == b"B":
                _, place = wire.cstring(body)
                said.append(self.statements.get(wire.cstring(body, place)[0], b""))
            elif kind == b"D" and body[:1] == b"S":
                said.append(self.statements.get(wire.cstring(body, 1)[0], b""))
            if (text := sql(kind, body)) is not None and _SETTING.match(text):
                self.settings = of_bytes(self.settings + text).encode()
        return of_bytes(self.book.redact(b"\0".join(said).decode("latin-1")).encode())


def sql(kind: bytes, body: bytes) -> bytes | None:
    """Return the statement in a Query or Parse message."""
    if kind == b"Q":
        return body.rstrip(b"\0")
    return wire.cstring(body, wire.cstring(body)[1])[0] if kind == b"P" else None


def converse(client: socket.socket, book: Book, dial: Dial | None) -> None:
    """Serve one connection of the job until it ends: through `dial` where it is given, else from the book."""
    stream = client.makefile("rb")
    try:
        first = _first(client, stream)
        if first is None:
            return
        session = Session(book)
        asked = _login(first)
        session.login = of_bytes(book.redact(asked).encode())
        if dial is None:
            _play(client, stream, session, asked)
        else:
            _pass_on(client, stream, session, (asked, first), dial)
    except (wire.Ended, OSError, struct.error):
        return
    finally:
        stream.close()


def _first(client: socket.socket, stream: BinaryIO) -> bytes | None:
    """Return the startup message; encryption is declined, for the connection never leaves this machine."""
    while True:
        code, body = wire.read_startup(stream)
        if code not in {wire.TLS, wire.GSS}:
            return None if code == wire.CANCEL else body
        client.sendall(b"N")


def _login(first: bytes) -> str:
    said = wire.parameters(first)
    who = f"{said.pop('user', '')}@{said.pop('database', '')}"
    said.pop("application_name", None)
    return " ".join(["connect", who, *(f"{name}={value}" for name, value in sorted(said.items()))])


def _play(client: socket.socket, stream: BinaryIO, session: Session, asked: str) -> None:
    key = session.login
    while True:
        reply = session.book.recall(key, asked)
        if reply is None:
            client.sendall(wire.error("58000", "replay: this was not asked when the state was bound"))
            return
        if reply.status == "unreachable":
            return
        client.sendall(session.book.store.get(reply.body.blob))
        request = _request(stream)
        if request is None:
            return
        key, asked = session.key(request), _shown(request)


def _pass_on(client: socket.socket, stream: BinaryIO, session: Session, login: tuple[str, bytes], dial: Dial) -> None:
    asked, first = login
    book = session.book
    try:
        server = dial()
    except OSError as error:
        book.note(session.login, asked, b"", ("unreachable", error.strerror or type(error).__name__, ()))
        return
    with server, server.makefile("rb") as answers:
        server.sendall(wire.startup(first))
        answer = _authenticated(client, stream, server, answers)
        _note(book, session.login, asked, answer)
        book.principals.add(wire.parameters(first).get("user", ""))
        client.sendall(_sent(answer))
        while (request := _request(stream)) is not None:
            key = session.key(request)
            server.sendall(b"".join(wire.frame(*frame) for frame in request))
            answer = _answered(client, stream, (server, answers), request)
            _note(book, key, _shown(request), answer)
            client.sendall(_sent(answer))


def _authenticated(
    client: socket.socket, stream: BinaryIO, server: socket.socket, answers: BinaryIO
) -> list[wire.Frame]:
    """Let the job log in; return what the server said, less the questions for a password and its cancel key."""
    said: list[wire.Frame] = []
    while True:
        kind, body = wire.read(answers)
        code = struct.unpack("!I", body[:4])[0] if kind == b"R" else 0
        if kind == b"R" and code:
            client.sendall(wire.frame(kind, body))
            if code in _WAITS_FOR_CLIENT:
                server.sendall(wire.frame(*wire.read(stream)))
            continue
        said.append((kind, bytes(len(body)) if kind == b"K" else body))
        if kind in {b"Z", b"E"}:
            return said


def _request(stream: BinaryIO) -> list[wire.Frame] | None:
    """Return the job's next request, None where it is done."""
    request: list[wire.Frame] = []
    while True:
        try:
            kind, body = wire.read(stream)
        except wire.Ended:
            return None
        if kind == b"X":
            return None
        if kind in {b"d", b"c", b"f"}:
            continue  # rows that a job wrote: they are not written again
        request.append((kind, body))
        if kind in {b"Q", b"S", b"H", b"F"}:
            return request


def _answered(
    client: socket.socket, stream: BinaryIO, server: tuple[socket.socket, BinaryIO], request: list[wire.Frame]
) -> list[wire.Frame]:
    """Return everything the server says to a request."""
    away, answers = server
    said: list[wire.Frame] = []
    steps = [_ANSWERS[kind] for kind, _ in request if kind in _ANSWERS]
    flush = request[-1][0] == b"H"
    while not (flush and not steps):
        kind, body = wire.read(answers)
        said.append((kind, body))
        if kind == b"Z" or (flush and kind == b"E"):
            break
        if kind == b"G":
            client.sendall(_sent(said))
            said.clear()
            _copied_in(stream, away)
        elif steps and kind in steps[0]:
            steps.pop(0)
    return said


def _copied_in(stream: BinaryIO, server: socket.socket) -> None:
    while True:
        kind, body = wire.read(stream)
        server.sendall(wire.frame(kind, body))
        if kind in {b"c", b"f"}:
            return


def _note(book: Book, key: str, asked: str, answer: list[wire.Frame]) -> None:
    errors = [wire.fields(body) for kind, body in answer if kind == b"E"]
    status, words = (errors[0].get("C", "XX000"), errors[0].get("M", "")) if errors else ("ok", "")
    kept = b"".join(wire.frame(kind, wire.without_oids(kind, body)) for kind, body in answer)
    book.note(key, asked, kept, (status, words, ()))


def _sent(answer: list[wire.Frame]) -> bytes:
    return b"".join(wire.frame(*frame) for frame in answer)


def _shown(request: list[wire.Frame]) -> str:
    texts = [text.decode("utf-8", "replace").strip() for frame in request if (text := sql(*frame)) is not None]
    return "; ".join(texts) or f"({b''.join(kind for kind, _ in request).decode('latin-1')})"
