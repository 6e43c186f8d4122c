"""The story that `replay demo` tells, with the real commands on a real case."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

from replay.cli.console import done, say
from replay.scenario import Scenario, Side

INTRO = """\
September's churn scores were fine. In October marketing rings up: the scores jumped, and somebody wants to
retrain. The model file is the same, byte for byte. So what changed, and would retraining help? Let us find out,
on {where}."""

FIRST = "First, September. Binding a run records everything its outputs depend on:"


@dataclass(frozen=True)
class Stage:
    """Where the story plays: a project folder, the engine, and the variables of the side that is on."""

    project: Path
    engine: str
    home: Path

    def command(self, *words: str, environ: dict[str, str] | None = None, show: bool = True) -> tuple[int, str]:
        """Run the real command line and return its exit code and standard output; print both as a terminal would."""
        exported = "".join(f"{name}={value} " for name, value in (environ or {}).items())
        say(f"\n  $ {exported}replay {' '.join(words)}")
        keep = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST", "HOME", "LANG") if name in os.environ}
        keep |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REPLAY_T"))}
        engine = ["--engine", self.engine] if words[0] in {"run", "rerun", "bisect", "verify"} else []
        ended = subprocess.run(
            [sys.executable, "-m", "replay", *words, *engine],
            cwd=self.project,
            env=keep | (environ or {}),
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            stderr=None if show else subprocess.DEVNULL,
            check=False,
        )
        if show:
            say(textwrap.indent(ended.stdout.rstrip(), "    "))
        return ended.returncode, ended.stdout


def play(scenario: Scenario, engine: str, keep: bool) -> None:
    """Tell one scenario from bind to verdict; end with exit code 0 if the verdict is the expected one."""
    home = Path(tempfile.mkdtemp(prefix="replay-demo-"))
    stage = Stage(home / "churn", engine, home)
    where = "a Docker engine" if engine == "docker" else "this machine alone (the embedded engine, no containers)"
    try:
        _tell(INTRO.format(where=where))
        for line in scenario.story[:2]:
            _tell(line.replace("**", ""))
        _month(
            stage,
            scenario,
            "good",
            "september",
            FIRST,
        )
        _month(stage, scenario, "bad", "october", "A month later, the same job, as it is today:")
        _tell("What is different? The states first, then the scores:")
        stage.command("diff", "september", "october")
        _tell("More than one thing changed, and a diff cannot say which of them matters. Can we still run September?")
        stage.command("rerun", "september")
        _tell("Yes, to the byte. So every change can be tried on its own, in both directions. That is a bisect:")
        code, _ = stage.command("bisect", "september", "october", "--html", str(home / "report.html"))
        _ending(stage, scenario, code)
    finally:
        if keep:
            say(f"\n  Everything is kept: try `replay log` in {stage.project}, or open {home / 'report.html'}.")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _month(stage: Stage, scenario: Scenario, side: Side, tag: str, said: str) -> None:
    stage.project.mkdir(exist_ok=True)
    scenario.lay_out(side, stage.project)
    if stage.engine == "local":
        _any_python(stage.project / "replay.toml")
    _tell(said)
    at = scenario.clock(side)
    words = ["run", "--tag", tag, *(["--clock", at] if at else [])]
    code, _ = stage.command(*words, environ=scenario.environ(side))
    if code:
        done(code)


def _any_python(file: Path) -> None:
    """The embedded engine takes the Python that is here: the story needs no particular one."""
    ours = f'python = "{sys.version_info.major}.{sys.version_info.minor}"'
    file.write_text(re.sub(r'^python = ".*"$', ours, file.read_text("utf-8"), flags=re.MULTILINE), "utf-8")


def _ending(stage: Stage, scenario: Scenario, code: int) -> None:
    _, printed = stage.command("bisect", "september", "october", "--json", show=False)
    found = json.loads(printed)
    named = [change for culprit in found["culprits"] for change in culprit["changes"]]
    layers = sorted({change.split("/")[0] for change in named})
    right = found["verdict"] == scenario.expected["verdict"] and layers == sorted(scenario.expected["culprit_layers"])
    if right:
        _tell(
            f"So it was the {' and the '.join(layers)} layer: {', '.join(named) or 'none'}. "
            f"Retrain? {'Yes' if found['retrain'] else 'No'}: {found['advice']}. "
            "(Asked a second time it ran nothing again: what was probed once is known.)"
        )
        if found["cleared"]:
            _tell(f"Cleared by running, not by argument: {', '.join(found['cleared'])}.")
        done(code)
    _tell(f"That is not the verdict this scenario should come to ({scenario.expected['verdict']}): a defect in Replay.")
    done(2)


def _tell(text: str) -> None:
    say()
    say(textwrap.fill(text, 100))
