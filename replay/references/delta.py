"""Delta tables on a file system: which files a version consists of, out of its log.

The log: https://github.com/delta-io/delta/blob/master/PROTOCOL.md (commits as JSON lines, checkpoints as parquet).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from replay.errors import InputError
from replay.references.base import Found, Gone, Reference, stored_types
from replay.references.local import inside

LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_ANY_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*")
_OWN_LOG = {"catalogManaged", "catalogOwned-preview"}
"""Features under which the log is not all in the folder."""


@dataclass
class _Version:
    """What the log says up to some version."""

    metadata: dict[str, Any] = field(default_factory=dict)
    features: set[str] = field(default_factory=set)
    active: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, actions: list[dict[str, Any]]) -> None:
        """Take a commit's actions: what it removes first, for one commit may replace a file's entry by another."""
        for action in actions:
            if action.get("remove"):
                self.active.pop(action["remove"]["path"], None)
        for action in actions:
            if action.get("add"):
                self.active[action["add"]["path"]] = action["add"]
            if action.get("metaData"):
                self.metadata = action["metaData"]
            if action.get("protocol"):
                self.features |= set(action["protocol"].get("readerFeatures") or ())


@dataclass(frozen=True)
class Delta:
    """A Delta table in `folder`; `at` is how it was declared, `version` the wanted one (None: the newest)."""

    folder: Path
    at: str
    version: int | None = None

    def find(self, path: str) -> Found:
        """See Origin."""
        version = self._newest() if self.version is None else self.version
        log = self._log_of(version)
        state = self._replayed(log)
        if not state.metadata.get("id"):
            raise Gone(f"the log up to version {version} names no table")
        self._check(state)
        adds = list(state.active.values())
        return Found(
            kind="delta",
            identity={"table": str(state.metadata["id"]), "version": str(version)},
            parts={f"{path}/{unquote(add['path'])}": unquote(add["path"]) for add in adds},
            size=sum(int(add.get("size") or 0) for add in adds),
            folder=True,
            kept={f"{path}/{LOG}/{file.name}": file for file in log},
            rows=_rows(adds),
            columns=_columns(state.metadata.get("schemaString") or "{}"),
        )

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin."""
        file = inside(self.folder, address)
        if not file.is_file():
            lost = self.lost(reference) if reference else None
            raise Gone(lost or f"its file {address} is gone: it was vacuumed")
        return file

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        try:
            newest = self._newest()
            table = str(self._replayed(self._log_of(newest)).metadata.get("id"))
        except Gone as error:
            return str(error)
        wanted = reference.identity.get("table", "")
        missing = [part for part in reference.parts.values() if not inside(self.folder, part).is_file()]
        if not missing:
            return None
        if table != wanted:
            return f"the table was dropped and created anew (table {wanted[:12]} -> {table[:12]})"
        return f"{len(missing)} of its {len(reference.parts)} files are gone: they were vacuumed ({missing[0]})"

    def _names(self) -> Iterator[Path]:
        try:
            yield from sorted((self.folder / LOG).iterdir())
        except OSError as error:
            raise Gone(f"there is no Delta table in {self.at} ({error.strerror})") from None

    def _newest(self) -> int:
        found = [int(m[1]) for file in self._names() if (m := _COMMIT.fullmatch(file.name))]
        found += [number for number, _ in self._checkpoints()]
        if not found:
            raise Gone(f"the log of {self.at} is empty")
        return max(found)

    def _checkpoints(self) -> list[tuple[int, list[Path]]]:
        """Return the complete checkpoints, oldest first."""
        found: dict[tuple[int, int], list[Path]] = {}
        for file in self._names():
            if match := _CHECKPOINT.fullmatch(file.name):
                found.setdefault((int(match[1]), int(match[3] or 1)), []).append(file)
        return sorted((version, files) for (version, parts), files in found.items() if len(files) == parts)

    def _log_of(self, version: int) -> list[Path]:
        """Return the files of the log that a version is read from. Raises Gone where some are missing."""
        begin, files = 0, []
        for number, checkpoint in self._checkpoints():
            if number <= version:
                begin, files = number + 1, checkpoint
        for number in range(begin, version + 1):
            commit = self.folder / LOG / f"{number:020}.json"
            if not commit.is_file():
                other = any(_ANY_CHECKPOINT.fullmatch(file.name) for file in self._names()) and not files
                why = "its checkpoints are of a kind that is not read here" if other else "the log was cleaned up"
                raise Gone(f"the log of {self.at} has no version {number}: {why}, or it was created anew")
            files = [*files, commit]
        return files

    def _replayed(self, log: list[Path]) -> _Version:
        state = _Version()
        for file in log:
            try:
                state.take(_parquet(file) if file.suffix == ".parquet" else _json(file))
            except (ValueError, KeyError, TypeError, AttributeError, OSError):
                raise InputError(
                    f"{self.at}/{LOG}/{file.name} cannot be read",
                    cause="it is damaged, or no log of a Delta table",
                    do="check the table with what wrote it",
                ) from None
        return state

    def _check(self, state: _Version) -> None:
        vectors = any(add.get("deletionVector") for add in state.active.values())
        foreign = sorted(state.features & _OWN_LOG) + (["deletion vectors"] if vectors else [])
        if foreign:
            raise InputError(
                f"the Delta table {self.at} uses {foreign[0]}, which is not read here",
                cause="its files alone are not its rows",
                do="write the deletions into the files (REORG TABLE … APPLY (PURGE)), or export what the job reads",
            )


def _json(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def _parquet(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as checkpoint:
        wanted = [name for name in ("add", "metaData", "protocol") if name in checkpoint.schema_arrow.names]
        rows = checkpoint.read(columns=wanted).to_pylist()
    return [row for row in rows if any(row.values())]


def _rows(adds: list[dict[str, Any]]) -> int | None:
    """Return the rows that the log itself counts, None where it does not for every file."""
    total = 0
    for add in adds:
        stats = json.loads(add.get("stats") or "{}")
        if not isinstance(stats.get("numRecords"), int):
            return None
        total += stats["numRecords"]
    return total


def _columns(schema: str) -> dict[str, str]:
    return stored_types(json.loads(schema).get("fields", []))
