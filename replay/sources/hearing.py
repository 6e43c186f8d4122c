"""What a run learned about its services."""

from __future__ import annotations

from replay.sources.catalogue import look
from replay.sources.tape import Book, Service
from replay.sources.upstream import Upstream


def learned(service: Service, book: Book, upstream: Upstream) -> Service:
    """Return a service with what was asked and answered, and what its catalogue says of those who asked."""
    tape = book.heard()
    if upstream.address is None:
        return service.model_copy(update={"tape": tape, "principals": tuple(sorted(book.principals))})
    statements = [exchange.asked for exchange in tape.values()]
    views = [look(upstream.address, user, statements) for user in sorted(book.principals)]
    # The relations of one principal stand under their own names; of several, each under its principal's.
    prefixes = [f"{user}: " if len(views) > 1 else "" for user in sorted(book.principals)]
    together = list(zip(prefixes, views, strict=True))
    known = {
        "tape": tape,
        "principals": tuple(view.principal for view in views),
        "settings": {prefix + name: value for prefix, view in together for name, value in view.settings.items()},
        "relations": {prefix + name: seen for prefix, view in together for name, seen in view.relations.items()},
    }
    return service.model_copy(update=known)
