"""`replay bisect --fix`: the mended state, run once more and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replay.errors import ReplayError

if TYPE_CHECKING:
    from replay.bisect.verdict import Verdict
    from replay.cli.session import Session

TAG = "fix"


def mended(session: Session, found: Verdict) -> list[str]:
    """Run BAD with the culprit reverted once more, tag it `fix`, and return what to change, for people.

    Raises ReplayError where there is no such state, or where it does not give the same again.
    """
    from replay.digest import short
    from replay.report.remedy import remedies
    from replay.rerun import rerun
    from replay.store.base import Resolved

    if found.fix is None:
        raise ReplayError(
            f"there is no fix: the verdict is {found.verdict}, and no state was shown to mend BAD",
            cause="no recorded change did it, the data moved, or the mended state is none that can be kept",
            do="read the verdict above; `replay bisect --all` looks for every way to mend it",
        )
    kept = session.store()
    record = session.run(kept, found.fix)
    again = rerun(session.repeating(record), record)
    if not again.reproduced:
        raise ReplayError(
            f"the mended state {short(found.fix)} was good and did not give the same when it ran again",
            cause="the job is nondeterministic",
            do="bisect again with a higher --repeat",
        )
    kept.tag(TAG, Resolved(found.fix, again.record.id))
    lines = [f"FIX      state {short(found.fix)}, tagged {TAG}: BAD with the culprit reverted, run again and good"]
    return [*lines, *(f"  change {line}" for line in remedies(found))]
