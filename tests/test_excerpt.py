"""What a report shows of a file: few lines, and no secret."""

from __future__ import annotations

import pytest

from replay.excerpt import HIDDEN, MOST_LINES, excerpt


@pytest.mark.parametrize(
    "line",
    [
        'PASSWORD = "hunter2"',
        "db_password: hunter2",
        '"api_key": "hunter2",',
        "os.environ['AUTH_TOKEN'] = 'hunter2'",
        "export SECRET=hunter2",
        'connect("postgresql://job:hunter2@db/usage")',
    ],
)
def test_a_secret_is_hidden(line: str) -> None:
    shown = excerpt(line)
    assert shown is not None
    assert "hunter2" not in shown
    assert HIDDEN in shown


def test_the_value_of_a_secret_key_is_hidden() -> None:
    assert excerpt('"hunter2"', "/db.password") == HIDDEN
    assert excerpt(None, "/db.password") is None


@pytest.mark.parametrize("line", ["max_tokens = 5", "tokenizer = load('bpe')", "threshold = 0.5"])
def test_what_is_no_secret_stays(line: str) -> None:
    assert excerpt(line) == line


def test_a_long_hunk_is_cut() -> None:
    shown = excerpt("x" * 1000 + "\n" + "y\n" * 99)
    assert shown is not None
    lines = shown.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "… and 60 more lines"
    assert len(lines[0]) == 200
