"""A job's requests over HTTP: passed on and noted, or played from the tape."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from replay.digest import of_bytes
from replay.sources.tape import LARGEST, Book

TIMEOUT = 60
"""Seconds a service may be silent."""

_CREDENTIALS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "x-auth-token", "cookie")
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
_VOLATILE = {"date", "server", "set-cookie", "age", "expires", "via", "alt-svc", "x-request-id", "x-runtime", "cf-ray"}
_ORIGIN = "{service}"


class Handler(BaseHTTPRequestHandler):
    """Serves one connection of the job. `book` and `origin` (None: play) are set by the desk."""

    protocol_version = "HTTP/1.1"
    book: Book
    origin: str | None

    def log_message(self, *_: object) -> None:  # noqa: D102 - a job's log is its own
        return

    def answer(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        who = principal(dict(self.headers.items()), self.book)
        path = self.book.redact(self.path)
        asked = f"{self.command} {path}"
        key = of_bytes("\n".join([asked, of_bytes(body), who, self.headers.get("Range", "")]).encode())
        if self.origin is not None:
            self.book.principals.add(who)
            status, words, headers, content = self._fetched(self.origin, body)
            self.book.note(key, asked, content, (status, words, headers))
        else:
            reply = self.book.recall(key, asked)
            if reply is None:
                return self._send("504", (), b"replay: this was not asked when the state was bound\n", "Not recorded")
            status, words, headers = reply.status, reply.words, reply.headers
            content = self.book.store.get(reply.body.blob)
        return self._send(status, headers, content, words)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def _fetched(self, origin: str, body: bytes) -> tuple[str, str, tuple[tuple[str, str], ...], bytes]:
        there = urlsplit(origin)
        host, port = there.hostname or "", there.port
        link: http.client.HTTPConnection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        if there.scheme == "https":
            context = ssl.create_default_context()
            link = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        try:
            with contextlib.closing(link):
                link.request(self.command, self.path, body or None, sent)
                reply = link.getresponse()
                content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            return "unreachable", type(error).__name__, (), b""
        kept = tuple(
            (name.lower(), value.replace(origin, _ORIGIN))
            for name, value in sorted(reply.getheaders())
            if name.lower() not in _HOP | _VOLATILE
        )
        return str(reply.status), reply.reason, kept, content

    def _send(self, status: str, headers: tuple[tuple[str, str], ...], content: bytes, words: str) -> None:
        if status == "unreachable":
            self.close_connection = True
            return
        self.send_response_only(int(status), words or None)
        for name, value in headers:
            self.send_header(name, value.replace(_ORIGIN, f"http://{self.headers.get('Host', '')}"))
        empty = self.command == "HEAD" or status in {"204", "304"}
        if not empty:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not empty:
            self.wfile.write(content)


def fetch(url: str, headers: dict[str, str]) -> tuple[str, str, bytes]:
    """Return status, reason and content of a document; status `unreachable` where there was no answer."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the user's own, http(s) alone
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310
            return str(reply.status), str(reply.reason), reply.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        return str(error.code), str(error.reason), b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return "unreachable", type(error).__name__, b""


def principal(headers: dict[str, str], book: Book) -> str:
    """Return who asks, as far as a request says so, without the secret.

    The scheme and, of Basic, the name. A credential that is a declared secret stands under its name; another
    one (written into the code) under a fingerprint of 16 bits: enough to see that it changed, too little to
    find it again.
    """
    found = []
    for name, value in sorted((name.lower(), value) for name, value in headers.items()):
        if name not in _CREDENTIALS:
            continue
        scheme, _, credential = value.partition(" ") if name.endswith("authorization") else (name, "", value)
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, credential = base64.b64decode(credential).decode().partition(":")
                scheme = f"{scheme} {book.redact(user)}"
        hidden = book.redact(credential)
        found.append(f"{scheme} {hidden if _bare(hidden) else '~' + _fingerprint(credential)}")
    return ", ".join(found) or "anonymous"


def _bare(hidden: str) -> bool:
    return hidden.startswith("secret-")


@lru_cache(maxsize=256)
def _fingerprint(credential: str) -> str:
    return hashlib.scrypt(credential.encode(), salt=b"replay credential", n=1 << 12, r=8, p=1, dklen=2).hex()
