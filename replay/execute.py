"""One execution of one release: lay out, run, gather. Binding, rerunning and probing all come through here."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from replay.engines import clock
from replay.engines.base import Engine, RunResult, RunSpec
from replay.engines.linkage import STATIC, is_static
from replay.engines.numerics import numerics
from replay.engines.warehouse import Carrier
from replay.engines.workspace import discard
from replay.environment.base import Base
from replay.environment.packages import PackageSet
from replay.environment.tree import assemble
from replay.errors import EngineError, ReplayError, StoreError, WheelError
from replay.image.build import provide, rebuildable
from replay.image.delivery import deliver, prove
from replay.layers.access import AccessLayer
from replay.layers.base import Workspace
from replay.layers.release import Release, fetch, keep, workspace
from replay.progress import Progress, silent
from replay.record import Host, ImageRecord, Limits, OutputRecord, OutputSpec, Provenance, Reason, RunRecord
from replay.references.base import Ground
from replay.sources.desk import Desk, desk
from replay.sources.hearing import learned
from replay.sources.upstream import Upstream
from replay.state import FileEntry
from replay.store.base import Store
from replay.workspace import lay_out


@dataclass
class Timings:
    """Wall time by phase, in milliseconds."""

    milliseconds: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to phase `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = round((time.perf_counter() - begin) * 1000)
            self.milliseconds[name] = self.milliseconds.get(name, 0) + spent


@dataclass(frozen=True)
class Workbench:
    """What every execution needs besides the release: where it is kept, where it runs, who watches.

    `noise` is what repeats of the good state differ in (`rerun.noise_of`): none of that is evidence.
    `thorough`: every file of a mounted environment is read to prove it, not only those that were touched.
    `root` is the folder that references to files beside a project are followed from. `called` maps images (by id)
    to the names they were asked for by, for people.
    """

    store: Store
    engine: Engine
    environ: Mapping[str, str]
    progress: Progress = silent
    noise: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    thorough: bool = False
    root: Path = field(default_factory=Path)
    called: Mapping[str, str] = field(default_factory=dict)

    def named(self, base: Base) -> Base:
        """Return a base with the name it was asked for by, where that is known."""
        return base.model_copy(update={"reference": self.called.get(base.image or "") or base.reference})


@dataclass(frozen=True)
class Order:
    """How one release is to be executed and why. `of` is the run whose record it is held against, `image` its image.

    `clock` is the time the job shall read as it starts (UTC, ISO 8601), None for the real one.
    `live` are the services that are asked themselves: what they answer completes the release. The others
    answer from their record.
    """

    outputs: Mapping[str, OutputSpec]
    limits: Limits
    reason: Reason
    of: str | None = None
    clock: str | None = None
    image: ImageRecord | None = None
    provenance: Provenance = field(default_factory=Provenance)
    live: Mapping[str, Upstream] = field(default_factory=dict)


def execute(bench: Workbench, release: Release, order: Order, timings: Timings | None = None) -> RunRecord:
    """Execute a release once and return its record (not yet kept). The state is in the store already.

    A job that fails is a record with its exit code. With live services the state is only known, and kept, when
    the job has ended. Raises EngineError, WheelError, StoreError, Interrupted; InputError where the job asked a
    service what is not recorded.
    """
    timings = timings or Timings()
    view = workspace(release)
    base, packages = _needs(view)
    base = bench.named(base)
    with timings.phase("fetch"):
        fetch(release, Ground(bench.root, bench.environ), bench.store)
    with timings.phase("environment"):
        provide(bench.engine, base, bench.store)
        ready = _environment(bench, base, packages, order.image)
        findings = ready.findings
    held, open_ = _clock(bench, order, view)
    if held is not None and (caution := clock.caution(bench.engine.interpreter(base))):
        findings += (caution,)
    with _scratch(bench.store) as folder:
        with timings.phase("lay-out"):
            paths = [spec.path for spec in order.outputs.values()]
            laid = lay_out(view, paths, bench.store, folder)
        secrets = _secrets(view, bench.environ)
        with desk(view.services, bench.store, order.live, secrets) as services:
            spec = RunSpec(
                base=base,
                command=view.command,
                workspace=laid.work,
                mounts=laid.mounts,
                environment=ready.tree,
                image=ready.image,
                env=view.env | {name: value for live in order.live.values() for name, value in live.env.items()},
                secrets=secrets | {name: value for live in order.live.values() for name, value in live.secrets.items()},
                limits=order.limits,
                services=services.folder,
                clock=held,
            )
            with timings.phase("run"):
                result = bench.engine.run(spec)
        with timings.phase("host"):
            host = _host(bench, spec, result.host, order) if "numpy" in packages.wheels else result.host
        findings += _touched(bench, base, packages) if bench.engine.name == "local" else ()
        services.check()
        if order.live:
            with timings.phase("ask"):
                release = _complete(release, services, order.live)
                keep(release, bench.store)
        with timings.phase("gather"):
            outputs = {}
            for name, output in order.outputs.items():
                files, left_out = _gather(laid.work, output.path, bench.store)
                outputs[name] = OutputRecord(spec=output, files=files)
                findings += tuple(left_out)
    timings.milliseconds["job"] = round(result.seconds * 1000)
    record = _record(bench, release, order, result, outputs, (timings, findings))
    closing = {"clock": order.clock if held else None, "not_held": open_, "host": host, "image": ready.record}
    return record.model_copy(update=closing)


def _complete(release: Release, services: Desk, live: Mapping[str, Upstream]) -> Release:
    """Return a release with what its services answered in place of what was only declared."""
    access = release.layers["access"]
    if not isinstance(access, AccessLayer):
        raise AssertionError("the access layer holds its own document")
    told = {name: learned(access.services[name], services.books[name], live[name]) for name in live}
    document = access.model_copy(update={"services": access.services | told})
    return replace(release, layers={**release.layers, "access": document})


def _needs(view: Workspace) -> tuple[Base, PackageSet]:
    if view.base is None or view.packages is None:
        raise AssertionError("the runtime layer always names base and packages")
    return view.base, view.packages


def _clock(bench: Workbench, order: Order, view: Workspace) -> tuple[clock.Clock | None, dict[str, str]]:
    """Return the clock to hold, and what stays open on this engine, with the clock where it cannot be held.

    Raises EngineError where the run is to be bound with a clock that the job would not read.
    """
    base, _ = _needs(view)
    left = bench.engine.not_held(base)
    if order.clock is None:
        return None, left if order.reason == "run" else {"clock": clock.LET_GO} | left
    own = view.files.get(os.path.normpath(view.command[0]))
    file = bench.store.path(own.blob) if own and own.blob else None
    cache = bench.store.cache("linkage")
    if "clock" not in left and is_static(bench.engine, base, view.command[0], file, view.env.get("PATH"), cache):
        left = {**left, "clock": STATIC}
    library = clock.library()
    if "clock" not in left and library is not None:
        kept = bench.store.path(bench.store.put_file(library).blob)
        return clock.Clock(_seconds(order.clock), kept), left
    if order.reason == "run":
        raise EngineError(
            "the job cannot be bound with another clock here",
            cause=left["clock"],
            do="leave --clock out, or name a base with glibc (Debian, Ubuntu, Red Hat) of this machine's kind",
        )
    return None, left


def _seconds(moment: str) -> float:
    try:
        return clock.seconds(moment)
    except (ValueError, OverflowError) as error:
        raise StoreError(
            f"the run record says that its clock began at {moment[:40]!r}, which is no time",
            cause=f"it was not written by Replay, or somebody tampered with it ({error})",
            do="let the clock go (--clock now), or ask whoever made the record",
        ) from None


def _host(bench: Workbench, spec: RunSpec, host: Host, order: Order) -> Host:
    """Return the host with what numpy computes with on it. A probe costs no second run: it takes what is known."""
    found = numerics(bench.engine, spec, host, bench.store.cache("numerics"), ask=order.reason != "probe")
    return host.model_copy(update=found.model_dump())


@dataclass(frozen=True)
class _Ready:
    """An environment that a job can start in: a tree to be mounted, or an image that is in the engine."""

    tree: Path | None = None
    image: str | None = None
    record: ImageRecord | None = None
    findings: tuple[str, ...] = ()


def _environment(bench: Workbench, base: Base, packages: PackageSet, wanted: ImageRecord | None) -> _Ready:
    """Make a closure's environment ready, proved to be what was unpacked; `wanted` is what its image must be."""
    interpreter = bench.engine.interpreter(base)
    if bench.engine.name == "here":
        from replay.environment.installed import installed  # brings all that reads and makes locks: 30 ms

        return _Ready(findings=_as_recorded(packages, installed(interpreter, bench.store).packages))
    rebuildable(packages)
    if isinstance(bench.engine, Carrier) and bench.engine.delivery == "image":
        delivered = deliver(bench.engine, base, packages, bench.store)
        if wanted:
            prove(wanted, delivered.record, bench.store)
        return _Ready(image=delivered.image, record=delivered.record, findings=delivered.findings)

    def tool(script: str, folder: Path) -> str:
        return bench.engine.python_tool(base, script, folder)

    tree = assemble(packages, interpreter, bench.store, tool, bench.progress, thorough=bench.thorough)
    return _Ready(tree=tree.path, findings=tree.findings)


def _touched(bench: Workbench, base: Base, packages: PackageSet) -> tuple[str, ...]:
    """Return a finding where a job changed its own packages: on the local engine only their modes forbid it."""
    try:
        _environment(bench, base, packages, None)
    except WheelError as error:
        return (f"the job wrote into its packages: {error.what}",)
    return ()


def _as_recorded(recorded: PackageSet, now: PackageSet) -> tuple[str, ...]:
    """Return a finding where the caller's environment is no longer the one the state holds."""
    names = recorded.wheels.keys() | now.wheels.keys()
    moved = sorted(name for name in names if recorded.wheels.get(name) != now.wheels.get(name))
    if not moved:
        return ()
    return (f"the environment is not the one recorded: {len(moved)} packages differ ({', '.join(moved[:5])})",)


def _secrets(view: Workspace, environ: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in view.secrets if name not in environ]
    if missing:
        raise ReplayError(
            f"the secret {missing[0]} is not set here",
            cause="the job declares it under [runtime] secrets; secrets are never recorded",
            do=f"export {missing[0]} and try again",
        )
    return {name: environ[name] for name in view.secrets}


def _gather(work: Path, path: str, store: Store) -> tuple[dict[str, FileEntry], list[str]]:
    """Keep what the job wrote; return the files and what was left out of them.

    Nothing but plain files inside the working folder is read: a link could point at anything on this
    machine, and a pipe would never end.
    """
    place, left_out = work / path, []
    if place.parent.resolve() != work.resolve() / PurePosixPath(path).parent:
        return {}, [f"{path} lies behind a link and was left out"]
    kept: dict[str, FileEntry] = {}
    for file in sorted(_written(place)):
        name = os.fsencode(file.relative_to(work).as_posix()).decode("utf-8", "backslashreplace")
        if stat.S_ISREG(file.lstat().st_mode) and name.isprintable():
            kept[name] = store.put_file(file)
        else:
            left_out.append(f"{name!r} is no plain file with a plain name and was left out")
    return kept, left_out


def _written(place: Path) -> Iterator[Path]:
    """Yield what stands at or below `place`, folders aside; links are not followed."""
    if place.is_dir() and not place.is_symlink():
        for folder, _, names in os.walk(place):
            yield from (Path(folder, name) for name in names)
    elif place.is_symlink() or place.exists():
        yield place


def _record(
    bench: Workbench,
    release: Release,
    order: Order,
    result: RunResult,
    outputs: dict[str, OutputRecord],
    notes: tuple[Timings, tuple[str, ...]],
) -> RunRecord:
    timings, findings = notes
    return RunRecord(
        state=release.state.id,
        job=release.job,
        reason=order.reason,
        of=order.of,
        engine=bench.engine.info(),
        started=result.started,
        milliseconds=timings.milliseconds,
        exit_code=result.exit_code,
        ended=result.ended,
        outputs=outputs,
        log=bench.store.put(result.log).blob,
        host=result.host,
        limits=order.limits,
        provenance=order.provenance,
        findings=findings,
    )


@contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    folder = store.scratch("run")
    try:
        yield folder
    finally:
        discard(folder)
