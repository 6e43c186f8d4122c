"""The one error tree. Every error says what failed, the likely cause and what to do."""

from __future__ import annotations


class ReplayError(Exception):
    """Base of everything Replay raises on purpose.

    `what` failed, the likely `cause`, what to `do`: the three lines a user sees.
    `exit_code` is the process's exit code (2: trouble; see the design, section 5).
    """

    exit_code = 2

    def __init__(self, what: str, *, cause: str, do: str) -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.do = do

    def __str__(self) -> str:
        return f"{self.what}\n  likely cause: {self.cause}\n  what to do:   {self.do}"


class ConfigError(ReplayError):
    """`replay.toml` (or `[tool.replay]`) cannot be used as it stands."""


class StoreError(ReplayError):
    """The store cannot be read or written."""


class CorruptBlob(StoreError):
    """A blob's bytes no longer hash to its name."""


class NotFound(StoreError):
    """A reference, run, state or blob is not in the store."""


class RegistryError(ReplayError):
    """A registry cannot be reached, refuses, or gives what is not a Release State."""


class LockError(ReplayError):
    """The requirements do not resolve to a closure with hashes."""


class WheelError(ReplayError):
    """A wheel is gone, does not match its hash, or is unsafe to unpack."""


class EngineError(ReplayError):
    """An engine could not do what it was asked."""


class EngineUnavailable(EngineError):
    """No engine of the wanted kind answers."""


class BaseMissing(EngineError):
    """The base image or interpreter that a state names is not on this machine."""


class InputError(ReplayError):
    """A declared input cannot be read or understood."""


class CompareError(ReplayError):
    """Two outputs cannot be compared (a key that is missing or repeated, a truncated file)."""


class JobFailed(ReplayError):
    """The job itself did not end well; its run is recorded all the same."""


class Interrupted(ReplayError):
    """The user pressed Ctrl-C, or the process was asked to end."""

    exit_code = 130
