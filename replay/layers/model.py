"""The model layer: weights and hyperparameters by content."""

from __future__ import annotations

from collections.abc import Iterator

from replay.layers.base import Context, Mixable, Workspace
from replay.layers.files import differing, file_blobs, file_changes, keep, mix_files
from replay.layers.pipeline import declared_files
from replay.state import Change, Document, FileEntry
from replay.store.base import BlobRef, Store


class ModelLayer(Document):
    """The declared files by path, and which of the declared paths are folders."""

    files: dict[str, FileEntry]
    folders: tuple[str, ...] = ()


class Model(Mixable[ModelLayer]):
    """What was learned."""

    name = "model"
    document = ModelLayer

    def capture(self, context: Context) -> ModelLayer:
        """Keep the files below `[model] paths`."""
        files, folders = declared_files(context.root, context.config.model.paths, "model")
        return ModelLayer(files=keep(context.root, files, context.store), folders=folders)

    def changes(self, good: ModelLayer, bad: ModelLayer, store: Store) -> list[Change]:
        """List the files that differ, or the parts in which they do."""
        return list(file_changes(differing("model", good.files, bad.files, store)))

    def mix(self, good: ModelLayer, bad: ModelLayer, taken: frozenset[str], store: Store) -> ModelLayer:
        """Return good's files, the taken ones from bad."""
        files = mix_files("model", good.files, bad.files, taken, store)
        return ModelLayer(files=files, folders=tuple(sorted({*good.folders, *bad.folders})))

    def materialise(self, layer: ModelLayer, workspace: Workspace) -> None:
        """Put the files where the job looks for them."""
        workspace.folders.update(layer.folders)
        for path, entry in layer.files.items():
            workspace.place(path, entry.blob, entry.executable)

    def blobs(self, layer: ModelLayer) -> Iterator[BlobRef]:
        """Yield the files."""
        yield from file_blobs(layer.files)
