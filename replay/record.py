"""The run record: one execution bound to a state. Pure documents, no I/O."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from replay.digest import Digest
from replay.state import Document, FileEntry

RUN_FORMAT = "replay.run/1"

Reason = Literal["run", "rerun", "probe"]


class Allowed(Document):
    """What is forgiven in one column or at one path, in place of what the whole output forgives."""

    atol: str | None = None
    rtol: str | None = None


OnDuplicates = Literal["error", "number", "skip"]


class OutputSpec(Document):
    """A declared output: where it is written and how two versions of it are compared.

    `path` is relative to the project's root (a file or a folder). `key` names the columns that identify
    a row; `decision` the column whose flips matter most. `atol` and `rtol` are decimal texts (so that the
    record has one canonical form), `None` where nothing was declared: then bytes and exact values count.
    `on_duplicates` says what a key that is there more than once means: an error, or rows that are numbered in
    their order and matched one by one (`number`), or rows that are left out (`skip`). `places` holds tolerances of
    their own for columns and for paths of documents. `psi` is the decimal text of the PSI from which a column's
    distribution counts as shifted, None for the usual 0.1.
    """

    path: str
    key: tuple[str, ...] = ()
    decision: str | None = None
    on_duplicates: OnDuplicates = "error"
    atol: str | None = None
    rtol: str | None = None
    places: dict[str, Allowed] = {}
    psi: str | None = Field(None, pattern=r"^\d+(\.\d+)?(e-?\d+)?$")

    def allowed(self, place: str) -> Allowed:
        """Return what is declared for a column or path: by the first pattern that fits, `*` for anything."""
        for pattern, own in self.places.items():
            steps = pattern.split("*")
            if place == pattern or (
                len(steps) > 1 and re.fullmatch(".*".join(map(re.escape, steps)), place, re.DOTALL)
            ):
                return own
        return Allowed(atol=self.atol, rtol=self.rtol)


class OutputRecord(Document):
    """What a run wrote for one declared output: its files by path, empty where it wrote nothing."""

    spec: OutputSpec
    files: dict[str, FileEntry] = {}

    @property
    def missing(self) -> bool:
        """Whether the run left this output unwritten."""
        return not self.files


class Host(Document):
    """The machine a run saw. Reported wherever it differs; it cannot be swapped.

    `memory` in MiB; `flags` are the CPU's instruction-set flags, sorted; `gpu` the cards and their driver. `blas`
    names numpy's library, its kernel and threads, `simd` what numpy uses of the processor beyond its baseline;
    both None where the job has no numpy, or it was not asked.
    """

    machine: str = ""
    kernel: str = ""
    cpu: str = ""
    flags: tuple[str, ...] = ()
    cores: int = 0
    memory: int = 0
    gpu: str | None = None
    blas: str | None = None
    simd: str | None = None


class EngineInfo(Document):
    """Which engine ran the job, and its version in its own words."""

    name: str
    version: str = ""


class Limits(Document):
    """Bounds on a run: `timeout` in seconds, `memory` in MiB, `cpus` in hundredths of a core."""

    timeout: int = 3600
    memory: int | None = None
    cpus: int | None = None
    processes: int = 1024


class Provenance(Document):
    """Where code and base came from; not part of the state, because it decides no output.

    `base` is the name that the base was asked for by, of one in a registry with the digest that a tag stood for.
    """

    git_commit: str | None = None
    git_dirty: bool = False
    base: str = ""


class PackageFinding(Document):
    """What is odd about a package that was read from an existing environment.

    `patched`: a file is not what the package's RECORD says (`recorded` and `found` are SHA-256 in RECORD's own
    form; `diff` a unified diff from the published file, where that could be had); `missing`: a recorded file is
    gone; `added`: a file lies among the package's that it does not list; `editable`: its code lies elsewhere;
    `shadowed`: it is installed twice, and `found` is the version not seen; `unreadable`: its metadata says nothing.
    """

    package: str
    kind: Literal["patched", "missing", "added", "editable", "shadowed", "unreadable"]
    path: str
    recorded: str | None = None
    found: str | None = None
    diff: str | None = None


class LayerRecord(Document):
    """A layer of an image: `diff_id` is the digest of its tar archive, `listing` the blob that lists its files."""

    title: str
    diff_id: Digest
    listing: Digest


class ImageRecord(Document):
    """The image of an environment: `id` is the digest of its config, `layers` those over the base, the lowest first."""

    id: Digest
    layers: tuple[LayerRecord, ...]


class RunRecord(Document):
    """One execution bound to a state.

    `started` is UTC in ISO 8601; `clock` what the job's clock showed then, where that was another time (UTC
    too); `milliseconds` maps a phase (`lock`, `capture`, `environment`, `job`, …)
    to its wall time. `exit_code` is the job's own, None where it never ended by itself (`ended` says why).
    `not_held` maps what the engine could not hold fixed (`host`, `clock`, `base`, `network`) to the reason.
    `changed_inputs` names inputs that changed while the job ran. `packages` is what was odd about the packages of
    an environment that was taken as it was.
    """

    format: str = RUN_FORMAT
    state: Digest
    job: str
    reason: Reason = "run"
    of: Digest | None = None
    engine: EngineInfo
    started: str
    clock: str | None = None
    milliseconds: dict[str, int] = {}
    exit_code: int | None
    ended: Literal["exit", "timeout", "killed", "out-of-memory"] = "exit"
    outputs: dict[str, OutputRecord]
    log: Digest
    host: Host
    limits: Limits = Limits()
    not_held: dict[str, str] = {}
    changed_inputs: tuple[str, ...] = ()
    provenance: Provenance = Provenance()
    packages: tuple[PackageFinding, ...] = ()
    image: ImageRecord | None = Field(default=None, description="the environment, where an image delivered it")
    findings: tuple[str, ...] = Field(default=(), description="warnings a person should read")

    @property
    def id(self) -> str:
        """The run's id: the digest of its canonical JSON."""
        return self.digest

    @property
    def clock_began(self) -> str:
        """The time the job read when it began, UTC in ISO 8601."""
        return self.clock or self.started

    @property
    def ok(self) -> bool:
        """Whether the job ended with exit code 0 and wrote every declared output."""
        return self.exit_code == 0 and not any(o.missing for o in self.outputs.values())
