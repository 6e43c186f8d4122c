"""Lines followed through the versions of a file: which commit brought and which removed each."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from replay.git import git
from replay.history import repository, trace
from replay.record import Provenance


def test_each_line_knows_who_brought_or_removed_it() -> None:
    removed, added = trace(b"a\nb\nc\n", [("one", b"a\nB\nc\n"), ("two", b"a\nB\nc\nd\n"), ("three", b"B\nc\nd\n")])
    assert removed == {1: "one", 0: "three"}
    assert added == ["one", None, "two"]


def test_a_line_that_came_and_went_was_never_there() -> None:
    removed, added = trace(b"a\n", [("one", b"a\nx\n"), ("two", b"a\n")])
    assert (removed, added) == ({}, [None])


@pytest.mark.parametrize("seed", range(50))
def test_every_line_of_both_ends_is_accounted_for(seed: int) -> None:
    chance = random.Random(seed)
    texts = ["".join(f"{chance.randrange(6)}\n" for _ in range(chance.randrange(12))).encode() for _ in range(5)]
    removed, added = trace(texts[0], [(str(number), text) for number, text in enumerate(texts[1:])])
    assert len(added) == len(texts[-1].splitlines())
    assert added.count(None) + len(removed) == len(texts[0].splitlines())


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / "a").write_text(str(number))
        for words in (["init", "-q"], ["add", "a"], ["commit", "-q", "-m", str(number)]):
            named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", *named, *words], cwd=tmp_path, check=True)
    return tmp_path


def ends(repo: Path) -> list[str]:
    return (git(repo, "rev-list", "--reverse", "HEAD") or b"").decode().split()


def test_the_way_leads_from_good_to_bad(repo: Path) -> None:
    first, second, third = ends(repo)
    found = repository(repo, Provenance(git_commit=first), Provenance(git_commit=third))
    assert found is not None
    assert found.way == (second, third)


def test_there_is_no_way_back_nor_from_what_was_not_committed(repo: Path) -> None:
    first, _, third = ends(repo)
    good, bad = Provenance(git_commit=first), Provenance(git_commit=third)
    assert repository(repo, bad, good) is None
    assert repository(repo, good, good) is None
    assert repository(repo, good, Provenance(git_commit=third, git_dirty=True)) is None
    assert repository(repo, Provenance(), bad) is None
    assert repository(repo / "nowhere", good, bad) is None


@pytest.mark.parametrize("hostile", ["--output=x", "HEAD", "0" * 40, "$(touch x)"])
def test_a_strangers_commit_is_a_name_and_no_option(repo: Path, hostile: str) -> None:
    assert repository(repo, Provenance(git_commit=hostile), Provenance(git_commit=ends(repo)[-1])) is None
    assert sorted(path.name for path in repo.iterdir()) == [".git", "a"]
