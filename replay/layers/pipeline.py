"""The pipeline layer: code, config and command line, by content."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from replay.errors import InputError
from replay.layers.base import Context, Mixable, Workspace
from replay.layers.bonds import Piece, bonds, pieces
from replay.layers.files import differing, file_blobs, file_changes, keep, mix_files, walk
from replay.state import Change, Document, FileEntry
from replay.store.base import BlobRef, Store

COMMAND = "pipeline/command"


class PipelineLayer(Document):
    """The command line and the files of the code by path."""

    command: tuple[str, ...]
    files: dict[str, FileEntry]
    folders: tuple[str, ...] = ()


class Pipeline(Mixable[PipelineLayer]):
    """What computes."""

    name = "pipeline"
    document = PipelineLayer

    def capture(self, context: Context) -> PipelineLayer:
        """Keep the files below `[pipeline] paths` and those the command names; what other layers hold stays out."""
        config = context.config
        files, folders = declared_files(context.root, config.pipeline.paths, "pipeline")
        named = (word for word in context.command if _is_file(context.root, word))
        others = [source.path for source in config.data.values()]
        others += [*config.model.paths, *(output.path for output in config.outputs.values())]
        wanted = {str(PurePosixPath(path)) for path in (*files, *named)}
        wanted = {path for path in wanted if not _within(path, others)}
        return PipelineLayer(command=context.command, files=keep(context.root, wanted, context.store), folders=folders)

    def changes(self, good: PipelineLayer, bad: PipelineLayer, store: Store) -> list[Change]:
        """List the files that differ, or the parts in which they do, and the command line."""
        files = differing("pipeline", good.files, bad.files, store)
        found = list(file_changes(files))
        if good.command != bad.command:
            found.append(Change(name=COMMAND, before=shlex.join(good.command), after=shlex.join(bad.command)))
        needs = bonds([*pieces(files, bad.files.keys() | good.files.keys(), store), _command(good, bad)])
        return [change.model_copy(update={"requires": needs.get(change.name, ())}) for change in found]

    def mix(self, good: PipelineLayer, bad: PipelineLayer, taken: frozenset[str], store: Store) -> PipelineLayer:
        """Return good's files and command, the taken ones from bad."""
        return PipelineLayer(
            command=bad.command if COMMAND in taken else good.command,
            files=mix_files("pipeline", good.files, bad.files, taken, store),
            folders=tuple(sorted({*good.folders, *bad.folders})),
        )

    def materialise(self, layer: PipelineLayer, workspace: Workspace) -> None:
        """Put the code in place and say what is executed."""
        workspace.command = layer.command
        workspace.folders.update(layer.folders)
        for path, entry in layer.files.items():
            workspace.place(path, entry.blob, entry.executable)

    def blobs(self, layer: PipelineLayer) -> Iterator[BlobRef]:
        """Yield the files."""
        yield from file_blobs(layer.files)


def _command(good: PipelineLayer, bad: PipelineLayer) -> Piece:
    """Return what the two command lines speak of: files, and options that the code has to know."""

    def words(own: tuple[str, ...], other: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
        gone = [word for word in own if word not in other]
        return frozenset([("file", word) for word in gone] + [("option", word.split("=")[0]) for word in gone])

    return Piece(COMMAND, needs=words(bad.command, good.command), frees=words(good.command, bad.command))


def declared_files(root: Path, paths: Iterable[str], table: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the files below declared paths, and which of those paths are folders.

    Raises InputError where one is not there.
    """
    files: list[str] = []
    folders: list[str] = []
    for path in paths:
        place = root / path
        if not place.exists():
            raise InputError(
                f"[{table}] paths: {path} is not in {root}",
                cause="it was moved or deleted, or its name is misspelt in replay.toml",
                do=f"put it back, or correct [{table}] paths",
            )
        if place.is_dir():
            folders.append(path)
        files.extend(walk(root, path))
    return files, tuple(sorted(folders))


def _is_file(root: Path, word: str) -> bool:
    path = PurePosixPath(word)
    if path.is_absolute() or ".." in path.parts or "\x00" in word:
        return False
    try:
        return (root / path).is_file()
    except OSError:
        return False


def _within(path: str, others: Iterable[str]) -> bool:
    place = PurePosixPath(path)
    return any(PurePosixPath(other) in (place, *place.parents) for other in others)
