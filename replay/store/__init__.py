"""Where states, runs and blobs live."""

from replay.store.base import Finding, Resolved, RunEntry, Store

__all__ = ["Finding", "Resolved", "RunEntry", "Store"]
