"""HTTP with one registry: its authentication, its errors, and nothing of a secret in either.

After the OCI distribution specification 1.1 and the token flow that all registries share
(https://distribution.github.io/distribution/spec/auth/token/).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from replay.authorization import Authorization
from replay.digest import CHUNK
from replay.errors import RegistryError
from replay.registry.credentials import Credentials, find
from replay.registry.reference import Reference
from replay.store.refs import shown

if TYPE_CHECKING:
    from requests import Response, Session

HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Docker's own registry answers under another name than the one it goes by."""

PATIENCE = (10, 120)
"""Seconds to wait for a connection, and for the next bytes on it."""

SMALL = 1 << 20
"""An answer that is no blob is read up to so many bytes."""

AT_ONCE = 6
"""So many requests side by side."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_CODE = re.compile(r"[A-Z_]{1,40}")


class Http:
    """Requests to the registry of `where`. Over https, unless it is on this machine or `plain` says otherwise."""

    def __init__(self, where: Reference, plain: bool = False) -> None:
        self.host = where.host
        self.plain = plain or where.on_this_machine
        self.base = f"{'http' if self.plain else 'https'}://{HUB.get(self.host, self.host)}"
        self._authorization: str | None = None
        self._session = _session(self.plain)

    def send(
        self,
        method: str,
        address: str,
        expect: Collection[int],
        *,
        body: bytes | Path | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the answer to a request, its body not yet read; `address` is a path or what the registry named.

        Raises RegistryError where there is none, or none with a status in `expect`.
        """
        url = urljoin(f"{self.base}/", address)
        ours = _origin(url) == _origin(self.base)
        if not self.plain and urlsplit(url).scheme != "https":
            raise _downgraded(self.host)
        with answering(self.host):
            for last in (False, True):
                with ExitStack() as files:
                    data = files.enter_context(body.open("rb")) if isinstance(body, Path) else body
                    auth = Authorization(self._authorization if ours else None)
                    response = self._session.request(
                        method, url, data=data, headers=headers, params=params, auth=auth, stream=True, timeout=PATIENCE
                    )
                if response.status_code != 401 or last or not ours:
                    break
                self._authorization = self._answer(response.headers.get("WWW-Authenticate", ""))
        if response.status_code in expect:
            return response
        raise _refused(self.host, response)

    def _answer(self, challenge: str) -> str:
        """Return the header that answers a challenge. Raises RegistryError."""
        from requests.utils import parse_dict_header

        scheme, _, rest = challenge.strip().partition(" ")
        known = find(self.host)
        if scheme.lower() == "basic" and known and known.user:
            return _basic(known)
        asked = parse_dict_header(rest)  # type: ignore[no-untyped-call]
        if scheme.lower() == "bearer" and asked.get("realm"):
            return f"Bearer {self._token({k: str(v) for k, v in asked.items()}, known)}"
        raise _unknown_here(self.host)

    def _token(self, asked: Mapping[str, str], known: Credentials | None) -> str:
        url = asked["realm"]
        if urlsplit(url).scheme != "https" and not self.plain:
            raise _downgraded(self.host)
        wanted = {key: asked[key] for key in ("service", "scope") if key in asked}
        if known and known.identity:
            form = wanted | {"grant_type": "refresh_token", "refresh_token": known.identity, "client_id": "replay"}
            response = self._session.post(url, data=form, auth=Authorization(None), stream=True, timeout=PATIENCE)
        else:
            own = Authorization(_basic(known) if known else None)
            response = self._session.get(url, params=wanted, auth=own, stream=True, timeout=PATIENCE)
        if response.status_code in (401, 403):
            raise _unknown_here(self.host)
        if response.status_code != 200:
            raise _refused(self.host, response)
        try:
            told = json.loads(limited(response, SMALL))
            token = told.get("token") or told.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            return token
        raise _odd(self.host, "what hands out its tokens answered with something else")


def limited(response: Response, most: int) -> bytes:
    """Return an answer's body. Raises RegistryError where it is larger than `most` bytes."""
    held = bytearray()
    for chunk in response.iter_content(CHUNK):
        held += chunk
        if len(held) > most:
            response.close()
            raise _odd(urlsplit(response.url).netloc, f"an answer is larger than {most} bytes")
    return bytes(held)


@contextmanager
def answering(host: str) -> Iterator[None]:
    """Turn what goes wrong on the way to a registry into a RegistryError without any address or header in it."""
    from requests import exceptions

    try:
        yield
    except exceptions.SSLError:
        raise RegistryError(
            f"{host} cannot be trusted: its certificate does not verify",
            cause="it is signed by an authority that this machine does not know, or something stands between",
            do="name the authority's certificate in REQUESTS_CA_BUNDLE; a registry without TLS takes --plain-http",
        ) from None
    except exceptions.RequestException as error:
        raise RegistryError(
            f"{host} did not answer, or stopped in between ({type(error).__name__})",
            cause="the network, a proxy or the registry is down, or the name is misspelt",
            do="check the name and the network, then repeat: what of a state was carried is not carried again",
        ) from None


def _basic(known: Credentials) -> str:
    return f"Basic {b64encode(f'{known.user}:{known.password}'.encode()).decode()}"


def _session(plain: bool) -> Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    class Careful(requests.Session):
        """A redirection never leads from https to http, and takes no credentials to another host."""

        def get_redirect_target(self, resp: Any) -> Any:
            target = super().get_redirect_target(resp)
            if target and not plain and urlsplit(urljoin(resp.url, target)).scheme != "https":
                raise _downgraded(urlsplit(resp.url).netloc)
            return target

        def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
            if self.should_strip_auth(response.request.url, prepared_request.url):  # type: ignore[no-untyped-call]
                prepared_request.headers.pop("Authorization", None)

    session = Careful()
    session.max_redirects = 5
    again = Retry(
        total=3,
        backoff_factor=0.5,
        status_forcelist=(429, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
        redirect=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=AT_ONCE, max_retries=again))
    return session


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refused(host: str, response: Response) -> RegistryError:
    codes = _codes(response)
    said = f"HTTP {response.status_code}{f', {codes}' if codes else ''}"
    if response.status_code in (401, 403):
        return _unknown_here(host, said)
    if response.status_code == 404:
        return RegistryError(
            f"{host} does not have it ({said})",
            cause="the name or tag is misspelt, was never pushed, or is not for you to see",
            do=f"check the name; log in with `docker login {host}` if it is private",
        )
    return RegistryError(
        f"{host} refuses ({said})",
        cause="it is overloaded, full or read-only, or does not take what is no container image",
        do="repeat it later: what was carried already is not carried again; or ask who runs the registry",
    )


def _codes(response: Response) -> str:
    """Return a registry's own words for an error: its codes, because its messages may repeat what we sent."""
    try:
        errors = json.loads(limited(response, SMALL))["errors"]
        return ", ".join(str(one["code"]) for one in errors[:3] if _CODE.fullmatch(str(one["code"])))
    except (RegistryError, ValueError, TypeError, KeyError, RecursionError, OSError):
        return ""


def _unknown_here(host: str, said: str = "HTTP 401") -> RegistryError:
    return RegistryError(
        f"{shown(host)} does not let you do this ({said})",
        cause="it wants credentials, those that Docker keeps are refused, or they do not allow it",
        do=f"log in: docker login {shown(host)}",
    )


def _downgraded(host: str) -> RegistryError:
    return _odd(host, "it leads from https to an address without encryption")


def _odd(host: str, what: str) -> RegistryError:
    return RegistryError(
        f"{shown(host)} does not answer as a registry does: {what}",
        cause="it is something else, or something stands between",
        do="check the name; with --plain-http a registry of your own network may do without TLS",
    )
