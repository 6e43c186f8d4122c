"""`--test CMD`: the user's own word on a run."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable

from replay.bisect.search import Outcome
from replay.engines.workspace import discard
from replay.errors import ReplayError
from replay.record import RunRecord
from replay.store.base import Store
from replay.workspace import inside

TIMEOUT = 600
"""Seconds a test may take."""

CANNOT_SAY = 125


def command_test(command: str, store: Store) -> Callable[[RunRecord], Outcome]:
    """Return a test that runs `command` in a folder with a run's outputs at their paths.

    Exit code 0 is good, 1 is bad, 125 cannot say (as in `git bisect run`). Anything else is the test's own
    failure: ReplayError, because a broken test must not be taken for a verdict.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _broken(command, str(error)) from None
    if not words:
        raise _broken(command, "it is empty")

    def test(record: RunRecord) -> Outcome:
        folder = store.scratch("test")
        try:
            for output in record.outputs.values():
                for path, entry in output.files.items():
                    place = inside(folder, path)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(store.get(entry.blob))
            environ = {**os.environ, "REPLAY_EXIT_CODE": str(record.exit_code), "REPLAY_RUN": record.id}
            done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, timeout=TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _broken(command, str(error)) from None
        finally:
            discard(folder)
        if done.returncode not in (0, 1, CANNOT_SAY):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise _broken(command, f"exit code {done.returncode}" + (f": {said[-1]}" if said else ""))
        return {0: "good", 1: "bad"}.get(done.returncode, "unresolved")  # type: ignore[return-value]

    return test


def _broken(command: str, why: str) -> ReplayError:
    return ReplayError(
        f"the test {command!r} broke: {why}",
        cause="it is no command, it is not found from a folder with only the outputs, or it fails on its own",
        do="use absolute paths in it, and exit codes 0 (good), 1 (bad), 125 (cannot say)",
    )
