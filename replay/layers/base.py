"""What every layer answers: what is it now, how do two differ, what lies between, how does it run again?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from replay.config import Config
from replay.environment.base import Base
from replay.environment.packages import PackageSet
from replay.references.base import Pinned
from replay.sources.tape import Service
from replay.state import Change, Document, FileEntry
from replay.store.base import BlobRef, Store

D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Context:
    """All that a capture may look at.

    `root` is the project's folder, `environ` the caller's variables, `base` and `packages` what the job
    will run on (found out by the caller, because only an engine knows). `done` holds the documents of the
    layers captured before: access is asked first, then data, then schema (a view of the data's snapshot).
    `asked` is what the sources that were asked gave, and `referred` those that are versioned where they lie, on
    their way from access to data.
    """

    root: Path
    config: Config
    store: Store
    environ: Mapping[str, str]
    base: Base
    packages: PackageSet
    command: tuple[str, ...]
    done: dict[str, Document] = field(default_factory=dict)
    asked: dict[str, FileEntry] = field(default_factory=dict)
    referred: dict[str, Pinned] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """A file of the workspace: `path` in the project and its content by digest.

    `blob` None: it is there and may not be read (then `folder` says whether it is a folder).
    """

    path: str
    blob: str | None
    executable: bool = False
    folder: bool = False


@dataclass
class Workspace:
    """What the layers want a run to see; filled by `materialise`, laid out by `replay.workspace`."""

    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    base: Base | None = None
    packages: PackageSet | None = None
    files: dict[str, Placed] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    secrets: tuple[str, ...] = ()
    services: dict[str, Service] = field(default_factory=dict)

    def withdraw(self, path: str) -> None:
        """Take away whatever stands at or below `path`."""
        for known in [file for file in self.files if file == path or file.startswith(f"{path}/")]:
            del self.files[known]
        self.folders.discard(path)

    def place(self, path: str, blob: str, executable: bool = False) -> None:
        """Put a file at `path`; a later layer's word replaces an earlier one's."""
        self.files[path] = Placed(path, blob, executable)

    def seal(self, path: str, folder: bool = False) -> None:
        """Put something at `path` that is there and may not be read."""
        self.files[path] = Placed(path, None, folder=folder)


class Layer(ABC, Generic[D]):
    """One of the six layers. Stateless: an instance holds nothing but its name and its document's class."""

    name: str
    document: type[D]

    @abstractmethod
    def capture(self, context: Context) -> D:
        """Return the layer as it is now; contents go into the store. Raises InputError or ConfigError."""

    @abstractmethod
    def materialise(self, layer: D, workspace: Workspace) -> None:
        """Add to `workspace` what this layer decides about a run."""

    def blobs(self, layer: D) -> Iterator[BlobRef]:
        """Yield the blobs the layer's document refers to (none, unless it says otherwise)."""
        del layer
        yield from ()


class Mixable(Layer[D]):
    """A layer that is mixed by itself. Schema and data are not: see `replay.layers.inputs`."""

    @abstractmethod
    def changes(self, good: D, bad: D, store: Store) -> list[Change]:
        """Return how two differ, smallest steps, in the order in which reports name them.

        Reads contents out of `store` where documents alone do not tell (hunks, cells).
        """

    @abstractmethod
    def mix(self, good: D, bad: D, taken: frozenset[str], store: Store) -> D:
        """Return `good` with the changes named in `taken` from `bad`.

        With no change taken it is `good`, with all of them `bad`. Content that stands in neither (half of a
        file's hunks, one column of a table) is made and kept in `store`: a mix is a state like any other.
        """
