"""The usual ways to an image of hash-locked requirements: Dockerfiles with pip and with uv."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rounds import run, say
from wheelhouse import OTHER, SWAPPED, Wheelhouse

BASE = "replay-base:bookworm"
TOOLED = "replay-bench-tooled"
IMAGE = "replay-bench-pip"
"""The image of pip's own installation, with bytecode: what imports are held against."""

_TOOLED = f"""\
FROM {BASE}
COPY tools /tools
RUN python3 $(echo /tools/pip-*.whl)/pip install --no-index --find-links /tools --break-system-packages pip uv
"""
_PIP = "RUN {mount}python3 -m pip install -q --no-cache-dir --break-system-packages --root-user-action ignore"
_UV = "RUN --mount=type=cache,id={cache},target=/root/.cache/uv uv pip install -q --system --break-system-packages"
_HASHED = "--require-hashes -r requirements.txt"


@dataclass(frozen=True)
class Recipe:
    """A way: the install line of its Dockerfile, and whether BuildKit reads it."""

    install: str
    buildkit: bool = True


def recipes(index: str) -> dict[str, Recipe]:
    """Return the ways by name. An index of this machine stands in for the usual one."""
    bound = "--mount=type=bind,source=wheels,target=/wheels "
    uv = f"{_UV} --link-mode=copy --default-index {index} {_HASHED}"
    bare = f"{_PIP.format(mount=bound)} --no-index --find-links /wheels {_HASHED}"
    online = f"{_PIP.format(mount='')} --index-url {index} {_HASHED}"
    return {
        "Dockerfile, pip --require-hashes, classic builder": Recipe(online, buildkit=False),
        "Dockerfile, pip --require-hashes, BuildKit": Recipe(online),
        "BuildKit, bound wheelhouse, pip": Recipe(bare),
        "BuildKit, uv with a cache mount, bytecode": Recipe(f"{uv} --compile-bytecode"),
        "BuildKit, uv with a cache mount, no bytecode": Recipe(uv),
    }


def ways(house: Wheelhouse, index: str, folder: Path) -> dict[str, Callable[[str, int], str]]:
    """Return the rows: each builds for a state in a round (see `ways.STATES`) and returns the image's id.

    Before the swap, an installer with a cache meets the swapped wheel, as ours does.
    """
    docker = _docker()
    context = folder / "context"
    context.mkdir(parents=True)
    _linked(house.tools, context / "tools")
    (context / "Dockerfile").write_text(_TOOLED)
    run(context, *docker, "build", "-q", "--network", "none", "-t", TOOLED, ".", environ={"DOCKER_BUILDKIT": "0"})
    shutil.rmtree(context / "tools")
    _linked(house.wheels, context / "wheels")
    buildkit = has_buildkit(docker, context)
    if not buildkit:
        say("this docker command line has no BuildKit: its rows are left out")
    found = {name: recipe for name, recipe in recipes(index).items() if buildkit or not recipe.buildkit}
    return {name: _step(docker, recipe, house, context) for name, recipe in found.items()}


def has_buildkit(docker: list[str], folder: Path) -> bool:
    """Return whether this command line builds with BuildKit."""
    trial = subprocess.run(
        [*docker, "build", "-q", "-"],
        input=f"FROM {BASE}\n",
        cwd=folder,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return trial.returncode == 0


def _docker() -> list[str]:
    """Return the docker command line, one with BuildKit where there is one: Debian's own has it built in."""
    found = [path for path in (shutil.which("docker"), "/usr/bin/docker") if path and Path(path).exists()]
    if not found:
        raise SystemExit("the bench needs the docker command line for its peers")
    return [next((path for path in found if has_buildkit([path], Path("/"))), found[0])]


def _linked(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        os.link(file, target / file.name)


def _step(docker: list[str], recipe: Recipe, house: Wheelhouse, context: Path) -> Callable[[str, int], str]:
    cache = f"bench-{secrets.token_hex(4)}"
    mode = {"DOCKER_BUILDKIT": "1" if recipe.buildkit else "0"}

    def step(state: str, number: int) -> str:
        if state == "before" and "--mount=type=cache" not in recipe.install:
            return ""
        changes = {"swapped": [SWAPPED], "before": [SWAPPED, OTHER]}.get(state, [])
        note = f"{cache}-{number}"  # so that no round meets the layers of an earlier one
        (context / "requirements.txt").write_text(house.requirements(*changes, note=note))
        install = recipe.install.format(cache=f"{cache}-{number}")
        lines = [f"FROM {TOOLED}", "COPY requirements.txt .", install, ""]
        (context / "Dockerfile").write_text("\n".join(lines))
        (context / ".dockerignore").write_text("" if "source=wheels" in recipe.install else "wheels\n")
        tag = IMAGE if not recipe.buildkit else f"{IMAGE}-other"
        built = run(context, *docker, "build", "-q", "--network", "host", "-t", tag, ".", environ=mode)
        return built.strip().splitlines()[-1]

    return step
