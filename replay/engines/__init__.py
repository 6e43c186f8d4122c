"""Where jobs run."""

from replay.engines.base import Engine, Mount, RunResult, RunSpec

__all__ = ["Engine", "Mount", "RunResult", "RunSpec"]
