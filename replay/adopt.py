"""What a job runs on when an existing image, or the image of a Dockerfile, is taken as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from replay.config import Config
from replay.engines.base import ImageEngine
from replay.environment.adopt import adopt_image
from replay.environment.base import Base
from replay.environment.packages import PackageSet
from replay.execute import Workbench
from replay.record import PackageFinding


@dataclass(frozen=True)
class Platform:
    """Base and packages of a job; of an adopted image also its variables and what was odd about its packages.

    `notes` is what people should know of how the base was found.
    """

    base: Base
    packages: PackageSet
    env: dict[str, str] = field(default_factory=dict)
    findings: tuple[PackageFinding, ...] = ()
    notes: tuple[str, ...] = ()

    def declared(self, config: Config) -> Config:
        """Return the declaration with the image's variables in it, behind those that the user declared."""
        runtime = config.runtime
        kept = {name: value for name, value in self.env.items() if name not in {*runtime.env, *runtime.secrets}}
        return config.model_copy(update={"runtime": runtime.model_copy(update={"set": kept | runtime.set})})


def existing(bench: Workbench, engine: ImageEngine, root: Path, config: Config) -> Platform:
    """Return the image that the project in `root` names, or the one its Dockerfile makes, read package by package.

    Raises BaseMissing, EngineError, StoreError.
    """
    runtime = config.runtime
    reference = runtime.image or ""
    image = reference
    if runtime.dockerfile is not None:
        reference = runtime.dockerfile
        bench.progress(f"building {reference}")
        image = engine.build(root, reference)
    base = engine.base(image, runtime.python)

    def export(target: Path) -> None:
        engine.export(base, target)

    found = adopt_image(base, engine.interpreter(base), engine.variables(base), export, bench.store, bench.progress)
    os_packages = dict(sorted({**base.os_packages, **found.os_packages}.items()))
    base = base.model_copy(update={"reference": reference, "contents": found.contents, "os_packages": os_packages})
    values = {name: bench.environ[name] for name in runtime.secrets if bench.environ.get(name)}
    return Platform(base, found.packages, dict(found.env), without(found.findings, values))


def without(findings: tuple[PackageFinding, ...], secrets: Mapping[str, str]) -> tuple[PackageFinding, ...]:
    """Return findings with every secret's value taken out of their diffs."""

    def redacted(finding: PackageFinding) -> PackageFinding:
        diff = finding.diff or ""
        for name, value in secrets.items():
            diff = diff.replace(value, f"[secret {name}]")
        return finding.model_copy(update={"diff": diff or None})

    return tuple(map(redacted, findings))
