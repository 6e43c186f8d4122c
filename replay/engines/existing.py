"""Images that exist: their files as an archive, those of a Dockerfile, and those made for another machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.engines.container import owner, remove
from replay.engines.images import Image
from replay.environment.variables import recorded
from replay.errors import BaseMissing, EngineError

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK = 1 << 20
_NO_REGISTRY = ("dial tcp", "no such host", "connection refused", "i/o timeout", "pull access denied")
_PATIENCE = 3600
"""Seconds that one step of a build may be silent."""


def export(api: APIClient, image: str, target: Path) -> None:
    """Write every file of an image into a tar archive. A container is made for it and never started."""
    name = f"replay-{os.getpid()}-{secrets.token_hex(4)}"
    labels = {key: value for key, value in owner().items() if value}
    try:
        api.create_container(image, ["true"], name=name, labels=labels, network_disabled=True, use_config_proxy=False)
        with target.open("wb") as file:
            for chunk in api.export(name, chunk_size=_CHUNK):
                file.write(chunk)
    finally:
        remove(api, name)


def unwanted(image: Mapping[str, str], state: Mapping[str, str]) -> dict[str, None]:
    """Return the variables of an adopted image that the state does not have, to be taken off."""
    return {name: None for name in image if recorded(name) and name not in state}


def other_machine(image: Image, version: Mapping[str, Any], reference: str) -> BaseMissing | None:
    """Return the error for an image that does not run because it is for another architecture, None where it is not."""
    own = version.get("Arch", "")
    if not image.architecture or not own or image.architecture == own:
        return None
    return BaseMissing(
        f"the image {reference} is for {image.architecture}, and this engine runs {own}",
        cause="it was built or pulled for another kind of machine",
        do=f"get it for this one (`docker pull --platform linux/{own} {reference}`), or run on such a machine",
    )


def build(api: APIClient, folder: Path, dockerfile: str) -> str:
    """Build the image of `folder`/`dockerfile`; return its id. Raises EngineError with the engine's own words."""
    from docker.utils import build as context

    if not (folder / dockerfile).is_file():
        raise EngineError(
            f"there is no {dockerfile} in {folder}",
            cause="[runtime] dockerfile names a file that is not there",
            do="correct the name; it is relative to the project's root",
        )
    ignored = folder / ".dockerignore"
    exclude = ignored.read_text("utf-8", "replace").splitlines() if ignored.is_file() else []
    plain = [line.strip() for line in exclude if line.strip() and not line.startswith("#")]
    everything: Any = context.tar(folder, exclude=[*plain, ".replay"], dockerfile=(dockerfile, None))
    with everything as sent:
        said = api.build(
            fileobj=sent,
            custom_context=True,
            dockerfile=dockerfile,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=_PATIENCE,
        )
        return _built(said, dockerfile)


def _built(said: Iterable[Mapping[str, Any]], dockerfile: str) -> str:
    last: list[str] = []
    image = None
    for line in said:
        if "error" in line:
            raise _failed(dockerfile, [*last, str(line["error"]).strip()])
        image = line.get("aux", {}).get("ID", image)
        last = [*last, *str(line.get("stream", "")).strip().splitlines()][-4:]
    if image is None:
        raise _failed(dockerfile, [*last, "the engine named no image"])
    return str(image)


def _failed(dockerfile: str, said: list[str]) -> EngineError:
    text = said[-1]
    unreachable = any(
        word in text for word in ("dial tcp", "no such host", "connection refused", "i/o timeout", "pull access")
    )
    return EngineError(
        f"the image of {dockerfile} could not be built: {text[-300:]}",
        cause="the registry of its base image does not answer, or has no such image"
        if unreachable
        else f"a step of it failed; before that: {' | '.join(said[:-1])[-300:] or '(nothing was printed)'}",
        do="load the base image into the engine first (`docker load`, `docker pull`), then repeat"
        if unreachable
        else f"`docker build -f {dockerfile} .` shows all of it",
    )
