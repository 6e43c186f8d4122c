"""An image: layers over a base, and the config that names them. Its id is the config's digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from replay.digest import canonical, of_bytes
from replay.environment.base import BaseImage
from replay.environment.wheels import EPOCH
from replay.image.layers import Layer

CREATED = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
"""The time of every image, as of every file in it."""


@dataclass(frozen=True)
class Image:
    """Layers over a base. `settings` are the `config` of the OCI image configuration: what a container starts with."""

    base: BaseImage
    layers: Sequence[Layer]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> bytes:
        """The OCI image configuration, https://github.com/opencontainers/image-spec/blob/main/config.md."""
        document: dict[str, Any] = {
            "architecture": self.base.architecture,
            "config": {"Env": list(self.base.env), "WorkingDir": "/work", **self.settings},
            "created": CREATED,
            "history": [self._history("base") for _ in self.base.layers],
            "os": self.base.os,
            "rootfs": {"diff_ids": self.diff_ids, "type": "layers"},
        }
        document["history"] += [self._history(layer.title) for layer in self.layers]
        if self.base.variant:
            document["variant"] = self.base.variant
        return canonical(document)

    @property
    def id(self) -> str:
        """The digest of the config: the image id of an engine."""
        return of_bytes(self.config)

    @property
    def diff_ids(self) -> list[str]:
        """The digests of all layers, the base's first."""
        return [*self.base.layers, *(layer.diff_id for layer in self.layers)]

    def _history(self, title: str) -> dict[str, str]:
        return {"created": CREATED, "created_by": f"replay: {title}"}
