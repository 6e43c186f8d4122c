"""Reading requirements: what is asked, what names it, and what is refused before any index is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.environment.requirements import read, without_credentials
from replay.errors import LockError
from tests.environment.making import requirements


def test_comments_and_order_of_reading_do_not_matter_but_words_do(tmp_path: Path) -> None:
    plain = read(requirements(tmp_path, "six==1.17.0", name="a.txt"))
    commented = read(requirements(tmp_path, "# a note", "six==1.17.0  # pinned", "", name="b.txt"))
    other = read(requirements(tmp_path, "six==1.16.0", name="c.txt"))
    assert plain.key == commented.key != other.key


def test_an_included_file_is_part_of_what_is_asked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    requirements(tmp_path / "sub", "-r ../top.txt", "idna", name="more.txt")  # a circle ends
    top = requirements(tmp_path, "-rsub/more.txt", name="top.txt")
    before = read(top)
    assert not before.empty
    requirements(tmp_path / "sub", "idna<4", name="more.txt")
    assert read(top).key != before.key


def test_variables_are_read_as_pip_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requirements(tmp_path, "six==${SIX}")
    monkeypatch.setenv("SIX", "1.16.0")
    before = read(asked).key
    monkeypatch.setenv("SIX", "1.17.0")
    assert read(asked).key != before


def test_hashes_are_seen_across_continued_lines(tmp_path: Path) -> None:
    assert read(requirements(tmp_path, "six==1.17.0 \\", "  --hash=sha256:abc")).hashed
    assert not read(requirements(tmp_path, "six==1.17.0")).hashed


@pytest.mark.parametrize("name", ["Pipfile.lock", "pdm.lock"])
def test_other_locks_say_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(LockError, match=name) as caught:
        read(requirements(tmp_path, name=name))
    assert "export" in caught.value.do


def test_a_project_is_not_a_list_of_packages(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read(requirements(tmp_path, "[project]", name="pyproject.toml"))
    assert "pip-compile" in caught.value.do


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("-e ./gone", "editable"),
        ("--editable https://u:pw@example.com/x", "editable"),
        ("-r https://u:pw@example.com/r.txt", "from the network"),
    ],
)
def test_what_no_lock_can_hold_fixed_is_refused(tmp_path: Path, line: str, cause: str) -> None:
    with pytest.raises(LockError) as caught:
        read(requirements(tmp_path, line))
    assert cause in caught.value.cause
    assert "pw" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"gone\.txt"):
        read(requirements(tmp_path, "-r gone.txt"))
    with pytest.raises(LockError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(LockError, match="cannot be read"):
        read(tmp_path / "nul\0name")


def test_a_file_in_another_encoding_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes("six\n".encode("utf-16"))
    assert read(path).key == read(requirements(tmp_path, "six", name="plain.txt")).key
    path.write_bytes(b"six # caf\xe9\n")
    with pytest.raises(LockError) as caught:
        read(path)
    assert "not UTF-8" in caught.value.cause


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://u:p@host/simple", "https://***@host/simple"),
        ("git+ssh://git@host/x", "git+ssh://***@host/x"),
        ("two https://a:b@c@host/x and http://t@h/y", "two https://***@host/x and http://***@h/y"),
        ("https://host/x?sig=abc&e=1 end", "https://host/x?*** end"),
        ("no address, a@b", "no address, a@b"),
    ],
)
def test_credentials_are_taken_out_of_any_text(text: str, clean: str) -> None:
    assert without_credentials(text) == clean
