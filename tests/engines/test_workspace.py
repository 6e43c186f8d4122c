from __future__ import annotations

import stat
from pathlib import Path

import pytest

from replay.engines.base import Mount
from replay.engines.workspace import discard, lay_in, make_mountpoints, open_up
from replay.errors import EngineError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def test_copies_keep_the_mode_less_the_right_to_write(tmp_path: Path, workspace: Path) -> None:
    source = tmp_path / "score.py"
    source.write_text("x")
    source.chmod(0o755)
    lay_in([Mount(source, "deep/score.py")], workspace)
    laid = workspace / "deep/score.py"
    assert stat.S_IMODE(laid.stat().st_mode) == 0o555
    assert laid.stat().st_ino != source.stat().st_ino


def test_an_input_may_lie_in_the_folder_of_another(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features/one.py").write_text("1")
    (tmp_path / "map.csv").write_text("2")
    lay_in([Mount(tmp_path / "map.csv", "features/map.csv"), Mount(tmp_path / "features", "features")], workspace)
    assert sorted(path.name for path in (workspace / "features").iterdir()) == ["map.csv", "one.py"]


def test_mountpoints_are_empty_and_of_the_right_kind(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    make_mountpoints([Mount(tmp_path / "folder", "a/b"), Mount(tmp_path / "file", "c\nd")], workspace)
    assert (workspace / "a/b").is_dir()
    assert (workspace / "c\nd").read_bytes() == b""


def test_a_source_that_is_gone_is_named(tmp_path: Path, workspace: Path) -> None:
    with pytest.raises(EngineError, match=r"input data\.csv cannot be laid"):
        make_mountpoints([Mount(tmp_path / "gone", "data.csv")], workspace)


def test_opening_up_follows_no_link(tmp_path: Path, workspace: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o500)
    (workspace / "link").symlink_to(private)
    (workspace / "dangling").symlink_to(tmp_path / "nowhere")
    open_up(workspace)
    assert stat.S_IMODE(private.stat().st_mode) == 0o500


def test_any_depth_can_be_opened_up_and_discarded(workspace: Path) -> None:
    folder = workspace
    for _ in range(1500):
        folder = folder / "d"
        folder.mkdir()
    open_up(workspace)
    discard(workspace)
    assert not workspace.exists()


def test_a_folder_that_its_job_locked_can_be_discarded(workspace: Path) -> None:
    (workspace / "deep/locked").mkdir(parents=True)
    (workspace / "deep/locked").chmod(0)
    (workspace / "deep").chmod(0)
    discard(workspace)
    assert not workspace.exists()
