"""`REGISTRY/NAME[:TAG]`: where a state is carried to or from. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from replay.errors import RegistryError
from replay.store.refs import DIGEST, shown

# The grammar of names and tags is that of the OCI distribution specification 1.1.
_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,250}|\[[0-9A-Fa-f:]{2,45}\])(?::[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST = 255

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Reference:
    """A place in a registry: `host` with its port, the repository's `name`, and `tag` or `digest` of a manifest."""

    host: str
    name: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def on_this_machine(self) -> bool:
        """Whether the registry is reached without leaving this machine."""
        return re.sub(r":[0-9]+$", "", self.host) in _LOOPBACK


def parse(text: str) -> Reference:
    """Return what `REGISTRY/NAME[:TAG][@DIGEST]` stands for. Raises RegistryError."""
    if re.match(r"[^/]*@", text) or "://" in text:
        # What stands before an `@` may be a password: it is not repeated.
        raise _odd("that is no REGISTRY/NAME:TAG: it begins with a scheme or with a user")
    host, _, path = text.partition("/")
    path, at, digest = path.partition("@")
    name, colon, tag = path.partition(":")
    fits = (
        ("." in host or ":" in host or host == "localhost")
        and _HOST.fullmatch(host)
        and len(name) <= _LONGEST
        and _NAME.fullmatch(name)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or DIGEST.fullmatch(digest))
    )
    if not fits:
        raise _odd(f"'{shown(text)}' is no REGISTRY/NAME:TAG")
    return Reference(host, name, tag or None, digest or None)


def _odd(what: str) -> RegistryError:
    return RegistryError(
        what,
        cause="a registry is a host with a dot or a port, a name is of small letters and digits, no scheme before it",
        do="write it like registry.example.org/team/churn:september; log in with `docker login REGISTRY`",
    )
