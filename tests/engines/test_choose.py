from __future__ import annotations

import socket
from pathlib import Path

import pytest

from replay.engines.choose import choose
from replay.engines.connection import new_enough
from replay.errors import EngineUnavailable


def test_auto_is_local_where_no_engine_answers(tmp_path: Path) -> None:
    notes: list[str] = []
    assert choose("auto", docker_host=f"unix://{tmp_path}/none", note=notes.append).name == "local"
    assert notes == [f"local: no container engine answers at unix://{tmp_path}/none"]


def test_auto_waits_for_no_engine_that_hangs(tmp_path: Path) -> None:
    """It listens, takes the question and never answers."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/silent")
        silent.listen()
        assert choose("auto", docker_host=f"unix://{tmp_path}/silent").name == "local"


def test_what_was_asked_for_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no container engine answers") as caught:
        choose("docker", docker_host=f"unix://{tmp_path}/none")
    assert "--engine local" in caught.value.do


@pytest.mark.docker
def test_auto_is_docker_where_it_answers(docker_host: str) -> None:
    notes: list[str] = []
    assert choose("auto", docker_host=docker_host, note=notes.append).name == "docker"
    assert notes[0].endswith(": it answers")


def test_an_engine_that_is_too_old_is_refused_with_its_version() -> None:
    with pytest.raises(EngineUnavailable, match=r"too old: 18\.09\.9 speaks version 1\.39"):
        new_enough({"Version": "18.09.9", "ApiVersion": "1.39"})
    for spoken in ("1.40", "1.41", "1.100"):
        new_enough({"Version": "1", "ApiVersion": spoken})
