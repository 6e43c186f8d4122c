"""Images in a registry for tests: a base with a variable of its own, pushed as other tools push."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Shelf:
    """A repository of a registry, to push to; `digest` names what was pushed."""

    host: str
    name: str

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        """Push a blob; return its descriptor."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with self._ask("POST", "blobs/uploads/", b"") as begun:
            location = begun.headers["Location"]
        sign = "&" if "?" in location else "?"
        with self._ask("PUT", f"{location}{sign}digest={digest}", data, "application/octet-stream"):
            return {"mediaType": kind, "digest": digest, "size": len(data)}

    def manifest(self, document: dict[str, Any], tag: str, kind: str) -> str:
        """Point a tag at a manifest or index; return its digest."""
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
        with self._ask("PUT", f"manifests/{tag}", data, kind):
            return "sha256:" + hashlib.sha256(data).hexdigest()

    def image(self, base: Path, tag: str, own: str, architecture: str = "amd64") -> str:
        """Push the image of a base's archive with a variable OWN, its layer compressed; return its digest."""
        config, layer = _read(base)
        config["config"]["Env"].append(f"OWN={own}")
        config["architecture"] = architecture
        told = self.blob(json.dumps(config).encode(), f"{OCI}.config.v1+json")
        layers = [self.blob(layer, f"{OCI}.layer.v1.tar+gzip")]
        return self.manifest({"config": told, "layers": layers}, tag, f"{OCI}.manifest.v1+json")

    def index(self, tag: str, **by_architecture: str) -> str:
        """Point a tag at an index of manifests that were pushed, by architecture; return its digest."""
        listed = []
        for architecture, digest in by_architecture.items():
            with self._ask("GET", f"manifests/{digest}", None, accept=f"{OCI}.manifest.v1+json") as answer:
                size = len(answer.read())
            platform = {"os": "linux", "architecture": architecture}
            one = {"mediaType": f"{OCI}.manifest.v1+json", "digest": digest, "size": size, "platform": platform}
            listed.append(one)
        return self.manifest({"manifests": listed}, tag, f"{OCI}.index.v1+json")

    def told(self, digest: str) -> dict[str, Any]:
        """The manifest of a digest."""
        with self._ask("GET", f"manifests/{digest}", None, accept=f"{OCI}.manifest.v1+json") as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def _ask(self, method: str, path: str, data: bytes | None, kind: str = "", accept: str = "") -> Any:
        url = path if path.startswith("http") else f"http://{self.host}/v2/{self.name}/{path}"
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(url, data, {**headers, "Accept": accept or "*/*"}, method=method)
        return urllib.request.urlopen(request, timeout=60)


@cache
def _layer(base: Path) -> bytes:
    with tarfile.open(base) as archive:
        content = archive.extractfile(next(member for member in archive if member.name.endswith("/layer.tar")))
        assert content
        return gzip.compress(content.read(), 1, mtime=0)


def _read(base: Path) -> tuple[dict[str, Any], bytes]:
    """Return the config of a base's archive and its one layer, compressed."""
    with tarfile.open(base) as archive:
        listed = archive.extractfile("manifest.json")
        assert listed
        content = archive.extractfile(json.loads(listed.read())[0]["Config"])
        assert content
        return json.loads(content.read()), _layer(base)
