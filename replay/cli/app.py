"""The entry point: the commands by name, and how every one of them ends."""

from __future__ import annotations

import gc
import io
import signal
import sys
from typing import TYPE_CHECKING

import typer

from replay.cli import carrying, comparing, finding, house, images, keeping, locking, runs

if TYPE_CHECKING:
    from replay.errors import ReplayError

INTERRUPTED = 130

app = typer.Typer(
    name="replay",
    help="The model did not change, the scores did: which execution condition changed, and should we retrain?",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    house.init,
    runs.run,
    runs.log,
    runs.show,
    runs.tag,
    comparing.diff,
    comparing.rerun,
    comparing.compare,
    finding.bisect,
    finding.verify,
    images.build,
    images.export,
    carrying.push,
    carrying.pull,
    locking.lock,
    house.doctor,
    house.demo,
    house.fsck,
    keeping.gc,
):
    app.command()(command)
app.command("replay", hidden=True)(comparing.rerun)


@app.callback()
def replay() -> None:
    """The model did not change, the scores did: which execution condition changed, and should we retrain?

    An error is three lines: what failed, the likely cause, what to do. Add --debug for a traceback.
    """


def main() -> None:
    """Run the command line; every ReplayError becomes its three lines and its exit code."""
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    debug = "--debug" in own
    arguments = [word for word in own if word != "--debug"] + sys.argv[1 + len(own) :]
    # Being asked to end is handled like Ctrl-C: what runs is stopped and cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does: no encoding ends a command
    try:
        code = app(arguments or ["--help"], standalone_mode=False)
        if code == INTERRUPTED:  # typer's own word for Ctrl-C
            code = _ended_by(KeyboardInterrupt())
    except SystemExit:
        raise
    except BaseException as error:
        if debug:
            raise
        code = _ended_by(error)
    finally:
        if "duckdb" not in sys.modules:  # it complains, at length, of what is not looked through
            gc.freeze()  # the interpreter would look through every object once more before it ends: 40 ms
    sys.exit(code if isinstance(code, int) else 0)


def _ended_by(error: BaseException) -> int:
    from replay.cli.console import explain
    from replay.errors import Interrupted, ReplayError

    if isinstance(error, KeyboardInterrupt | typer.Abort):
        error = Interrupted(
            "interrupted", cause="Ctrl-C, or the process was asked to end", do="nothing is lost; run it again"
        )
    if hasattr(error, "format_message"):
        error = _misused(error, error.format_message())
    if not isinstance(error, ReplayError):
        first = (str(error) or type(error).__name__).splitlines()[0]
        error = ReplayError(
            f"unexpected trouble: {type(error).__name__}: {first}",
            cause="a defect in Replay, or something about this machine that it does not know",
            do="run it again with --debug and report the traceback",
        )
    explain(error)
    return error.exit_code


def _misused(error: BaseException, message: str) -> ReplayError:
    """Return what the command line's parser raised in three lines."""
    from replay.errors import ReplayError

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "replay"
    return ReplayError(
        message.rstrip("."),
        cause="a typing slip, or an option of another command",
        do=f"`{command} --help` shows how it is written",
    )
