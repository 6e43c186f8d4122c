"""What PostgreSQL's own catalogue says about those who asked: privileges, hidden columns, row policies, views."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replay.digest import canonical, of_bytes
from replay.errors import ConfigError
from replay.sources.tape import Relation, defined
from replay.sources.upstream import Address

if TYPE_CHECKING:
    import psycopg

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}

_RELATIONS = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text,
       has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'),
       CASE WHEN c.relkind IN ('r', 'p') THEN row_security_active(c.oid) ELSE false END,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%%' ORDER BY 2, 3
"""
_COLUMNS = """
SELECT a.attname, has_column_privilege(a.attrelid, a.attnum, 'SELECT') FROM pg_attribute a
WHERE a.attrelid = %s::int8::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_POLICIES = """
SELECT p.polname, CASE WHEN p.polpermissive THEN '' ELSE 'restrictive: ' END ||
       coalesce(pg_get_expr(p.polqual, p.polrelid), 'true')
FROM pg_policy p WHERE p.polrelid = %s::int8::oid AND p.polcmd IN ('r', '*')
  AND (p.polroles = '{0}' OR EXISTS (SELECT 1 FROM unnest(p.polroles) r WHERE r <> 0 AND pg_has_role(r, 'MEMBER')))
"""
_BEHIND = """
SELECT DISTINCT d.refclassid::regclass::text, d.refobjid::int8,
       CASE WHEN d.refclassid = 'pg_proc'::regclass THEN pg_get_functiondef(d.refobjid) END
FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
WHERE r.ev_class = %s::int8::oid AND d.refobjid <> r.ev_class
  AND (d.refclassid = 'pg_class'::regclass OR d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384)
ORDER BY 1, 2
"""
_LABELS = """
SELECT l.provider || coalesce(' ' || a.attname, ''), l.label FROM pg_seclabels l
LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
WHERE l.classoid = 'pg_class'::regclass AND l.objoid = %s::int8::oid
"""
_PRINCIPAL = """
SELECT rolname, rolsuper, rolbypassrls, ARRAY(SELECT o.rolname::text FROM pg_roles o
  WHERE pg_has_role(r.oid, o.oid, 'MEMBER') AND o.oid <> r.oid AND NOT r.rolsuper ORDER BY 1)
FROM pg_roles r WHERE rolname = current_user
"""
_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'row_security', 'role')"


@dataclass(frozen=True)
class View:
    """How a database presents itself to one principal."""

    principal: str
    settings: dict[str, str] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)


def need_driver() -> None:
    """Raise ConfigError unless the driver is installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise ConfigError(
            "a PostgreSQL source needs the driver psycopg, which is not installed",
            cause="Replay was installed without its extra for PostgreSQL",
            do="pip install 'release-replay[postgresql]'",
        ) from None


def look(address: Address, user: str, statements: Iterable[str]) -> View:
    """Return what `user` may see of the relations that `statements` name, in a read-only transaction.

    A server that does not let the user in gives a view with nothing but the name: the tape holds its words.
    """
    import psycopg

    try:
        with psycopg.connect(
            **{**address.arguments(), "user": user},
            options="-c default_transaction_read_only=on -c statement_timeout=30000",
        ) as connection:
            return _view(connection, words_of(statements))
    except psycopg.Error:
        return View(user)


def words_of(statements: Iterable[str]) -> set[str]:
    """Return the words that could name a relation: as written (quoted), and in lower case."""
    words: set[str] = set()
    for statement in statements:
        words |= set(re.findall(r'"([^"]+)"', statement))
        words |= {word.lower() for word in re.findall(r"[^\W\d][\w$]*", statement)}
    return words


def _view(connection: psycopg.Connection[Any], words: set[str]) -> View:
    name, superuser, bypass, roles = connection.execute(_PRINCIPAL).fetchone() or ("", False, False, [])
    notes = [f"member of {', '.join(roles)}"] if roles else []
    notes += ["superuser"] if superuser else ["bypasses row security"] if bypass else []
    settings = dict(connection.execute(_SETTINGS).fetchall())
    rows = {row[0]: row for row in connection.execute(_RELATIONS).fetchall()}
    todo = [oid for oid, row in rows.items() if row[2] in words]
    relations: dict[str, Relation] = {}
    seen: set[int] = set()
    while todo:
        oid = todo.pop()
        if oid in seen or oid not in rows:
            continue
        seen.add(oid)
        called: list[str] = []
        below: list[int] = []
        for kind, other, text in connection.execute(_BEHIND, (oid,)).fetchall():
            if kind == "pg_proc":
                called.append(text)
            else:
                below.append(other)
        todo += below
        relations[_name(rows[oid])] = _relation(connection, rows[oid], called)
    return View(f"{name} ({'; '.join(notes)})" if notes else name, settings, relations)


def _relation(connection: psycopg.Connection[Any], row: tuple[Any, ...], called: list[str]) -> Relation:
    oid, _, _, kind, readable, row_security, definition = row
    columns = connection.execute(_COLUMNS, (oid,)).fetchall()
    policies = connection.execute(_POLICIES, (oid,)).fetchall() if row_security else []
    if row_security and not policies:
        policies = [("(none)", "false")]
    relation = Relation(
        kind=_KINDS[kind],
        readable=readable,
        columns=tuple(sorted(name for name, seen in columns if seen)),
        hidden=tuple(sorted(name for name, seen in columns if not seen)),
        policies=dict(policies),
        labels=dict(connection.execute(_LABELS, (oid,)).fetchall()),
    )
    told = [definition, *sorted(called)]
    return defined(relation, of_bytes(canonical(told)), told) if definition else relation


def _name(row: tuple[Any, ...]) -> str:
    return row[2] if row[1] == "public" else f"{row[1]}.{row[2]}"
