"""States as OCI artifacts: building and parsing manifests and the index, byte for byte the same everywhere.

After the OCI image specification 1.1 (manifest.md, image-layout.md, annotations.md). Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from replay.digest import Digest, canonical, of_bytes
from replay.store.base import BlobRef

LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
"""The content of the file `oci-layout`."""

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
STATE_TYPE = "application/vnd.replay.state.v1+json"
ARTIFACT_TYPE: Final = "application/vnd.replay.state.v1"

REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
RUN = "dev.replay.run"

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
"""What stands for "no layers": the specification asks for at least one."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def encode(self) -> bytes:
        """Return the canonical JSON of this part."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the part; fields we do not know are passed over. Raises pydantic.ValidationError."""
        return cls.model_validate_json(data)


class Descriptor(_Part):
    """A pointer to a blob: what it is, its digest and its size in bytes."""

    media_type: str
    digest: Digest
    size: int = Field(ge=0)
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None

    def annotation(self, key: str) -> str | None:
        """Return one annotation, or None."""
        return (self.annotations or {}).get(key)


class Manifest(_Part):
    """The manifest of a state: the state is its config, the layers are the blobs it refers to."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.manifest.v1+json"] = MANIFEST_TYPE
    artifact_type: Literal["application/vnd.replay.state.v1"] = ARTIFACT_TYPE
    config: Descriptor
    layers: tuple[Descriptor, ...]

    def descriptor(self) -> Descriptor:
        """Return the pointer to this manifest."""
        data = self.encode()
        return Descriptor(media_type=MANIFEST_TYPE, digest=of_bytes(data), size=len(data), artifact_type=ARTIFACT_TYPE)


class Index(_Part):
    """The layout's `index.json`: one descriptor for each tag."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.index.v1+json"] = INDEX_TYPE
    manifests: tuple[Descriptor, ...] = ()

    def tags(self) -> dict[str, Descriptor]:
        """Return the tagged descriptors by tag, in order of name."""
        named = ((entry.annotation(REF_NAME), entry) for entry in self.manifests)
        return dict(sorted((name, entry) for name, entry in named if name is not None))

    def pointing(self, tag: str, manifest: Descriptor, run: str | None) -> Index:
        """Return this index with `tag` at `manifest`, and at `run` where there is one."""
        annotations = {REF_NAME: tag} | ({RUN: run} if run is not None else {})
        tags = self.tags() | {tag: manifest.model_copy(update={"annotations": annotations})}
        return Index(manifests=tuple(tags[name] for name in sorted(tags)))


def manifest(state: bytes, blobs: Iterable[BlobRef]) -> Manifest:
    """Return the manifest of a state, given its canonical JSON and the blobs it refers to, in any order.

    Without blobs its one layer is the blob `EMPTY`, which must be kept too.
    """
    refs = sorted(set(blobs), key=lambda ref: (ref.title, ref.digest, ref.media_type))
    layers = [
        Descriptor(media_type=ref.media_type, digest=ref.digest, size=ref.size, annotations={TITLE: ref.title})
        for ref in refs
    ]
    empty = Descriptor(media_type=EMPTY_TYPE, digest=of_bytes(EMPTY), size=len(EMPTY))
    config = Descriptor(media_type=STATE_TYPE, digest=of_bytes(state), size=len(state))
    return Manifest(config=config, layers=tuple(layers or [empty]))
