"""The options of the commands that run, repeat and compare, declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from replay.engines.choose import Name


class EngineName(StrEnum):
    """Where jobs run."""

    auto = "auto"
    docker = "docker"
    local = "local"

    @property
    def choice(self) -> Name:
        """The name as the engines know it."""
        return self.value


class ClockName(StrEnum):
    """Which time the job reads in a probe."""

    recorded = "recorded"
    now = "now"


def moment(text: str) -> str | None:
    """Return a time given with --clock as records hold it (UTC, ISO 8601), None for `now`. Raises ConfigError."""
    from replay.engines.clock import seconds
    from replay.engines.process import utc
    from replay.errors import ConfigError

    if text == "now":
        return None
    try:
        return utc(seconds(text))
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--clock {text!r} is no time",
            cause="it takes ISO 8601, in UTC unless it names another zone",
            do="write it as 2026-10-21T08:00:00Z, or 2026-10-21, or now",
        ) from None


Store = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--store", help="The store's folder; default: REPLAY_STORE, else .replay beside replay.toml."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="auto: docker where an engine answers and the job has a base image, else local."),
]
RunClock = Annotated[
    str,
    typer.Option(
        "--clock", metavar="TIME|now", help="The time the job reads as it starts: 2026-10-21T08:00:00Z (or another)."
    ),
]
RerunClock = Annotated[
    str,
    typer.Option(
        "--clock", metavar="recorded|now|TIME", help="The time the job reads: the recorded one, the real one, another."
    ),
]
ProbeClock = Annotated[
    ClockName, typer.Option("--clock", help="The time the job reads in a probe: a recorded one, or the real one.")
]
Ref = Annotated[str, typer.Argument(help="A run or state: an id or unique prefix, a tag, last, last~1.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Probes to run side by side.")]
Noise = Annotated[
    int,
    typer.Option("--noise", min=0, max=50, help="Repeat the first run so often; where these differ is no evidence."),
]
Html = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", help="Also write a report that one can look at, as one HTML file."),
]
Repeat = Annotated[int, typer.Option("--repeat", min=2, max=50, help="Reruns of each end.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every probe again, also those known from before.")]
Test = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--test", help="A command that judges a run's outputs: exit 0 good, 1 bad, 125 cannot say."),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be probed, and stop.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with one that was interrupted.")]
Layers = Annotated[bool, typer.Option("--layers", help="Name the layer, go no deeper.")]
Only = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--only", help="Take apart only these changes, as runtime/packages; others as a whole."),
]
Skip = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--skip", help="Do not take these changes apart."),
]
Suspect = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--suspect", help="Try these changes first."),
]
Fix = Annotated[bool, typer.Option("--fix", help="Run the mended state again, tag it fix, say what to do.")]
Every = Annotated[bool, typer.Option("--all", help="Look for every cause and every way to mend it.")]
Budget = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--budget", help="Stop after so many probes (20) or so much time (90s, 10m, 2h)."),
]
KeepBase = Annotated[bool, typer.Option("--keep-base", help="Keep the base image's own layers in the store, too.")]

PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Without TLS; a registry on this machine is always asked so.")
]


def enough(noise: int) -> int:
    """Return how often to repeat. Raises ConfigError for once: one run differs from nothing."""
    from replay.errors import ConfigError

    if noise == 1:
        raise ConfigError(
            "--noise 1 measures nothing",
            cause="one repeat has none to differ from",
            do="ask for two or more, for example --noise 3",
        )
    return noise
