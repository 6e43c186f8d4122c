"""Who we are to a registry: the credentials that `docker login` (or podman, skopeo) left on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from replay.errors import RegistryError


@dataclass(frozen=True)
class Credentials:
    """A user and password, or an identity token. Neither is ever shown, not even by `repr`."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)


def find(host: str) -> Credentials | None:
    """Return the credentials for a registry, None where there are none.

    They are looked for where Docker keeps them: the file that REGISTRY_AUTH_FILE names, else DOCKER_CONFIG's or
    ~/.docker/config.json, with its credential helpers. Raises RegistryError where that cannot be read.
    """
    from docker.auth import load_config
    from docker.errors import DockerException

    try:
        kept = load_config(os.environ.get("REGISTRY_AUTH_FILE"))
        found = kept.resolve_authconfig(host)
    except (DockerException, ValueError, OSError) as error:
        raise RegistryError(
            f"the credentials for {host} cannot be read ({type(error).__name__})",
            cause="Docker's config.json is damaged, or the credential helper that it names fails",
            do=f"log in anew: docker login {host}",
        ) from None
    return _read(found) if found else None


def _read(found: Mapping[str, str]) -> Credentials | None:
    """Return what an entry holds: a helper writes its keys with a capital, the file without."""
    told = {key.lower(): value for key, value in found.items() if isinstance(value, str)}
    made = Credentials(told.get("username", ""), told.get("password", ""), told.get("identitytoken", ""))
    return made if made.user or made.identity else None
