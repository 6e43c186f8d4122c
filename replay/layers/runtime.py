"""The runtime layer: base, packages and variables. Clock and host stand in the run record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

from replay.environment.base import Base
from replay.environment.contents import differing as differing_paths
from replay.environment.likeness import differing as differing_files
from replay.environment.packages import PackageSet, Wheel
from replay.layers.base import Context, Mixable, Workspace
from replay.layers.requirements import implications, universal
from replay.state import Change, Document
from replay.store.base import BlobRef, Store

V = TypeVar("V")

BASE = "runtime/base"
PACKAGES = "runtime/packages/"

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""The variables that say how many threads numeric libraries use; where only the first is set, all go by it."""

THREADS = 4


class RuntimeLayer(Document):
    """What the job runs on. `secrets` are names of variables; their values are nowhere."""

    base: Base
    packages: PackageSet
    env: dict[str, str]
    secrets: tuple[str, ...] = ()


class Runtime(Mixable[RuntimeLayer]):
    """What carries the job."""

    name = "runtime"
    document = RuntimeLayer

    def capture(self, context: Context) -> RuntimeLayer:
        """Record base and packages as found, and the declared variables as the caller has them.

        Where numpy is locked and nobody says how many threads it computes with, the state does: see `_threads`.
        """
        declared = context.config.runtime
        env = {name: context.environ[name] for name in declared.env if name in context.environ} | declared.set
        env |= _threads(context, env)
        return RuntimeLayer(
            base=context.base.model_copy(update={"reference": ""}),  # one image is one base, by whatever name
            packages=context.packages,
            env=dict(sorted(env.items())),
            secrets=tuple(sorted(declared.secrets)),
        )

    def changes(self, good: RuntimeLayer, bad: RuntimeLayer, store: Store) -> list[Change]:
        """List base, packages and variables that differ, packages with what they drag along.

        Wheels are made for one Python: where the base's X.Y differs, base and packages go together. What is of one
        version in both, built for either Python, is no change of its own: it comes with its base.
        """
        found = []
        tied = good.packages.python != bad.packages.python
        wheels, others = good.packages.wheels, bad.packages.wheels
        needs = implications(good.packages, bad.packages)
        rebuilt = _rebuilt(good, bad)
        if _identity(good.base) != _identity(bad.base):
            bound = {name for name in needs if tied and not universal(wheels.get(name))}
            bound = (bound.union(*(needs[name] for name in rebuilt))) - rebuilt
            requires = tuple(f"{PACKAGES}{name}" for name in sorted(bound))
            files = _files(good.base, bad.base, store)
            sides = {"before": _describe(good.base, bad.base) + files, "after": _describe(bad.base, good.base) + files}
            found.append(Change(name=BASE, requires=requires, **sides))
        for name in sorted(needs.keys() - rebuilt):
            before, after = wheels.get(name), others.get(name)
            own = _apart(before, after, store)
            if own == []:
                continue  # packed by two, from the same files
            requires = tuple(f"{PACKAGES}{other}" for other in sorted(needs[name] - rebuilt))
            requires += (BASE,) if (tied and not universal(after)) or needs[name] & rebuilt else ()
            was, became = _version(before, own), _version(after, own)
            found.append(Change(name=f"{PACKAGES}{name}", before=was, after=became, requires=requires))
        for name in sorted(good.env.keys() | bad.env.keys()):
            if good.env.get(name) != bad.env.get(name):
                found.append(Change(name=f"runtime/env/{name}", before=good.env.get(name), after=bad.env.get(name)))
        return found

    def mix(self, good: RuntimeLayer, bad: RuntimeLayer, taken: frozenset[str], store: Store) -> RuntimeLayer:
        """Return good's runtime with the taken packages, variables and base from bad."""
        chosen = bad if BASE in taken else good
        if BASE in taken:
            taken |= {PACKAGES + name for name in _rebuilt(good, bad)}
        wheels = _pick(good.packages.wheels, bad.packages.wheels, PACKAGES, taken)
        return RuntimeLayer(
            base=chosen.base,
            packages=PackageSet(python=chosen.packages.python, platform=chosen.packages.platform, wheels=wheels),
            env=_pick(good.env, bad.env, "runtime/env/", taken),
            secrets=tuple(sorted({*good.secrets, *bad.secrets})),
        )

    def materialise(self, layer: RuntimeLayer, workspace: Workspace) -> None:
        """Say what the run needs under it."""
        workspace.base = layer.base
        workspace.packages = layer.packages
        workspace.env.update(layer.env)
        workspace.secrets = layer.secrets

    def blobs(self, layer: RuntimeLayer) -> Iterator[BlobRef]:
        """Yield the wheels, and the list of an adopted image's other files."""
        if (listed := layer.base.contents) is not None:
            yield BlobRef(listed.blob, listed.size, "application/vnd.replay.contents.v1+json", "contents")
        for wheel in layer.packages.wheels.values():
            yield BlobRef(wheel.blob, wheel.size, "application/vnd.pypa.wheel", wheel.filename)


def _rebuilt(good: RuntimeLayer, bad: RuntimeLayer) -> set[str]:
    """Return the packages of one version in both whose wheels are made for the Python of either base."""
    if good.packages.python == bad.packages.python or _identity(good.base) == _identity(bad.base):
        return set()
    others = bad.packages.wheels
    return {
        name
        for name, wheel in good.packages.wheels.items()
        if name in others
        and others[name].version == wheel.version
        and others[name] != wheel
        and not universal(wheel)
        and not universal(others[name])
    }


def _threads(context: Context, env: dict[str, str]) -> dict[str, str]:
    """Return the variable that pins the thread pools of OpenBLAS, MKL, BLIS, Arrow and OpenMP, if it is ours to set.

    They would take as many threads as the machine has cores, and with their number the order of a sum changes. A
    number of the machine's own would make another state of every machine: it is that of `[job] cpus`, else THREADS.
    An environment that is taken as it stands stays so.
    """
    numpy = context.packages.wheels.get("numpy")
    ours = numpy is not None and numpy.filename and context.base.contents is None
    if not ours or any(name in env for name in POOLS):
        return {}
    cpus = context.config.job.cpus
    return {POOLS[0]: str(THREADS if cpus is None else math.ceil(cpus))}


def _pick(good: dict[str, V], bad: dict[str, V], prefix: str, taken: frozenset[str]) -> dict[str, V]:
    side = {name: bad if prefix + name in taken else good for name in good.keys() | bad.keys()}
    return {name: side[name][name] for name in sorted(side) if name in side[name]}


def _identity(base: Base) -> object:
    if base.contents is not None:
        return base.contents.blob
    conda = {name: version for name, version in base.os_packages.items() if name.startswith("conda:")}
    return base.image or (base.kind, base.os, base.machine, base.python, conda)


def _apart(wheel: Wheel | None, other: Wheel | None, store: Store) -> list[str] | None:
    """Return the files by which two wheels of one version differ; None where that is not the question."""
    if wheel is None or other is None or wheel.version != other.version:
        return None
    files = differing_files(wheel, other, store)
    return ["unknown files"] if files is None else files


def _version(wheel: Wheel | None, files: list[str] | None) -> str | None:
    if wheel is None or files is None:
        return wheel.version if wheel else None
    named = files[0] if files[0].isprintable() else ascii(files[0])
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    return f"{wheel.version} ({wheel.blob.removeprefix('sha256:')[:12]}: {named}{more})"


def _describe(base: Base, other: Base) -> str:
    """Say what a base is, and first of all what the other has not."""
    image = base.image.removeprefix("sha256:")[:12] if base.image else "this host"
    name = f"{base.reference} ({image})" if base.reference else image
    own = [f"{p} {v}" for p, v in base.os_packages.items() if other.os_packages.get(p) != v]
    packages = "; " + ", ".join(own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "") if own else ""
    return f"{name}, {base.os}, Python {base.python}{packages}"


def _files(base: Base, other: Base, store: Store) -> str:
    """Name files, other than packages', that two adopted images do not have in common."""
    if base.contents is None or other.contents is None:
        return ""
    paths = differing_paths(store.get(base.contents.blob), store.get(other.contents.blob))
    named = ", ".join(path if path.isprintable() else ascii(path) for path in paths[:3])
    return f"; differs in {named}" + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
