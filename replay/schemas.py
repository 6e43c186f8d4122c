"""The JSON Schemas of all that Replay writes for others: documents in the store, and what `--json` prints.

`python -m replay.schemas FOLDER` writes them; those under docs/schemas are made so. JSON Schema draft 2020-12.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema

from replay.bisect.verdict import Verdict
from replay.compare.difference import Kind
from replay.digest import Digest
from replay.environment.pinned import Pinned
from replay.layers.access import AccessLayer
from replay.layers.data import DataLayer
from replay.layers.model import ModelLayer
from replay.layers.pipeline import PipelineLayer
from replay.layers.runtime import RuntimeLayer
from replay.layers.schema import SchemaLayer
from replay.record import PackageFinding, Reason, RunRecord
from replay.references.pin import Standing
from replay.state import Change, Document, ReleaseState


class _Printed(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _identified(document: type[Document], name: str) -> type[BaseModel]:
    """Return the model of a document that is printed with its id among its fields."""
    fields: dict[str, Any] = {field: (info.annotation, info) for field, info in document.model_fields.items()}
    config = ConfigDict(extra="forbid")
    return create_model(name, __config__=config, __doc__=document.__doc__, id=(Digest, ...), **fields)


class Run(_Printed):
    """`replay run --json`."""

    run: Digest = Field(description="the run's id")
    tag: str | None = Field(description="the name it was given with --tag")
    record: RunRecord


class LogLine(_Printed):
    """A run in the log."""

    run: Digest
    state: Digest
    job: str
    reason: Reason
    started: str = Field(description="UTC, ISO 8601")
    exit_code: int | None = Field(description="null where the job never ended by itself")
    engine: str
    origin: str = Field(description="where it was pulled from; empty where it was made here")
    tags: list[str]


class Log(_Printed):
    """`replay log --json`."""

    runs: list[LogLine] = Field(description="newest first")


class Show(_Printed):
    """`replay show --json` (with --layer: the document of that layer)."""

    state: _identified(ReleaseState, "IdentifiedState")  # type: ignore[valid-type]
    run: _identified(RunRecord, "IdentifiedRun") | None = Field(  # type: ignore[valid-type]
        description="null where the reference named a state"
    )
    references: dict[str, Standing] = Field(description="of inputs that refer to a version: whether it still resolves")


class Tag(_Printed):
    """`replay tag --json`."""

    tag: str
    state: Digest
    run: Digest | None = Field(description="null where the tag names a state")


class DifferenceTree(_Printed):
    """A finding about `name`, with finer ones in `children`."""

    name: str
    kind: Kind = Field(description="`order`, `encoding` and `noise` are no change of behaviour; `group` holds children")
    matters: bool = Field(description="whether this, or anything below it, is a change of behaviour")
    sentence: str
    numbers: dict[str, Any] = Field(description="the figures behind the sentence, in the unit of the values")
    children: list[DifferenceTree]


class Side(_Printed):
    """One of two runs."""

    run: Digest
    state: Digest


class OddPackages(_Printed):
    """What was odd about the packages of each side, where its environment was taken as it was."""

    a: list[PackageFinding]
    b: list[PackageFinding]


class Diff(_Printed):
    """`replay diff --json`."""

    a: Side
    b: Side
    changes: list[Change] = Field(description="how the states differ, in the order of the layers")
    outputs: DifferenceTree | None = Field(description="null where the outputs are equal byte for byte")
    packages: OddPackages


class Repetition(_Printed):
    """One rerun."""

    run: Digest
    reproduced: bool
    difference: DifferenceTree | None = Field(description="null where it is equal byte for byte")


class Rerun(_Printed):
    """`replay rerun --json`."""

    recorded: Digest = Field(description="the run that was repeated")
    reproduced: bool = Field(description="whether every rerun ended and behaved as recorded")
    byte_for_byte: bool = Field(description="whether every rerun wrote the very same bytes")
    reruns: list[Repetition]
    host_differences: list[str]
    not_held: dict[str, str] = Field(description="what the engine could not hold fixed, and why")
    noise: dict[str, dict[str, float]] = Field(
        description="with --noise: what repeats of the state differ in, by output and column or path"
    )


class Build(_Printed):
    """`replay build --json`."""

    state: Digest
    image: Digest = Field(description="the digest of the image's config: its id in an engine")
    environment: Digest = Field(description="the same of the environment alone: base and packages")
    name: str = Field(description="the name it has in the engine")
    loaded: list[str] = Field(description="the layers that were sent, the lowest first")
    known: list[str] = Field(description="the layers that the engine had")


class Export(_Printed):
    """`replay export --json`."""

    state: Digest
    image: Digest = Field(description="the digest of the image's config: its id in an engine")
    name: str = Field(description="the name it gets where it is loaded")
    format: Literal["oci-archive", "oci", "docker-archive"]
    path: str = Field(description="the file or folder that was written")


class Push(_Printed):
    """`replay push --json`."""

    reference: str = Field(description="REGISTRY/NAME:TAG")
    manifest: Digest = Field(description="the digest of what the tag points at now")
    replaced: Digest | None = Field(description="what it pointed at before, null where that is the same or nothing")
    state: Digest
    run: Digest | None = Field(description="null where the state alone was sent")
    sent: list[str] = Field(description="the titles of the blobs that were sent")
    sent_bytes: int
    known: int = Field(description="how many blobs the registry had")
    mounted: int = Field(description="how many it took over from another repository")
    left_out: list[str] = Field(description="with --without-data: the titles of what stayed behind")


class Pull(_Printed):
    """`replay pull --json`."""

    reference: str = Field(description="REGISTRY/NAME:TAG, or with a digest")
    state: Digest
    run: Digest | None = Field(description="null where the state came alone")
    tag: str | None = Field(description="the name it has here")
    fetched: int = Field(description="how many blobs were fetched")
    fetched_bytes: int
    known: int = Field(description="how many blobs the store had")
    missing: list[str] = Field(description="the titles of inputs whose content is neither there nor here")


class Compare(_Printed):
    """`replay compare --json`."""

    a: str = Field(description="as it was given: a run, a file or a folder")
    b: str
    difference: DifferenceTree | None = Field(description="null where they are equal byte for byte")


class Plan(_Printed):
    """`replay bisect --plan --json`."""

    probes: list[str] = Field(description="at most these, in words, in order")
    seconds: float = Field(description="about how long the jobs of all probes take, one after the other")


class LockChange(_Printed):
    """A package that is not what it was before."""

    name: str = Field(description="`runtime/packages/NAME`")
    before: str | None = Field(description="version and wheel (short); null where it was not there")
    after: str | None


class Lock(_Printed):
    """`replay lock --json`."""

    file: str
    packages: int = Field(description="how many it pins now")
    changes: list[LockChange]


class DoctorCheck(_Printed):
    """One thing that was looked at."""

    name: str
    word: Literal["fine", "note", "missing"]
    found: str
    do: str = Field(description="what to do about it, empty where there is nothing to do")


class Doctor(_Printed):
    """`replay doctor --json`."""

    checks: list[DoctorCheck]


class StoreFinding(_Printed):
    """One thing that is wrong in a store."""

    what: str
    fatal: bool = Field(description="whether something recorded is lost")


class Fsck(_Printed):
    """`replay fsck --json`."""

    sound: bool
    findings: list[StoreFinding]


class Gc(_Printed):
    """`replay gc --json`."""

    dry_run: bool = Field(description="whether nothing was removed, only looked at")
    runs: list[Digest] = Field(description="the runs that were dropped from the log")
    states: list[Digest] = Field(description="the states that no run and no tag was left of")
    blobs: int = Field(description="how many files of blobs nothing needed")
    blob_bytes: int
    cache_bytes: int = Field(description="with --caches")
    images: list[str] = Field(description="with --engine: the images that were removed from the engine")
    images_in_use: list[str] = Field(description="with --engine: those that a container uses")


SCHEMAS: dict[str, type[BaseModel]] = {
    "state": ReleaseState,
    "run-record": RunRecord,
    "layer-schema": SchemaLayer,
    "layer-data": DataLayer,
    "layer-pipeline": PipelineLayer,
    "layer-model": ModelLayer,
    "layer-runtime": RuntimeLayer,
    "layer-access": AccessLayer,
    "cli-run": Run,
    "cli-log": Log,
    "cli-show": Show,
    "cli-tag": Tag,
    "cli-lock": Lock,
    "replay-lock": Pinned,
    "cli-diff": Diff,
    "cli-rerun": Rerun,
    "cli-build": Build,
    "cli-export": Export,
    "cli-push": Push,
    "cli-pull": Pull,
    "cli-compare": Compare,
    "cli-verdict": Verdict,
    "cli-plan": Plan,
    "cli-doctor": Doctor,
    "cli-fsck": Fsck,
    "cli-gc": Gc,
}
"""Every schema by name. `cli-verdict` is what `bisect` and `verify` print."""

STORED = frozenset(name for name in SCHEMAS if not name.startswith("cli-"))
"""Schemas of documents that lie in a store or beside a project, rather than on standard output."""

VERSION = 1
"""Raised when a document that fitted its schema no longer would."""


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """Say no: fields are named by their keys, a title beside each would only repeat it."""
        del schema
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Say yes for what is printed, which has every field; what is stored leaves out what stands at its default."""
        return self.mode == "serialization" or super().field_is_required(field, total)


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema called `name`. Raises KeyError."""
    mode: Literal["validation", "serialization"] = "validation" if name in STORED else "serialization"
    body = SCHEMAS[name].model_json_schema(mode=mode, schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, "$id": f"urn:replay:schema:{name}:{VERSION}", **body}


def write(folder: Path) -> None:
    """Write every schema into `folder`, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        text = json.dumps(schema(name), indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
