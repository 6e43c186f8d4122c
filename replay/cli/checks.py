"""What `replay doctor` looks at."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from replay import recipe
from replay.cli.session import Session
from replay.errors import ReplayError
from replay.scenario import Scenario

if TYPE_CHECKING:
    from replay.store.folder import FolderStore


@dataclass(frozen=True)
class Check:
    """One thing looked at: fine, worth knowing, or missing; `do` says what to do about it."""

    name: str
    word: Literal["fine", "note", "missing"]
    found: str
    do: str = ""

    def lines(self) -> list[str]:
        """Return it as `replay doctor` prints it."""
        return [f"{self.word:8}{self.name}: {self.found}", *([f"        {self.do}"] if self.do else [])]


def examine(session: Session) -> list[Check]:
    """Return every check, in the order in which a user would mend them."""
    checks = [_python(), _docker(), _local()]
    try:
        project = session.project()
        checks.append(Check("project", "fine", f"{project.config.job.name} in {project.root}"))
    except ReplayError as error:
        checks.append(Check("project", "note", error.what, error.do))
        return [*checks, _disk(Path.cwd())]
    runtime = project.config.runtime
    if runtime.requirements and not (project.root / runtime.requirements).is_file():
        checks.append(
            Check("requirements", "missing", f"no {runtime.requirements}", "write it, or correct replay.toml")
        )
    if reference := runtime.base or runtime.image:
        checks.append(_base(reference, runtime.python, project.root))
    if runtime.dockerfile and not (project.root / runtime.dockerfile).is_file():
        checks.append(Check("dockerfile", "missing", f"no {runtime.dockerfile}", "write it, or correct replay.toml"))
    try:
        store = session.store(create=True)
        checks.append(Check("store", "fine", f"{len(store.runs())} runs; `replay fsck` reads all of it"))
        checks += _findings(store)
    except ReplayError as error:
        checks.append(Check("store", "missing", error.what, error.do))
    return [*checks, _disk(project.root)]


def demo_engine(scenario: Scenario, wanted: str) -> str:
    """Return the engine a demo can use: docker where it answers and has the base the scenario names."""
    import tomllib

    if wanted != "auto":
        return wanted
    declared = tomllib.loads((scenario.folder / "project" / "replay.toml").read_text("utf-8"))["runtime"]
    try:
        from replay.engines.docker import DockerEngine

        DockerEngine().base(declared["base"], declared.get("python"))
    except ReplayError:
        return "local"
    return "docker"


def _python() -> Check:
    return Check("python", "fine", f"{sys.version.split()[0]} runs Replay")


def _docker() -> Check:
    from replay.engines.docker import DockerEngine

    try:
        engine = DockerEngine()
        info = engine.info()
    except ReplayError as error:
        return Check("docker", "note", error.what, "jobs run on the embedded engine, which cannot hold the base fixed")
    return Check("docker", "fine", f"{info.name} {info.version} answers")


def _local() -> Check:
    from replay.engines.local import LocalEngine

    try:
        return Check("local", "fine", f"Python {LocalEngine().base('', None).python} for the embedded engine")
    except ReplayError as error:
        return Check("local", "note", error.what, error.do)


def _findings(store: FolderStore) -> list[Check]:
    """Return what was odd about the packages of the newest run that was bound."""
    bound = [entry for entry in store.runs() if entry.reason == "run"][-1:]
    records = [store.run(entry.run) for entry in bound]
    return [
        Check(
            "packages",
            "note",
            f"{number} finding{'s' if number > 1 else ''} in the last run",
            "`replay show last` tells them",
        )
        for number in (len(record.packages) + len(record.findings) for record in records)
        if number
    ]


def _base(reference: str, python: str | None, root: Path) -> Check:
    from replay.engines.docker import DockerEngine

    if reference.endswith(".tar"):
        if (root / reference).is_file():
            return Check("base", "fine", f"{reference}, loaded where the engine lacks it")
        return Check("base", "missing", f"no {reference}", f"write it: `docker save IMAGE -o {reference}`")
    if reference.startswith(recipe.PREFIX):
        if recipe.known(reference):
            return Check("base", "fine", f"{reference}, built from its recipe where the engine lacks it")
        return Check("base", "missing", f"no recipe {reference}", "`ls images` in Replay's checkout names them")
    try:
        base = DockerEngine().base(reference, python)
    except ReplayError as error:
        return Check("base", "note", error.what, error.do)
    return Check("base", "fine", f"{reference} is {(base.image or '')[7:19]}, {base.os}, Python {base.python}")


def _disk(place: Path) -> Check:
    free = shutil.disk_usage(place).free // (1 << 20)
    low = free < 2048
    return Check("disk", "note" if low else "fine", f"{free:,} MiB free", "runs keep wheels and inputs" if low else "")
