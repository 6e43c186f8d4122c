"""The Release State: everything that decides a job's outputs, layer by layer, by content.

Pure: nothing here opens a file, a socket or a container.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from replay.digest import Digest, canonical, of_bytes

LAYERS = ("schema", "data", "pipeline", "model", "runtime", "access")
"""The six layers, in the order in which reports name them."""

INPUTS = ("schema", "data")
"""Two views of one snapshot: they are swapped together."""

STATE_FORMAT = "replay.state/1"


class Document(BaseModel):
    """A value that is stored by the digest of its canonical JSON: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def encode(self) -> bytes:
        """Return the canonical JSON that names this document.

        What stands at its default is not written (its `format` always is): a version of Replay that knows one more
        field gives the documents of older ones the names they have.
        """
        told = self.model_dump(mode="json", exclude_defaults=True)
        return canonical(told | ({"format": self.format} if "format" in type(self).model_fields else {}))  # type: ignore[attr-defined]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the document written by `encode`. Raises pydantic.ValidationError on anything else."""
        return cls.model_validate_json(data)

    @property
    def digest(self) -> str:
        """The digest of the canonical JSON."""
        return of_bytes(self.encode())


class FileEntry(Document):
    """One file by content. `size` in bytes."""

    blob: Digest
    size: int
    executable: bool = False


class ReleaseState(Document):
    """What a job's outputs depend on. Its id is its digest: the same on every machine.

    `layers` names the document of each layer by digest; `outputs` maps an output's name to its path
    in the project.
    """

    format: str = STATE_FORMAT
    job: str
    outputs: dict[str, str]
    layers: dict[str, Digest]

    @property
    def id(self) -> str:
        """The state's id: the digest of its canonical JSON."""
        return self.digest


class Change(Document):
    """The smallest thing that differs between two states, seen from `before` (good) to `after` (bad).

    `name` is `layer/part-or-source/name[/property]`; `before`/`after` are short texts for people, None
    where the thing is absent. `requires` names changes that must be taken whenever this one is. `commits` are those
    that brought it, as `4f2c1e9 subject`, where history was at hand.
    """

    name: str
    before: str | None = None
    after: str | None = None
    requires: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The layer this change belongs to."""
        return self.name.split("/", 1)[0].split("@", 1)[0]

    def sentence(self) -> str:
        """Return `name before -> after` as reports print it."""
        return f"{self.name} {self.before or '(absent)'} -> {self.after or '(absent)'}"
