"""What an engine's client raises, as Replay's errors, and what an engine's answers tell of it."""

from __future__ import annotations

import errno

import pytest

from replay.engines.container import engine_errors
from replay.engines.names import by_manifest
from replay.errors import EngineError, StoreError


def test_a_full_disk_of_this_machine_is_not_called_the_engines_failure() -> None:
    with pytest.raises(StoreError, match="No space left") as caught, engine_errors("base"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "full" in caught.value.cause
    with pytest.raises(EngineError), engine_errors("base"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")


def test_an_engine_that_names_images_by_manifest_is_known_by_its_driver() -> None:
    graph = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"], ["Native Overlay Diff", "true"]]}
    snapshotter = {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    assert [by_manifest(info) for info in (graph, snapshotter, {"DriverStatus": None}, {})] == [
        False,
        True,
        False,
        False,
    ]
