"""Sources that Replay asks when a state is bound: a query over a database, or a document of a web service.

What is answered becomes the input's snapshot, in an order of its own (by key, or as the query says); who asked and
what was withheld is for the access layer. PostgreSQL writes its own CSV; SQLite's is written the same way.
"""

from __future__ import annotations

import contextlib
import getpass
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal
from urllib.parse import unquote, urlsplit

from replay.declared import Source
from replay.digest import of_bytes
from replay.errors import InputError
from replay.sources.catalogue import look, need_driver, words_of
from replay.sources.tape import Book, Relation, defined
from replay.sources.upstream import address_of, expanded, variables_in
from replay.sources.web import fetch, principal
from replay.state import FileEntry
from replay.store.base import Store

TIMEOUT = 600
"""Seconds a source may take for its answer."""

LARGEST = 64 << 30
"""The longest answer that is kept, in bytes."""

Word = Literal["granted", "partial", "denied", "missing", "empty"]

_FIXED = " ".join(
    f"-c {setting}"
    for setting in (
        "default_transaction_read_only=on",
        "default_transaction_isolation=repeatable\\ read",
        f"statement_timeout={TIMEOUT * 1000}",
        "TimeZone=UTC",
        "DateStyle=ISO",
        "IntervalStyle=iso_8601",
        "extra_float_digits=1",
        "bytea_output=hex",
    )
)
"""Read only, one snapshot, and every value written in one way whatever the role's own settings are."""

_DENIED, _MISSING = ("42501", "28"), ("42P01", "42703", "3D000", "3F000")


@dataclass(frozen=True)
class Asked:
    """What a source answered: `words` are its own where it refused, `content` the snapshot where it did not."""

    answer: Word
    principal: str = ""
    words: str = ""
    relations: dict[str, Relation] = field(default_factory=dict)
    content: FileEntry | None = None


@dataclass(frozen=True)
class Question:
    """A declared source and what it takes to ask it. `secrets` (name: value) appear in no answer and no error."""

    name: str
    source: Source
    root: Path
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    store: Store

    def ask(self) -> Asked:
        """Ask. A refusal is an answer; raises InputError where there was none (unreachable, out of order, too long)."""
        uri = expanded(self.source.uri or "", self.environ, self.name)
        kind = urlsplit(uri).scheme.partition("+")[0]
        if kind in {"http", "https"}:
            return self._http(uri)
        return self._sqlite(uri) if kind == "sqlite" else self._postgresql(uri)

    def trouble(self, words: str) -> InputError:
        """Return the error for a source that gave no answer."""
        return InputError(
            f"the source {self.name} gave no answer: {Book(self.store, dict(self.secrets)).redact(words)[:300]}",
            cause="it cannot be reached, is out of order, or the query is not one it understands",
            do=f"check uri and query of [data.{self.name}] from this machine",
        )

    def _http(self, uri: str) -> Asked:
        used = {
            name: self.environ[name]
            for text in (self.source.uri or "", *self.source.headers.values())
            for name in variables_in(text)
            if name in self.environ
        }
        headers = {name: expanded(value, self.environ, self.name) for name, value in self.source.headers.items()}
        book = Book(self.store, {**used, **self.secrets})
        who = principal(headers, book)
        status, words, content = fetch(uri, headers)
        if status in {"401", "403"}:
            return Asked("denied", who, f"{status} {words}")
        if status in {"404", "410"}:
            return Asked("missing", who, f"{status} {words}")
        if status[0] != "2":
            raise self.trouble(f"{status} {words}")
        return Asked("granted" if content else "empty", who, content=self.store.put(content) if content else None)

    def _sqlite(self, uri: str) -> Asked:
        place = Path(unquote(urlsplit(uri).path)[1:])
        file = self.root / place
        who = getpass.getuser()
        if not file.exists():
            return Asked("missing", who, "no such file")
        deadline = time.monotonic() + TIMEOUT
        try:
            with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
                relations = _sqlite_relations(connection, words_of([self.source.query or ""]))
                rows = connection.execute(self._ordered())
                names = [column[0] for column in rows.description]
                return Asked("granted", who, relations=relations, content=self._kept(_csv(names, rows)))
        except sqlite3.Error as error:
            words = str(error)
            if re.match(r"no such (table|column)", words):
                return Asked("missing", who, words)
            if "unable to open" in words:
                return Asked("denied", who, words)
            raise self.trouble(words) from None

    def _postgresql(self, uri: str) -> Asked:
        need_driver()
        import psycopg

        address = address_of(uri, self.environ)
        try:
            with psycopg.connect(**address.arguments(), options=_FIXED) as connection:
                copy = f"COPY ({self._ordered()}) TO STDOUT WITH (FORMAT csv, HEADER)"
                with connection.cursor().copy(copy.encode()) as rows:
                    content = self._kept(bytes(piece) for piece in rows)
        except psycopg.Error as error:
            state, words = error.sqlstate or "", (error.diag.message_primary or str(error)).strip()
            view = look(address, address.user, [self.source.query or ""])
            if state.startswith(_DENIED) or "not permitted to log in" in words:
                return Asked("denied", view.principal, words, view.relations)
            if state in _MISSING:
                return Asked("missing", view.principal, words, view.relations)
            raise self.trouble(words) from None
        view = look(address, address.user, [self.source.query or ""])
        withheld = any(seen.hidden or seen.policies for seen in view.relations.values())
        return Asked("partial" if withheld else "granted", view.principal, "", view.relations, content)

    def _ordered(self) -> str:
        """Return the query with an order: by the key where there is one, else its own."""
        query = (self.source.query or "").strip().rstrip(";")
        if not self.source.keys:
            return query
        keys = ", ".join('"' + key.replace('"', '""') + '"' for key in self.source.keys)
        return f"SELECT * FROM (\n{query}\n) AS asked ORDER BY {keys}"  # noqa: S608 - the user's own query

    def _kept(self, pieces: Iterable[bytes]) -> FileEntry:
        scratch = self.store.scratch("ask")
        file = scratch / "answer"
        try:
            with file.open("wb") as out:
                self._write(pieces, out)
            return self.store.put_file(file)
        finally:
            file.unlink(missing_ok=True)
            scratch.rmdir()

    def _write(self, pieces: Iterable[bytes], out: IO[bytes]) -> None:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > LARGEST:
                raise self.trouble(f"it is longer than {LARGEST:,} bytes")
            out.write(piece)


def _sqlite_relations(connection: sqlite3.Connection, words: set[str]) -> dict[str, Relation]:
    """Return the tables and views that a query names and what views stand on, with the views' definitions."""
    known = {
        str(name): (str(kind), str(text or ""))
        for kind, name, text in connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')"
        )
    }
    todo = [name for name in known if name.lower() in words or name in words]
    found: dict[str, Relation] = {}
    while todo:
        name = todo.pop()
        if name in found:
            continue
        kind, text = known[name]
        found[name] = Relation(kind=kind, readable=True)
        if kind == "view":
            found[name] = defined(found[name], of_bytes(text.encode()), [text])
            below = words_of([text])
            todo += [other for other in known if other != name and (other.lower() in below or other in below)]
    return found


def _csv(names: list[str], rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    """Yield CSV as PostgreSQL writes it: nothing for NULL, quotes for an empty text, hex for bytes."""
    yield (",".join(_cell(name) for name in names) + "\n").encode()
    for row in rows:
        yield (",".join(_cell(value) for value in row) + "\n").encode("utf-8", "surrogatepass")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    text = str(value) if not isinstance(value, float) else repr(value)
    if text == "" or text == "\\." or re.search(r'[",\r\n]', text):
        return '"' + text.replace('"', '""') + '"'
    return text
