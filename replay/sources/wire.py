"""Messages of PostgreSQL's frontend/backend protocol, version 3 (documentation, chapter 55)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

TLS, GSS, CANCEL = 80877103, 80877104, 80877102
_LONGEST = 1 << 30

Frame = tuple[bytes, bytes]
"""The type of a message (one byte) and its body, without the length."""


class Ended(Exception):
    """The other side closed the connection, or does not speak this protocol."""


def frame(kind: bytes, body: bytes) -> bytes:
    """Return a message as it is sent."""
    return kind + struct.pack("!I", len(body) + 4) + body


def read(stream: BinaryIO) -> Frame:
    """Return the next message. Raises Ended."""
    kind = _exactly(stream, 1)
    return kind, _body(stream)


def read_startup(stream: BinaryIO) -> tuple[int, bytes]:
    """Return the code (protocol version, or TLS, GSS, CANCEL) and the body of a first message. Raises Ended."""
    body = _body(stream)
    if len(body) < 4:
        raise Ended
    return struct.unpack("!I", body[:4])[0], body


def startup(body: bytes) -> bytes:
    """Return a first message as it is sent: it has no type."""
    return struct.pack("!I", len(body) + 4) + body


def parameters(body: bytes) -> dict[str, str]:
    """Return the parameters of a startup message."""
    words = body[4:].rstrip(b"\0").split(b"\0")
    return {_text(name): _text(value) for name, value in zip(words[::2], words[1::2], strict=False)}


def frames(data: bytes) -> Iterator[Frame]:
    """Yield the messages in `data`."""
    place = 0
    while place + 5 <= len(data):
        size = struct.unpack("!I", data[place + 1 : place + 5])[0]
        yield data[place : place + 1], data[place + 5 : place + 1 + size]
        place += 1 + size


def fields(body: bytes) -> dict[str, str]:
    """Return the fields of an error: `C` is its SQLSTATE, `M` its message."""
    return {chr(part[0]): _text(part[1:]) for part in body.split(b"\0") if part}


def error(state: str, message: str) -> bytes:
    """Return a fatal error message."""
    said = {"S": "FATAL", "C": state, "M": message}
    return frame(b"E", "".join(f"{name}{value}\0" for name, value in said.items()).encode() + b"\0")


def cstring(body: bytes, place: int = 0) -> tuple[bytes, int]:
    """Return the zero-ended string at `place` and the place behind it. Raises Ended where it has no end."""
    end = body.find(b"\0", place)
    if end < 0:
        raise Ended
    return body[place:end], end + 1


def without_oids(kind: bytes, body: bytes) -> bytes:
    """Return a row description without the numbers of its tables: they differ after every dump and restore."""
    if kind != b"T":
        return body
    count, place = struct.unpack("!H", body[:2])[0], 2
    parts = [body[:2]]
    for _ in range(count):
        name, place = cstring(body, place)
        parts += [name, b"\0", bytes(6), body[place + 6 : place + 18]]
        place += 18
    return b"".join(parts)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _body(stream: BinaryIO) -> bytes:
    size = struct.unpack("!I", _exactly(stream, 4))[0]
    if not 4 <= size <= _LONGEST:
        raise Ended
    return _exactly(stream, size - 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) < size:
        raise Ended
    return data
