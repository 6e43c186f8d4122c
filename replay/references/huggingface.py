"""Files of Hugging Face repositories: a dataset's or a model's file, or every file below a folder, at a commit.

Two routes of the hub, which its proxies have as well: `/api/…/revision/REV` names commit and files, and
`/…/resolve/COMMIT/FILE` gives a file, with `X-Linked-Size` and `X-Linked-Etag` (its SHA-256) where its content lies
elsewhere. https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

from replay.authorization import Authorization
from replay.digest import CHUNK, canonical, of_bytes
from replay.errors import InputError
from replay.references.base import Found, Gone, Reference, Refused

if TYPE_CHECKING:
    from requests import Response, Session

PATIENCE = (10, 60)
"""Seconds to wait for a connection, and for the next bytes on it."""

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_AT = re.compile(
    rf"hf://(?!spaces/|buckets/)(?P<kind>datasets/)?(?P<repo>{_NAME}/{_NAME})"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[\w.-]+|[^/@]+))?/(?P<path>.*)",
    re.ASCII,
)
_ADDRESS = re.compile(r"(?P<path>[^?]+)\?commit=(?P<commit>[0-9a-f]{40})")
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
_CODE = re.compile(r"[A-Za-z]{1,40}")
_MISSING = {"RepoNotFound", "RevisionNotFound", "EntryNotFound"}


@dataclass(frozen=True)
class HuggingFace:
    """`hf://datasets/ORG/NAME[@REVISION]/FILE`, without `datasets/` of a model; with `FOLDER/` all that is below it.

    The endpoint and the token are those of the environment (HF_ENDPOINT, HF_TOKEN), as the hub's own tools take them.
    """

    at: str
    environ: Mapping[str, str]

    def find(self, path: str) -> Found:
        """See Origin."""
        inner = self._named["path"]
        folder = not inner or inner.endswith("/")
        who = self._principal()
        try:
            commit, names = self._resolved()
            wanted = [name for name in names if name.startswith(inner)] if folder else [inner]
            if not wanted:
                raise Refused("missing", f"no file of {commit[:12]} lies in {inner}")
            sizes = {name: self._size(commit, name) for name in wanted}
        except Refused as error:
            raise Refused(error.word, str(error), who) from None
        places = {name: f"{path}/{name.removeprefix(inner)}" if folder else path for name in wanted}
        parts = {place: f"{quote(name)}?commit={commit}" for name, place in places.items()}
        several = {"files": str(len(parts)), "names": of_bytes(canonical(sorted(parts)))[7:19]} if folder else {}
        return Found(
            kind="huggingface",
            identity={"commit": commit, **several},
            parts=parts,
            size=sum(sizes.values()),
            folder=folder,
            principal=who,
        )

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin. Raises InputError too, where what came is not what the hub says it is."""
        commit, name = _place(address)
        target, hashed = scratch / "file", hashlib.sha256()
        with self._told():
            try:
                answer = self._asked("GET", self._file(commit, name), stream=True)
            except Refused as error:
                raise _gone(name, commit, error) from None
            with answer, target.open("wb") as out:
                for piece in answer.iter_content(CHUNK):
                    hashed.update(piece)
                    out.write(piece)
        told = [_SHA256.fullmatch(one.headers.get("X-Linked-Etag", "")) for one in (*answer.history, answer)]
        if any(match and match[1] != hashed.hexdigest() for match in told):
            raise self._trouble(f"{name} came with other content than the hub says it has")
        return target

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        for address in reference.parts.values():
            commit, name = _place(address)
            try:
                self._size(commit, name)
            except Refused as error:
                return str(_gone(name, commit, error))
        return None

    @cached_property
    def _named(self) -> dict[str, str]:
        match = _AT.fullmatch(self.at)
        if match is None or not _is_inside(match["path"]):
            raise InputError(
                f"{self.at[:200]!r} names no file of a Hugging Face repository",
                cause="it is not ORGANISATION/NAME with a file, or a folder and a slash, behind it",
                do="write hf://datasets/ORG/NAME@main/data/train.parquet (a model's file: without datasets/)",
            )
        return {name: found or "" for name, found in match.groupdict().items()}

    @property
    def _endpoint(self) -> str:
        return (self.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")

    @property
    def _token(self) -> str:
        token = self.environ.get("HF_TOKEN", "").strip()
        if token and not re.fullmatch(r"[\x21-\x7e]+", token):
            raise InputError(
                "HF_TOKEN holds no token",
                cause="it has characters that no token has: a line end in between, or another file's content",
                do="set it to the token alone (hf_…), or leave it out for what is public",
            )
        return token

    @cached_property
    def _session(self) -> Session:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        again = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), raise_on_status=False)
        session = requests.Session()
        token = self._token
        session.auth = Authorization(f"Bearer {token}" if token else None)  # nobody it redirects to is sent it
        session.headers["Accept-Encoding"] = "identity"  # a size that is told is the content's
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        return session

    def _resolved(self) -> tuple[str, list[str]]:
        """Return the commit that the revision is now, and its files. Raises Refused, InputError."""
        revision = quote(self._named["revision"] or "main", safe="")
        kind = self._named["kind"] or "models/"
        with self._told():
            told = self._asked("GET", f"{self._endpoint}/api/{kind}{self._named['repo']}/revision/{revision}").json()
            commit, names = str(told["sha"]), [str(one["rfilename"]) for one in told.get("siblings") or ()]
            if not re.fullmatch(r"[0-9a-f]{40}", commit) or not all(map(_is_inside, names)):
                raise ValueError("it names a commit or a file in a way that cannot be")
        return commit, names

    def _size(self, commit: str, name: str) -> int:
        """Return a file's size in bytes without reading it. Raises Refused, InputError."""
        url = self._file(commit, name)
        with self._told():
            answer = self._asked("HEAD", url, allow_redirects=False)
            where = answer.headers.get("Location", "")
            if "X-Linked-Size" not in answer.headers and re.match(r"/(?!/)", where):
                answer = self._asked("HEAD", urljoin(url, where), allow_redirects=False)
            return int(answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or 0)

    def _file(self, commit: str, name: str) -> str:
        return f"{self._endpoint}/{self._named['kind']}{self._named['repo']}/resolve/{commit}/{quote(name)}"

    def _principal(self) -> str:
        """Return who asks, as the hub names the owner of the token; empty without one, or where it does not tell."""
        if not self._token:
            return ""
        try:
            with self._told():
                return str(self._asked("GET", f"{self._endpoint}/api/whoami-v2").json()["name"])[:100]
        except (Refused, InputError):
            return ""

    def _asked(self, method: str, url: str, **how: Any) -> Response:
        answer = self._session.request(method, url, timeout=PATIENCE, **how)
        if answer.status_code < 400:
            return answer
        answer.close()
        told = answer.headers.get("X-Error-Code", "")
        code = told if _CODE.fullmatch(told) else f"status {answer.status_code}"
        if code in _MISSING or answer.status_code in (404, 410):
            raise Refused("missing", code)
        if answer.status_code in (401, 403):
            raise Refused("denied", code)
        raise ValueError(code)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what goes wrong on the way into trouble without any address or header in it."""
        from requests import RequestException

        try:
            yield
        except RequestException as error:
            raise self._trouble(type(error).__name__) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._trouble(str(error)) from None

    def _trouble(self, words: str) -> InputError:
        return InputError(
            f"{self.at} gave no answer: {words[:200]}",
            cause="the hub cannot be reached, is busy, or something else answers at HF_ENDPOINT",
            do="check the network and HF_ENDPOINT, then repeat",
        )


def _place(address: str) -> tuple[str, str]:
    """Return the commit and the file of a part. Raises Gone: a state may name anything."""
    match = _ADDRESS.fullmatch(address)
    name = unquote(match["path"]) if match else ""
    if match is None or not _is_inside(name):
        raise Gone(f"its part {address[:80]!r} is no file of a commit")
    return match["commit"], name


def _is_inside(name: str) -> bool:
    return not ({".", ".."} & set(name.split("/"))) and not PurePosixPath(name).is_absolute() and name.isprintable()


def _gone(name: str, commit: str, error: Refused) -> Gone:
    if error.word == "missing":
        return Gone(f"{name} at commit {commit[:12]} is there no more: deleted, made private, or its history rewritten")
    return Gone(f"{name} at commit {commit[:12]} may not be read ({error}): HF_TOKEN says who asks")
