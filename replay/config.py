"""`replay.toml`: what the user declares about a job. Every field is documented here and checked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from replay.errors import ConfigError
from replay.record import Allowed, Limits, OnDuplicates, OutputSpec

FILE = "replay.toml"
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


VERSIONED = ("delta:", "iceberg:", "s3:")
"""How the uri of an input begins that is versioned where it lies."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Table):
    """`[job]`: what is executed."""

    name: str = Field(description="the job's name, in reports and in the state")
    command: list[str] = Field(min_length=1, description='the command line, e.g. ["python", "score.py"]')
    timeout: int = Field(3600, gt=0, description="seconds after which the job is stopped")
    memory: int | None = Field(None, gt=0, description="memory limit in MiB")
    cpus: float | None = Field(None, gt=0, description="CPU limit in cores, e.g. 1.5")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        return _named(value)

    def limits(self) -> Limits:
        """Return the limits a run of this job gets."""
        cpus = None if self.cpus is None else max(1, round(self.cpus * 100))
        return Limits(timeout=self.timeout, memory=self.memory, cpus=cpus)


class Runtime(_Table):
    """`[runtime]`: what the job runs on."""

    base: str | None = Field(
        None, description='"python:3.11-slim", its archive "base.tar", or a recipe "images/bookworm"'
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


class Paths(_Table):
    """`[pipeline]` or `[model]`: files and folders of the project."""

    paths: list[str] = Field([], description="files and folders, relative to the project's root")

    @field_validator("paths")
    @classmethod
    def _inside(cls, value: list[str]) -> list[str]:
        return [_inside(path) for path in value]


class Source(_Table):
    """`[data.NAME]`: an input the job reads; with a `uri`, Replay asks or fetches it and lays the answer at `path`."""

    path: str = Field(description="a file or folder, relative to the project's root")
    key: str | list[str] = Field([], description="the column, or columns, that identify a row")
    uri: str | None = Field(
        None,
        description="postgresql://…, sqlite:///FILE, http(s)://…, delta:, iceberg:, s3://…; ${NAME}: a variable",
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


class ServiceSource(_Table):
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


class Places(_Table):
    """`[outputs.NAME.tolerance.PLACE]`: what is forgiven in one column or at one path of a document."""

    atol: float | None = Field(None, ge=0, description="absolute tolerance of numbers")
    rtol: float | None = Field(None, ge=0, description="relative tolerance of numbers")

    def allowed(self) -> Allowed:
        """Return it as run records hold it."""
        texts = (None if number is None else repr(number) for number in (self.atol, self.rtol))
        return Allowed(**dict(zip(("atol", "rtol"), texts, strict=True)))


class Output(_Table):
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


class Config(_Table):
    """All of `replay.toml`."""

    job: Job
    runtime: Runtime = Runtime()
    pipeline: Paths = Paths()
    model: Paths = Paths()
    data: dict[str, Source] = {}
    services: dict[str, ServiceSource] = {}
    outputs: dict[str, Output] = Field(min_length=1)

    def in_image(self, image: str) -> Config:
        """Return the same job on an existing image, in place of what it names to run on."""
        runtime = {"image": image, "base": None, "dockerfile": None, "requirements": None}
        return self.model_copy(update={"runtime": self.runtime.model_copy(update=runtime)})

    @field_validator("data", "services", "outputs")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            _named(name)
        return value

    @model_validator(mode="after")
    def _services_apart(self) -> Self:
        """One name, one source; a variable that Replay sets for a service is not taken from the caller as well."""
        for name, service in self.services.items():
            if name in self.data:
                raise ValueError(f"{name!r} is declared under data and under services: give one another name")
            given = {service.given} if service.given else {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE"}
            for variable in given & {*self.runtime.env, *self.runtime.set}:
                raise ValueError(f"{variable} leads the job to the service {name!r}: take it out of [runtime]")
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """One path, one meaning: what is written cannot be read in as well."""
        outputs = {name: PurePosixPath(o.path) for name, o in self.outputs.items()}
        inputs = [source.path for source in self.data.values()] + self.model.paths
        for name, path in outputs.items():
            for other in inputs:
                if PurePosixPath(other) == path or PurePosixPath(other) in path.parents:
                    raise ValueError(f"output {name!r} ({path}) lies within the input {other!r}")
        return self


def find_root(start: Path) -> Path:
    """Return the nearest folder from `start` upwards that declares a job. Raises ConfigError."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file() or _in_pyproject(folder) is not None:
            return folder
    raise ConfigError(
        f"no {FILE} in {start} or any folder above it",
        cause="this is not the folder of a job, or the job was never declared",
        do="change to the job's folder, or write one with `replay init`",
    )


def load(root: Path) -> Config:
    """Return the checked declaration of the project in `root`. Raises ConfigError naming line and field."""
    file = root / FILE
    table = "" if file.is_file() else "tool.replay"
    if table:
        file = root / "pyproject.toml"
    text = _read(file)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file.name} is not valid TOML: {error}",
            cause="a typing slip near that line",
            do="mend that line; strings need quotes, tables look like [job]",
        ) from None
    if table:
        document = document["tool"]["replay"]
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise _explained(error, file.name, text, table) from None


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file.name} is not UTF-8 text (byte {error.start})",
            cause="it was saved in another encoding",
            do="save it as UTF-8",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{file.name} cannot be read: {error.strerror}",
            cause="it is missing or its permissions forbid it",
            do=f"check {file}",
        ) from None


def _in_pyproject(folder: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    table = document.get("tool", {}).get("replay")
    return table if isinstance(table, dict) else None


def _explained(error: ValidationError, name: str, text: str, table: str) -> ConfigError:
    # A misspelt key also leaves its field missing: the slip is what helps.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"]]
    line = line_of(text, [*filter(None, table.split(".")), *location])
    where = f"{name}, line {line}" if line else name
    field = ".".join(location) or "the whole file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"{where}: unknown key {field}{more}",
            cause="a typing slip, or a key that another table holds",
            do=f"remove it or correct it; known here: {', '.join(_known(location[:-1]))}",
        )
    message = first["msg"].removeprefix("Value error, ")
    message = "is required and missing" if first["type"] == "missing" else message
    return ConfigError(
        f"{where}: {field}: {message}{more}",
        cause="the value is missing or of another kind than this field takes",
        do=f"correct {field} in {name}; `replay init --show` prints an example of every field",
    )


def _known(location: list[str]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "job": Job,
        "runtime": Runtime,
        "pipeline": Paths,
        "model": Paths,
        "data": Source,
        "services": ServiceSource,
        "outputs": Output,
    }
    model = tables.get(location[0], Config) if location else Config
    return [field.alias or name for name, field in model.model_fields.items()]


def line_of(text: str, location: list[str]) -> int | None:
    """Return the 1-based line on which the deepest part of `location` that the text has is written."""
    current: list[str] = []
    best, depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.match(r"^\[+\s*([^\]]+?)\s*\]+", stripped):
            current = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            path = current
        elif key := re.match(r"""^["']?([A-Za-z0-9_.-]+)["']?\s*=""", stripped):
            path = [*current, *key.group(1).split(".")]
        else:
            continue
        if len(path) > depth and path == location[: len(path)]:
            best, depth = number, len(path)
    return best


def _named(value: str) -> str:
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
