"""`replay.toml` as a whole: found, read and checked; what is wrong in it is told by line and field."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from replay.declared import Job, Output, Paths, Runtime, ServiceSource, Source, Table, named
from replay.errors import ConfigError

FILE = "replay.toml"


class Config(Table):
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
            named(name)
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
