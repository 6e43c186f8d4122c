from __future__ import annotations

from collections.abc import Callable

import pytest

from replay.store.memory import MemoryStore
from tests.store.contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def spoil(self, store: MemoryStore) -> Callable[[str, bytes], None]:
        return store.blobs.__setitem__
