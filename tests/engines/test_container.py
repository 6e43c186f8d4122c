"""What an engine's client raises, as Replay's errors."""

from __future__ import annotations

import errno

import pytest

from replay.engines.container import engine_errors
from replay.errors import EngineError, StoreError


def test_a_full_disk_of_this_machine_is_not_called_the_engines_failure() -> None:
    with pytest.raises(StoreError, match="No space left") as caught, engine_errors("base"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "full" in caught.value.cause
    with pytest.raises(EngineError), engine_errors("base"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
