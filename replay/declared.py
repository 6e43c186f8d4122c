"""The tables of `replay.toml`: what the user declares about a job. Every field is documented here and checked."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from replay.record import Allowed, Limits, OnDuplicates, OutputSpec

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

VERSIONED = ("delta:", "hf:", "iceberg:", "s3:")
"""How the uri of an input begins that is versioned where it lies."""


class Table(BaseModel):
    """A table of the file: it takes the keys that it declares and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(Table):
    """`[job]`: what is executed."""

    name: str = Field(description="the job's name, in reports and in the state")
    command: list[str] = Field(min_length=1, description='the command line, e.g. ["python", "score.py"]')
    timeout: int = Field(3600, gt=0, description="seconds after which the job is stopped")
    memory: int | None = Field(None, gt=0, description="memory limit in MiB")
    cpus: float | None = Field(None, gt=0, description="CPU limit in cores, e.g. 1.5")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        return named(value)

    def limits(self) -> Limits:
        """Return the limits a run of this job gets."""
        cpus = None if self.cpus is None else max(1, round(self.cpus * 100))
        return Limits(timeout=self.timeout, memory=self.memory, cpus=cpus)


class Runtime(Table):
    """`[runtime]`: what the job runs on."""

    base: str | None = Field(
        None,
        description='"python:3.11-slim" of the engine, "registry.example/team/python@sha256:…" (or a tag) of a '
        'registry, an archive "base.tar", or a recipe "images/bookworm"',
    )
    image: str | None = Field(None, description="an existing image to take as it is, with the packages in it")
    dockerfile: str | None = Field(None, description="a Dockerfile to build and take as it is")
    python: str | None = Field(None, pattern=r"^3\.\d+$", description='e.g. "3.11"; default: what the base has')
    requirements: str | None = Field(
        None, description="requirements.txt (loose, pinned, hash-locked), pylock.toml, uv.lock or poetry.lock"
    )
    extras: list[str] = Field([], description="extras wanted of a pylock.toml, uv.lock or poetry.lock")
    locker: Literal["pip-tools", "uv"] = Field("pip-tools", description="what resolves requirements that are no lock")
    groups: list[str] | None = Field(None, description="its dependency groups; default: those it installs by itself")
    env: list[str] = Field([], description="variables taken from the caller and recorded")
    secrets: list[str] = Field([], description="variables passed through and never recorded")
    set: dict[str, str] = Field({}, description="variables with the value given here")

    @property
    def adopts(self) -> bool:
        """Whether the job runs on an image that brings its own packages."""
        return self.image is not None or self.dockerfile is not None

    @field_validator("env", "secrets", "set")
    @classmethod
    def _variables(cls, value: Any) -> Any:
        for name in value:
            if not VARIABLE.match(name):
                raise ValueError(f"{name!r} is no name of a variable")
        return value

    @model_validator(mode="after")
    def _one_environment(self) -> Self:
        given = [name for name in ("base", "image", "dockerfile") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} both say what the job runs on: keep one of them")
        if self.requirements is not None and given in (["image"], ["dockerfile"]):
            raise ValueError(f"an {given[0]} brings its own packages: leave `requirements` out, or name it as `base`")
        return self

    @field_validator("dockerfile")
    @classmethod
    def _in_the_project(cls, value: str | None) -> str | None:
        return None if value is None else _inside(value)

    @model_validator(mode="after")
    def _no_secret_is_recorded(self) -> Self:
        for name in self.secrets:
            if name in self.env or name in self.set:
                raise ValueError(f"{name} is a secret and recorded as well: keep it in `secrets` alone")
        return self


class Paths(Table):
    """`[pipeline]` or `[model]`: files and folders of the project."""

    paths: list[str] = Field([], description="files and folders, relative to the project's root")

    @field_validator("paths")
    @classmethod
    def _inside(cls, value: list[str]) -> list[str]:
        return [_inside(path) for path in value]


class Source(Table):
    """`[data.NAME]`: an input the job reads; with a `uri`, Replay asks or fetches it and lays the answer at `path`."""

    path: str = Field(description="a file or folder, relative to the project's root")
    key: str | list[str] = Field([], description="the column, or columns, that identify a row")
    uri: str | None = Field(
        None,
        description="postgresql://…, sqlite:///FILE, http(s)://…, delta:, iceberg:, s3://, hf://; ${NAME}: a variable",
    )
    query: str | None = Field(None, description="what a database is asked: one SELECT")
    headers: dict[str, str] = Field({}, description="of a request over HTTP; ${NAME} stands for a variable")

    copied: bool | None = Field(
        None,
        alias="copy",
        description="of what is versioned where it lies: keep a copy too; default: up to 256 MiB",
    )

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        return _inside(value)

    @model_validator(mode="after")
    def _askable(self) -> Self:
        if self.uri is None and (self.query or self.headers):
            raise ValueError("query and headers need the uri of a source that can be asked")
        if self.uri is not None and self.uri.startswith(VERSIONED) and (self.query or self.headers):
            raise ValueError(f"{self.uri.partition(':')[0]} is read as it is: it takes no query and no headers")
        database = self.uri is not None and not self.uri.startswith(("http:", "https:")) and not self.headers
        if database and self.query and not (self.key or re.search(r"\border\s+by\b", self.query, re.IGNORECASE)):
            raise ValueError("the rows of a query need an order: a key, or ORDER BY in the query")
        if self.query and PurePosixPath(self.path).suffix != ".csv":
            raise ValueError("the rows of a query are written as CSV: path must end in .csv")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The key as a tuple of columns."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)


class ServiceSource(Table):
    """`[services.NAME]`: a service the job asks by itself while it runs; its answers are recorded."""

    uri: str = Field(description='"http(s)://…" or "postgresql://…"; ${NAME} stands for a variable of the caller')
    variable: str | None = Field(None, description="the variable in which the job finds the URI")

    @field_validator("variable")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not VARIABLE.match(value):
            raise ValueError(f"{value!r} is no name of a variable")
        return value

    @property
    def given(self) -> str | None:
        """The variable in which the job finds the service: the declared one, or the one that is the whole uri."""
        whole = re.fullmatch(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", self.uri)
        return self.variable or (whole[1] if whole else None)


class Places(Table):
    """`[outputs.NAME.tolerance.PLACE]`: what is forgiven in one column or at one path of a document."""

    atol: float | None = Field(None, ge=0, description="absolute tolerance of numbers")
    rtol: float | None = Field(None, ge=0, description="relative tolerance of numbers")

    def allowed(self) -> Allowed:
        """Return it as run records hold it."""
        texts = (None if number is None else repr(number) for number in (self.atol, self.rtol))
        return Allowed(**dict(zip(("atol", "rtol"), texts, strict=True)))


class Output(Table):
    """`[outputs.NAME]`: a file or folder the job writes."""

    path: str = Field(description="relative to the project's root")
    key: str | list[str] | None = Field(None, description="the column, or columns, that identify a row")
    decision: str | None = Field(None, description="the column whose flips matter most")
    on_duplicates: OnDuplicates = Field(
        "error", description="a key that is there more than once: an error, rows matched by number, or rows left out"
    )
    atol: float | None = Field(None, ge=0, description="absolute tolerance of numbers; default 0")
    rtol: float | None = Field(None, ge=0, description="relative tolerance of numbers; default 0")
    psi: float | None = Field(None, ge=0, le=100, description="PSI from which a column's shift is told; default 0.1")
    tolerance: dict[str, Places] = Field(
        {}, description='per column or path of a document, `*` for anything: [outputs.NAME.tolerance."folds[*].loss"]'
    )

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        # A slash at the end says folder: it is made before the job starts.
        return _inside(value) + ("/" if value.endswith("/") else "")

    @model_validator(mode="after")
    def _table_has_key(self) -> Self:
        if self.key is None and PurePosixPath(self.path).suffix in {".csv", ".tsv", ".parquet", ".feather", ".arrow"}:
            raise ValueError("a table needs its key, the columns that identify a row; key = [] compares by position")
        return self

    def spec(self) -> OutputSpec:
        """Return the declaration as run records hold it."""
        key = () if self.key is None else (self.key,) if isinstance(self.key, str) else tuple(self.key)
        return OutputSpec(
            path=self.path,
            key=key,
            decision=self.decision,
            on_duplicates=self.on_duplicates,
            atol=None if self.atol is None else repr(self.atol),
            rtol=None if self.rtol is None else repr(self.rtol),
            psi=None if self.psi is None else repr(self.psi),
            places={place: own.allowed() for place, own in self.tolerance.items()},
        )


def named(value: str) -> str:
    """Return a name as it is. Raises ValueError where it is none that paths and references can hold."""
    if not NAME.match(value):
        raise ValueError(f"{value!r} is no usable name: letters, digits, '.', '_' and '-', at most 64")
    return value


def _inside(value: str) -> str:
    """Return a path in its plain form. Raises ValueError where it leaves the project."""
    if not value or "\x00" in value or "\\" in value:
        raise ValueError(f"{value!r} is no path")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or value.startswith("~"):
        raise ValueError(f"{value!r} lies outside the project: only paths relative to its root are taken")
    if path.parts and path.parts[0] in {".replay", ".git"}:
        raise ValueError(f"{value!r} belongs to {path.parts[0]}, not to the job")
    return str(path)
