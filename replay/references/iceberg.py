"""Iceberg tables on a file system: which files a snapshot consists of, out of the table's metadata.

The format: https://iceberg.apache.org/spec/ (metadata as JSON, manifests as Avro).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.errors import ConfigError, InputError
from replay.references.base import Found, Gone, Reference, stored_types
from replay.references.local import inside

METADATA = "metadata"
_DELETED = 2
"""The status of a manifest's entry that is there no more."""


@dataclass(frozen=True)
class Iceberg:
    """An Iceberg table in `folder`; `at` is how it was declared, `snapshot` the wanted one (None: the current)."""

    folder: Path
    at: str
    snapshot: int | None = None

    def find(self, path: str) -> Found:
        """See Origin."""
        file, table = self._newest()
        wanted = table.get("current-snapshot-id") if self.snapshot is None else self.snapshot
        if wanted in {None, -1}:
            raise Gone(f"the table {self.at} has no snapshot yet")
        snapshot = next((s for s in table.get("snapshots", []) if s.get("snapshot-id") == wanted), None)
        if snapshot is None:
            raise Gone(f"the table {self.at} has no snapshot {wanted} any more: it expired")
        try:
            manifests, data = self._files(snapshot, str(table.get("location", "")))
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError):
            raise self._damaged(f"snapshot {wanted}") from None
        own = [file.relative_to(self.folder).as_posix(), *manifests]
        return Found(
            kind="iceberg",
            identity={"table": str(table.get("table-uuid", "")), "snapshot": str(wanted)},
            parts={f"{path}/{name}": name for name in sorted(data)},
            size=sum(size for size, _ in data.values()),
            folder=True,
            kept={f"{path}/{name}": inside(self.folder, name) for name in own},
            rows=sum(rows for _, rows in data.values()),
            columns=_columns(table),
        )

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin."""
        file = inside(self.folder, address)
        if not file.is_file():
            lost = self.lost(reference) if reference else None
            raise Gone(lost or f"its file {address} is gone")
        return file

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        missing = [part for part in reference.parts.values() if not inside(self.folder, part).is_file()]
        if not missing:
            return None
        _, table = self._newest()
        was, now = reference.identity.get("table", ""), str(table.get("table-uuid", ""))
        if was != now:
            return f"the table was dropped and created anew (table {was[:12]} -> {now[:12]})"
        known = {str(snapshot.get("snapshot-id")) for snapshot in table.get("snapshots", [])}
        expired = "" if reference.identity.get("snapshot") in known else ", its snapshot expired"
        return f"{len(missing)} of its {len(reference.parts)} files are gone{expired} ({missing[0]})"

    def _newest(self) -> tuple[Path, dict[str, Any]]:
        """Return the table's metadata as last written: by its own time, for a table created anew counts from 0."""
        files = sorted((self.folder / METADATA).glob("*.metadata.json"))
        if not files:
            raise Gone(f"there is no Iceberg table in {self.at}")
        found = []
        for file in files:
            try:
                table = json.loads(file.read_bytes())
                found.append((int(table["last-updated-ms"]), file.name, file, table))
            except (ValueError, KeyError, TypeError, OSError):
                raise self._damaged(f"{METADATA}/{file.name}") from None
        return max(found, key=lambda one: one[:2])[2:]

    def _files(self, snapshot: dict[str, Any], location: str) -> tuple[list[str], dict[str, tuple[int, int]]]:
        """Return the manifests of a snapshot, and its data files with size and rows; by path in the table."""
        listed = self._within(snapshot["manifest-list"], location)
        manifests, data = [listed], {}
        for manifest in self._avro(listed):
            name = self._within(manifest["manifest_path"], location)
            manifests.append(name)
            for entry in self._avro(name):
                file = entry["data_file"]
                if entry["status"] == _DELETED:
                    continue
                if manifest.get("content") or file.get("content"):
                    raise InputError(
                        f"the Iceberg table {self.at} has delete files, which are not read here",
                        cause="its files alone are not its rows (merge on read)",
                        do="rewrite its data files (rewrite_data_files), or export what the job reads",
                    )
                path = self._within(file["file_path"], location)
                data[path] = int(file["file_size_in_bytes"]), int(file["record_count"])
        return manifests, data

    def _within(self, uri: str, location: str) -> str:
        """Return a file's path in the table's folder, wherever that folder was moved to."""
        path, root = (text.removeprefix("file:").replace("//", "/") for text in (str(uri), location.rstrip("/")))
        if not root or not path.startswith(f"{root}/"):
            raise Gone(f"its file {uri} lies outside the table's folder")
        return path.removeprefix(f"{root}/")

    def _avro(self, name: str) -> list[dict[str, Any]]:
        try:
            import fastavro
        except ImportError:
            raise ConfigError(
                f"the Iceberg table {self.at} cannot be read without fastavro",
                cause="it is an extra, and is not installed here",
                do="pip install 'release-replay[iceberg]'",
            ) from None
        try:
            with inside(self.folder, name).open("rb") as file:
                records: Any = fastavro.reader(file)
                return [dict(record) for record in records]
        except OSError:
            raise Gone(f"its manifest {name} is gone") from None

    def _damaged(self, what: str) -> InputError:
        return InputError(
            f"{what} of the Iceberg table {self.at} cannot be read",
            cause="it is damaged, or no such metadata",
            do="check the table with what wrote it",
        )


def _columns(table: dict[str, Any]) -> dict[str, str]:
    schemas = table.get("schemas") or [table.get("schema") or {}]
    current = next((s for s in schemas if s.get("schema-id") == table.get("current-schema-id")), schemas[-1])
    return stored_types(current.get("fields", []))
