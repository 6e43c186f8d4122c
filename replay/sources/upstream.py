"""Where a declared service really is, and how the job is told where its stand-in is."""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from replay.config import Config
from replay.declared import ServiceSource
from replay.errors import ConfigError, InputError
from replay.sources import wire
from replay.sources.tape import Kind, Service, placeholder

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KINDS: dict[str, Kind] = {"http": "http", "https": "http", "postgresql": "postgresql", "postgres": "postgresql"}
_FIRST_PORT = 20001
_PATIENCE = 30


@dataclass(frozen=True)
class Address:
    """A PostgreSQL server and who logs in; `host` is a name or the folder of its socket."""

    host: str
    port: int
    user: str
    database: str
    password: str
    sslmode: str

    def arguments(self) -> dict[str, Any]:
        """Return what psycopg's `connect` is told."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
            "password": self.password or None,
            "sslmode": self.sslmode,
            "connect_timeout": _PATIENCE,
        }

    def dial(self) -> socket.socket:
        """Return a connection, encrypted where `sslmode` asks for it. Raises OSError."""
        if self.host.startswith("/"):
            there = socket.socket(socket.AF_UNIX)
            there.settimeout(_PATIENCE)
            there.connect(str(PurePosixPath(self.host) / f".s.PGSQL.{self.port}"))
        else:
            there = socket.create_connection((self.host, self.port), _PATIENCE)
            there = self._encrypted(there)
        there.settimeout(None)
        return there

    def _encrypted(self, plain: socket.socket) -> socket.socket:
        if self.sslmode in {"disable", "allow"}:
            return plain
        plain.sendall(wire.startup(struct.pack("!I", wire.TLS)))
        if plain.recv(1) != b"S":
            if self.sslmode == "prefer":
                return plain
            raise OSError(0, "the server does not take encrypted connections")
        context = ssl.create_default_context()
        if not self.sslmode.startswith("verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True)
class Upstream:
    """A service as it is now. `env` are the job's variables while it is recorded, the secret ones in `secrets`.

    `hidden` are the values (name: value) that nothing may show. `origin` of HTTP, `address` of PostgreSQL.
    """

    env: Mapping[str, str]
    secrets: Mapping[str, str]
    hidden: Mapping[str, str]
    origin: str | None = None
    address: Address | None = None


def find(config: Config, environ: Mapping[str, str]) -> dict[str, tuple[Service, Upstream]]:
    """Return every declared service as it stands in a state, with nothing asked yet, and where it is now.

    Raises ConfigError for a variable that is not set and for a kind of URI that is not known.
    """
    found = {}
    secret = {name: environ[name] for name in config.runtime.secrets if environ.get(name)}
    for index, (name, declared) in enumerate(sorted(config.services.items())):
        uri = expanded(declared.uri, environ, name)
        try:
            make = _http if kind_of(uri) == "http" else _postgresql
            found[name] = make(name, declared, uri, (_FIRST_PORT + index, environ, secret))
        except (ValueError, KeyError):
            raise _unknown(name) from None
    return found


def kind_of(uri: str) -> Kind:
    """Return the kind of service a URI names. Raises KeyError, or ValueError for what is no URI."""
    return _KINDS[urlsplit(uri).scheme.partition("+")[0]]


def variables_in(text: str) -> list[str]:
    """Return the names of the `${NAME}` in a text."""
    return _VARIABLE.findall(text)


def expanded(uri: str, environ: Mapping[str, str], name: str) -> str:
    """Return a URI with its `${NAME}` filled in. Raises ConfigError, in which no value stands."""

    def value(match: re.Match[str]) -> str:
        if not environ.get(match[1]):
            raise ConfigError(
                f"the source {name} needs the variable {match[1]}, which is not set here",
                cause=f"its uri in replay.toml holds ${{{match[1]}}}",
                do=f"export {match[1]} and try again",
            )
        return environ[match[1]]

    return _VARIABLE.sub(value, uri)


Place = tuple[int, Mapping[str, str], dict[str, str]]


def _http(name: str, declared: ServiceSource, uri: str, place: Place) -> tuple[Service, Upstream]:
    port, _, secret = place
    there = urlsplit(uri)
    if not there.hostname:
        raise ValueError(uri)
    hidden = dict(secret)
    login = there.netloc.rpartition("@")[0]
    if there.password:
        hidden[f"{name}-password"] = there.password
    here = there._replace(scheme="http", netloc=f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}").geturl()
    live = {declared.given: here} if declared.given else {}
    env = {variable: _hide(value, hidden) for variable, value in live.items()}
    origin = f"{there.scheme}://{there.netloc.rpartition('@')[2]}"
    service = Service(kind="http", uri=shown_uri(declared.uri), env=env, port=port)
    return service, _upstream(live, env, hidden, origin=origin)


def _postgresql(name: str, declared: ServiceSource, uri: str, place: Place) -> tuple[Service, Upstream]:
    port, environ, secret = place
    address = address_of(uri, environ)
    hidden = dict(secret)
    if address.password:
        hidden[f"{name}-password"] = address.password
    if declared.given:
        there = urlsplit(uri)
        login = there.netloc.rpartition("@")[0]
        more = [(key, value) for key, value in parse_qsl(there.query) if key not in {"host", "port", "sslmode"}]
        netloc = f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}"
        live = {declared.given: there._replace(netloc=netloc, query=urlencode(more)).geturl()}
    else:
        live = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": address.user, "PGDATABASE": address.database}
    env = {variable: _hide(value, hidden) for variable, value in live.items()}
    if not declared.given and address.password:
        live["PGPASSWORD"] = address.password
    service = Service(kind="postgresql", uri=shown_uri(declared.uri), env=env, port=port)
    return service, _upstream(live, env, hidden, address=address)


def address_of(uri: str, environ: Mapping[str, str]) -> Address:
    """Return where a `postgresql://` URI leads, after libpq's rules and variables. Raises ValueError."""
    there = urlsplit(uri)
    more = dict(parse_qsl(there.query))
    user = unquote(there.username or "") or more.get("user") or environ.get("PGUSER") or environ.get("USER") or ""
    path = unquote(there.path.lstrip("/"))
    return Address(
        host=more.get("host") or unquote(there.hostname or "") or environ.get("PGHOST") or "/var/run/postgresql",
        port=int(more.get("port") or there.port or environ.get("PGPORT") or 5432),
        user=user,
        database=path or more.get("dbname") or environ.get("PGDATABASE") or user,
        password=unquote(there.password or "") or more.get("password") or environ.get("PGPASSWORD") or "",
        sslmode=more.get("sslmode") or environ.get("PGSSLMODE") or "prefer",
    )


def shown_uri(uri: str) -> str:
    """Return a declared URI without a password that was written into it, or into its parameters."""
    uri = re.sub(r"(?<=://)([^/@:]*):(?!\$\{)[^/@]*@", r"\1:…@", uri)
    return re.sub(r"(?i)([?&](?:password|token|api[_-]?key|key|secret|sig\w*)=)(?!\$\{)[^&#]*", r"\1…", uri)


def _upstream(
    live: dict[str, str],
    env: dict[str, str],
    hidden: dict[str, str],
    *,
    origin: str | None = None,
    address: Address | None = None,
) -> Upstream:
    secrets = {name: value for name, value in live.items() if env.get(name) != value}
    plain = {name: value for name, value in live.items() if name not in secrets}
    return Upstream(env=plain, secrets=secrets, hidden=hidden, origin=origin, address=address)


def _hide(value: str, hidden: Mapping[str, str]) -> str:
    for name, secret in sorted(hidden.items(), key=lambda item: -len(item[1])):
        for form in {secret, quote(secret, safe="")}:
            value = value.replace(form, placeholder(name))
    return value


def _unknown(name: str) -> ConfigError:
    return ConfigError(
        f"the source {name} has a uri that cannot be used",
        cause="it is not of the form http(s)://HOST/… or postgresql://USER@HOST/DATABASE",
        do=f"correct uri under {name} in replay.toml, or the variables in it",
    )


def unanswered(name: str, missed: list[str]) -> InputError:
    """Return the error for questions that the recorded service was never asked."""
    more = f" (and {len(missed) - 1} more)" if len(missed) > 1 else ""
    return InputError(
        f"the job asked {name} what was not asked when the state was bound: {missed[0][:300]!r}{more}",
        cause="its code, its libraries or its data lead to another request than the recorded run made",
        do="bind the job again where the source can be reached: replay run",
    )
