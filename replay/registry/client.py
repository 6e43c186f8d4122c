"""A repository of a registry: is a blob there, send it, fetch it. OCI distribution specification 1.1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from replay.digest import CHUNK, of_bytes
from replay.errors import RegistryError
from replay.registry.http import Http, answering, limited
from replay.registry.reference import Reference
from replay.store.oci import MANIFEST_TYPE

if TYPE_CHECKING:
    from requests import Response

MOST_MANIFEST = 4 << 20
"""What registries take, and so what we do (OCI distribution specification, "Pushing Manifests")."""


class Repository:
    """The repository that a reference names."""

    def __init__(self, where: Reference, http: Http) -> None:
        self.where = where
        self._http = http
        self._root = f"/v2/{where.name}"

    def has(self, digest: str) -> bool:
        """Whether the repository holds a blob. Raises RegistryError."""
        with closing(self._http.send("HEAD", f"{self._root}/blobs/{digest}", {200, 404})) as answer:
            return answer.status_code == 200

    def upload(self, digest: str, file: Path, origin: str | None) -> bool:
        """Send a blob; return whether it was taken over from the repository `origin` instead. Raises RegistryError."""
        params = {"mount": digest, "from": origin} if origin else None
        with closing(self._http.send("POST", f"{self._root}/blobs/uploads/", {201, 202}, params=params)) as begun:
            if begun.status_code == 201:
                return True
            location = begun.headers.get("Location", "")
        # An empty file would be sent in chunks, which not every registry takes.
        body = file if file.stat().st_size > CHUNK else file.read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        self._http.send("PUT", location, {201}, body=body, headers=headers, params={"digest": digest}).close()
        return False

    def download(self, digest: str, size: int, target: Path) -> None:
        """Write a blob of `size` bytes to a new file, hashed on its way. Raises RegistryError, OSError."""
        hashed = hashlib.sha256()
        with target.open("xb") as file:
            for chunk in self._chunks(digest, size):
                hashed.update(chunk)
                file.write(chunk)
        if "sha256:" + hashed.hexdigest() != digest:
            raise _other(self.where.host, digest)

    def read(self, digest: str, size: int) -> bytes:
        """Return a blob of `size` bytes. Raises RegistryError."""
        data = b"".join(self._chunks(digest, size))
        if of_bytes(data) != digest:
            raise _other(self.where.host, digest)
        return data

    def manifest(self, digest: str | None = None, kinds: Sequence[str] = (MANIFEST_TYPE,)) -> bytes:
        """Return the manifest of a digest, by default that which the reference names; `kinds` are media types to take.

        Raises RegistryError.
        """
        digest = digest or self.where.digest
        address = f"{self._root}/manifests/{digest or self.where.tag}"
        with self._asked(address, {200}, {"Accept": ", ".join(kinds)}) as answer:
            data = limited(answer, MOST_MANIFEST)
        if digest and of_bytes(data) != digest:
            raise _other(self.where.host, digest)
        return data

    def tagged(self, tag: str) -> str | None:
        """Return the digest of the manifest that a tag points at, None where there is no such tag."""
        address = f"{self._root}/manifests/{tag}"
        with self._asked(address, {200, 404}, {"Accept": MANIFEST_TYPE}) as answer:
            return of_bytes(limited(answer, MOST_MANIFEST)) if answer.status_code == 200 else None

    def put_manifest(self, data: bytes, tag: str) -> None:
        """Point a tag at a manifest whose blobs are all there. Raises RegistryError."""
        headers = {"Content-Type": MANIFEST_TYPE}
        self._http.send("PUT", f"{self._root}/manifests/{tag}", {201}, body=data, headers=headers).close()

    def _chunks(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield exactly `size` bytes. Raises RegistryError where there are more or fewer."""
        left = size
        with self._asked(f"{self._root}/blobs/{digest}", {200}, {"Accept-Encoding": "identity"}) as answer:
            for chunk in answer.iter_content(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _other(self.where.host, digest)
                yield chunk
        if left:
            raise _other(self.where.host, digest)

    @contextmanager
    def _asked(self, address: str, expect: set[int], headers: dict[str, str]) -> Iterator[Response]:
        with answering(self.where.host), closing(self._http.send("GET", address, expect, headers=headers)) as answer:
            yield answer


def _other(host: str, digest: str) -> RegistryError:
    return RegistryError(
        f"{host} gave other bytes than {digest} has",
        cause="the transfer broke off, the registry is damaged, or somebody tampered with it",
        do="repeat it; if it stays so, do not use it and ask whoever pushed it",
    )
