"""From a closure to the layers of its environment, and from a state to its image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from replay.engines.base import SYSTEM_PATH
from replay.environment.base import BaseImage, Interpreter
from replay.environment.packages import PackageSet
from replay.environment.tree import Content, settle
from replay.environment.wheels import Unpacked
from replay.image.image import Image
from replay.image.layers import PREFIX, SHARED, WORK, Layer, checked, layer, own_layer, wheel_layers
from replay.image.plan import arrange
from replay.image.tarstream import FOLDER, Entry
from replay.layers.base import Placed, Workspace
from replay.store.base import Store

SCRATCH_HOME = "/tmp"  # noqa: S108 - the container's own
NOBODY = "65534:65534"


@dataclass(frozen=True)
class Environment:
    """A closure's wheels, unpacked, over a base; its layers are measured when they are asked for."""

    base: BaseImage
    packages: PackageSet
    interpreter: Interpreter
    wheels: Mapping[str, Unpacked]
    store: Store

    @cached_property
    def content(self) -> Content:
        """What stands at every path. Raises WheelError."""
        return settle(dict(self.wheels), self.packages, self.interpreter)

    @cached_property
    def stacked(self) -> dict[tuple[str, ...], Layer]:
        """The layers of the wheels, the lowest first, by the packages in them. Raises StoreError."""
        sizes = {name: wheel.size for name, wheel in self.packages.wheels.items()}
        stack = arrange(sizes, len(self.base.layers))
        return dict(zip(stack, wheel_layers(stack, self.wheels, self.packages, self.store), strict=True))

    @cached_property
    def image(self) -> Image:
        """The environment as an image: the same for the same closure, base and interpreter, anywhere."""
        return self.over(())

    def over(self, known: Sequence[Layer]) -> Image:
        """Return an image that shows the same files over other layers: `known`, then those that they lack."""
        there = {one.diff_id for one in known}
        below = [*known, *(one for one in self.stacked.values() if one.diff_id not in there)]
        owners = {name: one for names, one in self.stacked.items() for name in names}
        own = own_layer(below, owners, self.wheels, self.content, self.store)
        return Image(self.base, (*below, own))


def state_image(
    environment: Environment,
    view: Workspace,
    outputs: Iterable[str],
    groups: Mapping[str, str],
    *,
    with_data: bool = True,
) -> Image:
    """Return a state's image: its environment, then data, model and code, the likeliest to change on top.

    `groups` maps a file's path to `model` or `code`; what is in neither is data. The image starts the job as
    nobody; the folders of outputs are there, empty, and anybody may write into them.
    """
    outputs = tuple(outputs)
    mode = _modes(view, [PurePosixPath(path) for path in outputs])
    above = []
    for title in ("data", "model", "code") if with_data else ("model", "code"):
        entries = [
            _placed(one, environment.store) for one in view.files.values() if groups.get(one.path, "data") == title
        ]
        if title == "code":
            entries += [Entry(f"{WORK}/{path}", mode(f"{WORK}/{path}")) for path in sorted(_folders(view, outputs))]
        if entries:
            above.append(layer(title, [*entries, Entry(WORK, SHARED)], environment.store, mode))
    return Image(environment.base, (*environment.image.layers, *above), _settings(environment, view))


def _settings(environment: Environment, view: Workspace) -> dict[str, object]:
    # Of an image that was adopted the state holds all variables; what it has not is not set.
    adopted = view.base is not None and view.base.contents is not None
    inherited = dict(line.split("=", 1) for line in environment.base.env if "=" in line and not adopted)
    variables = {**inherited, "HOME": SCRATCH_HOME, **view.env}
    variables["PATH"] = f"/{PREFIX}/bin:" + variables.get("PATH", SYSTEM_PATH)
    command = list(view.command)
    if command[:1] == ["python"]:
        command[0] = f"/{PREFIX}/bin/python"
    env = [f"{name}={value}" for name, value in sorted(variables.items())]
    return {"Cmd": command, "Env": env, "User": NOBODY}


def _placed(placed: Placed, store: Store) -> Entry:
    path = checked(f"{WORK}/{placed.path}", "the job")
    if placed.blob is None:
        return Entry(path, 0) if placed.folder else Entry(path, 0, b"")
    return Entry(path, 0o555 if placed.executable else 0o444, store.path(placed.blob))


def _folders(view: Workspace, outputs: Iterable[str]) -> set[str]:
    """Return the folders that are there though nothing lies in them."""
    written = {path.rstrip("/") if path.endswith("/") else path.rpartition("/")[0] for path in outputs}
    return {str(PurePosixPath(path)) for path in {*view.folders, *written} if path not in ("", ".")}


def _modes(view: Workspace, outputs: list[PurePosixPath]) -> Callable[[str], int]:
    """Return what a folder's mode is: nobody writes into a declared folder unless an output lies inside it."""
    declared = {PurePosixPath(path) for path in view.folders}
    opened = {PurePosixPath(), *outputs, *(parent for path in outputs for parent in path.parents)}

    def mode(path: str) -> int:
        folder = PurePosixPath(path).relative_to(WORK)
        sealed = declared & {folder, *folder.parents} and folder not in opened
        return FOLDER if sealed else SHARED

    return mode
