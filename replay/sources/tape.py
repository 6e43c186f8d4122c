"""What a service was asked and what it answered. Documents, and the rules by which two of them differ or match."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from replay.digest import Digest
from replay.errors import InputError
from replay.excerpt import excerpt
from replay.state import Document, FileEntry
from replay.store.base import Store

Kind = Literal["http", "postgresql"]

LARGEST = 512 << 20
"""The longest answer that is kept, in bytes: it is held in memory while it is passed on."""

_SHOWN = 2000
"""How many characters of a request a tape shows to people; its key covers all of it."""


class Reply(Document):
    """One answer. `status`: HTTP's code, or `ok` or the SQLSTATE of PostgreSQL's first error, or `unreachable`.

    `words` is the service's own message where it refused. The body of HTTP is as it was sent (packed, if it
    was); that of PostgreSQL the server's messages up to the one that says that it is ready again.
    """

    status: str
    words: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: FileEntry

    @property
    def refused(self) -> bool:
        """Whether the service did not do what it was asked."""
        return not (self.status == "ok" or (self.status[0] in "123" and len(self.status) == 3))


class Exchange(Document):
    """A request as people read it, and its replies in their order; one where they were all the same."""

    asked: str
    replies: tuple[Reply, ...]


class Relation(Document):
    """What a principal sees of a table or view.

    `columns` are those it may read, `hidden` those it may not; `policies` the row policies that apply to it
    (name: condition); `definition` the digest of a view's text and of what it calls, `text` an excerpt of them for
    people; `labels` security labels.
    """

    kind: str
    readable: bool
    columns: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    policies: dict[str, str] = {}
    definition: Digest | None = None
    text: str = ""
    labels: dict[str, str] = {}


def defined(relation: Relation, digest: Digest, texts: Sequence[str]) -> Relation:
    """Return a view with what defines it; of the texts an excerpt is kept, in which no password stands."""
    return relation.model_copy(update={"definition": digest, "text": excerpt("\n".join(texts)) or ""})


class Service(Document):
    """A service as the job found it. No secret is in it.

    `uri` is as declared, `env` the variables by which the job finds it (at `port` of its own 127.0.0.1);
    `principals` are those who asked, as the service knows them; `relations` what a database lets them see;
    `tape` every exchange by the digest of its request.
    """

    kind: Kind
    uri: str
    env: dict[str, str]
    port: int
    principals: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    relations: dict[str, Relation] = {}
    tape: dict[Digest, Exchange] = {}

    def refusals(self) -> dict[str, str]:
        """Return what was refused and in which words; requests that differ in parameters only are one."""
        found: dict[str, str] = {}
        for exchange in self.tape.values():
            for reply in exchange.replies:
                if reply.refused:
                    found[exchange.asked.split("?")[0]] = f"{reply.status} {reply.words}".strip()
        return found


@dataclass
class Book:
    """Notes exchanges as they happen, or recalls them. Thread-safe.

    `secrets` (name: value) are taken out of everything that is shown or that names a request.
    """

    store: Store
    secrets: dict[str, str]
    tape: dict[str, Exchange] = field(default_factory=dict)
    principals: set[str] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    _heard: dict[str, tuple[str, list[Reply]]] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def redact(self, text: str) -> str:
        """Return `text` with the name of every secret in place of its value."""
        for name, value in sorted(self.secrets.items(), key=lambda item: -len(item[1])):
            text = text.replace(value, placeholder(name)) if value else text
        return text

    def note(self, key: str, asked: str, body: bytes, reply: tuple[str, str, tuple[tuple[str, str], ...]]) -> None:
        """Keep an exchange. Raises InputError for an answer that is too long, StoreError as the store does."""
        if len(body) > LARGEST:
            self.trouble.append(f"an answer of {len(body):,} bytes, more than the {LARGEST:,} that are kept")
            raise InputError(self.trouble[-1], cause="it is too much for one answer", do="ask for it in pages")
        status, words, headers = reply
        kept = Reply(status=status, words=self.redact(words)[:_SHOWN], headers=headers, body=self.store.put(body))
        with self._lock:
            self._heard.setdefault(key, (self.redact(asked)[:_SHOWN], []))[1].append(kept)

    def recall(self, key: str, asked: str) -> Reply | None:
        """Return the next reply to this request, None (and remember it) where none was recorded."""
        with self._lock:
            replies = self.tape[key].replies if key in self.tape else ()
            turn = self._told.get(key, 0)
            self._told[key] = turn + 1
            if len(replies) == 1:
                return replies[0]
            if turn < len(replies):
                return replies[turn]
            self.missed.append(self.redact(asked)[:_SHOWN])
            return None

    def heard(self) -> dict[str, Exchange]:
        """Return what was noted, as a tape."""
        with self._lock:
            return {
                key: Exchange(asked=asked, replies=tuple(replies[:1] if len(set(map(_id, replies))) == 1 else replies))
                for key, (asked, replies) in sorted(self._heard.items())
            }


def placeholder(name: str) -> str:
    """Return what stands for a secret in a request, and what the job is given for it in a rerun."""
    return f"secret-{name}"


def _id(reply: Reply) -> str:
    return reply.digest
