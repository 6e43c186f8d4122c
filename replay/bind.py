"""Bind: execute a job as it is now and record the state it ran in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from replay.adopt import Platform, existing, without
from replay.bases import Declared, declared
from replay.config import Config
from replay.declared import Runtime
from replay.engines.base import ImageEngine
from replay.environment.installed import installed
from replay.environment.lock import lock, relock
from replay.environment.packages import PackageSet
from replay.environment.pinned import FILE
from replay.environment.selection import Selection
from replay.errors import LockError
from replay.execute import Order, Timings, Workbench, execute
from replay.git import git
from replay.image import kept
from replay.image.build import image_of, warehouse_of
from replay.layers.base import Context
from replay.layers.data import DataLayer
from replay.layers.model import ModelLayer
from replay.layers.pipeline import PipelineLayer
from replay.layers.release import Release, capture, keep
from replay.progress import silent
from replay.record import Provenance, RunRecord
from replay.smoke import smoke
from replay.sources.upstream import find
from replay.state import FileEntry
from replay.workshop import EngineWorkshop


@dataclass(frozen=True)
class Project:
    """A job's folder and its checked declaration."""

    root: Path
    config: Config


def bind(
    bench: Workbench,
    project: Project,
    *,
    command: tuple[str, ...] = (),
    upgrade: bool = False,
    clock: str | None = None,
    keep_base: bool = False,
    plain_http: bool = False,
    announce: Callable[[str], None] = silent,
) -> RunRecord:
    """Capture the project's state, execute its job and record the run.

    `command` replaces the declared command line; `upgrade` resolves the requirements anew; `clock` is the time
    the job shall read as it starts (UTC, ISO 8601), None for the real one; with `keep_base` the base's own layers
    go into the store; with `plain_http` a registry that the base is in is asked without TLS. `announce` is called
    with the state's id before the job starts; not where it asks services, for then only its run tells. Raises every
    kind of ReplayError; whatever fails, earlier runs stay as they were.
    """
    timings = Timings()
    bench = replace(bench, root=project.root)
    with timings.phase("lock"):
        found = platform(bench, project, upgrade=upgrade, plain_http=plain_http)
        if keep_base:
            kept.keep(image_of(found.base), warehouse_of(bench.engine), bench.store)
    with timings.phase("capture"):
        context = Context(
            root=project.root,
            config=found.declared(project.config),
            store=bench.store,
            environ=bench.environ,
            base=found.base,
            packages=found.packages,
            command=command or tuple(project.config.job.command),
        )
        release = capture(context)
        before = _marks(project.root, release)
        live = {name: upstream for name, (_, upstream) in find(project.config, bench.environ).items()}
        if not live:
            announce(keep(release, bench.store))
    order = Order(
        outputs={name: output.spec() for name, output in project.config.outputs.items()},
        limits=project.config.job.limits(),
        reason="run",
        clock=clock,
        provenance=provenance(project.root).model_copy(update={"base": found.base.reference}),
        live=live,
    )
    with timings.phase("smoke"):
        odd = _smoke(bench, found)
    record = execute(bench, release, order, timings)
    changed = tuple(path for path, mark in _marks(project.root, release).items() if mark != before[path])
    more = {"changed_inputs": changed, "packages": found.findings, "findings": (*found.notes, *record.findings, *odd)}
    record = record.model_copy(update=more)
    bench.store.add_run(record)
    return record


def _smoke(bench: Workbench, found: Platform) -> tuple[str, ...]:
    """Return which compiled packages do not import; said at once too, because the job may well fail of it."""
    if bench.engine.name == "here" or not all(wheel.filename for wheel in found.packages.wheels.values()):
        return ()
    shop = EngineWorkshop(bench.engine, found.base, bench.store, bench.progress)
    odd = smoke(found.packages, bench.engine.interpreter(found.base), bench.store, shop)
    for finding in odd:
        bench.progress(finding)
    return odd


def platform(bench: Workbench, project: Project, *, upgrade: bool = False, plain_http: bool = False) -> Platform:
    """Return what the job will run on. Raises BaseMissing, LockError, EngineError, RegistryError."""
    runtime = project.config.runtime
    if runtime.adopts and isinstance(bench.engine, ImageEngine):
        return existing(bench, bench.engine, project.root, project.config)
    ground = _base(bench, project, plain_http)
    base = ground.base
    interpreter = bench.engine.interpreter(base)
    if bench.engine.name == "here":
        found = installed(interpreter, bench.store, bench.progress)
        base = base.model_copy(update={"os_packages": base.os_packages | found.os_packages})
        secrets = {name: bench.environ[name] for name in runtime.secrets if bench.environ.get(name)}
        return Platform(base, found.packages, findings=without(found.findings, secrets))
    requirements = project.root / runtime.requirements if runtime.requirements else None
    pins = project.root / FILE
    if upgrade and pins.exists():
        raise LockError(
            f"the packages are pinned by {FILE}",
            cause="a run cannot upgrade what is pinned for review",
            do="`replay lock --upgrade`, read what changed, then run",
        )
    locked = lock(
        requirements,
        interpreter,
        bench.store,
        selection=_selection(runtime),
        pins=pins if pins.exists() else None,
        upgrade=upgrade,
        progress=bench.progress,
        workshop=EngineWorkshop(bench.engine, base, bench.store, bench.progress),
    )
    return Platform(base, locked, notes=ground.findings)


def _base(bench: Workbench, project: Project, plain_http: bool) -> Declared:
    runtime = project.config.runtime
    return declared(bench, project.root, runtime.base or "", runtime.python, plain=plain_http)


def pin(
    bench: Workbench, project: Project, *, upgrade: bool = False, plain_http: bool = False
) -> tuple[PackageSet | None, PackageSet]:
    """Write `replay.lock`; return the packages it held before (None: there was none) and those it holds now.

    Raises what `platform` raises; then the file stays as it was.
    """
    runtime = project.config.runtime
    if not runtime.requirements:
        raise LockError(
            "there is nothing to lock",
            cause="replay.toml declares no [runtime] requirements",
            do='declare them: requirements = "requirements.txt"',
        )
    base = _base(bench, project, plain_http).base
    return relock(
        project.root / runtime.requirements,
        project.root / FILE,
        bench.engine.interpreter(base),
        bench.store,
        selection=_selection(runtime),
        upgrade=upgrade,
        progress=bench.progress,
        workshop=EngineWorkshop(bench.engine, base, bench.store, bench.progress),
    )


def _selection(runtime: Runtime) -> Selection:
    groups = None if runtime.groups is None else tuple(runtime.groups)
    return Selection(tuple(runtime.extras), groups, runtime.locker)


def provenance(root: Path) -> Provenance:
    """Return the git commit the project stands at; nothing where git or a repository is not there."""
    commit = git(root, "rev-parse", "--verify", "-q", "HEAD", timeout=10)
    if not commit:
        return Provenance()
    dirty = git(root, "status", "--porcelain", "--", ".", timeout=10)
    return Provenance(git_commit=commit.decode().strip(), git_dirty=bool(dirty))


def _marks(root: Path, release: Release) -> dict[str, tuple[int, ...] | None]:
    """Return what tells cheaply whether a captured file is still the same: inode, size and change times."""
    return {path: _mark(root / path) for path in _files(release)}


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _files(release: Release) -> dict[str, FileEntry]:
    found: dict[str, FileEntry] = {}
    for document in release.layers.values():
        if isinstance(document, PipelineLayer | ModelLayer):
            found |= document.files
        elif isinstance(document, DataLayer):
            for snapshot in document.sources.values():
                found |= snapshot.files if snapshot else {}
    return found
