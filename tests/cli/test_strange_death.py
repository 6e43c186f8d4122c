"""A job that is killed by a signal now and then, as neither end was, is run once more before it tells anything."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import JOB, Shop

DIES_ONCE = """
import os, pathlib
mark = pathlib.Path({mark!r})
runs = mark.read_text() if mark.exists() else ""
mark.write_text(runs + ".")
if len(runs) == 6:
    os.abort()
"""


def test_a_probe_that_dies_by_chance_is_run_again(shop: Shop, tmp_path: Path) -> None:
    """Two bindings, four reruns of the ends: the seventh execution is the first that tells the changes apart."""
    source = DIES_ONCE.format(mark=str(tmp_path / "mark")) + JOB
    shop.job(source=source)
    shop.bind("good", LOG_LEVEL="INFO")
    shop.job(offset=1, source=source)
    shop.bind("bad", LOG_LEVEL="WARNING")
    ended = shop.replay("bisect", "good", "bad", "--json")
    assert "died with exit code 134, as neither end did: once more" in ended.err
    assert [culprit["changes"] for culprit in ended.json["culprits"]] == [["pipeline/score.py"]]
    assert [entry.exit_code for entry in shop.store.runs()].count(134) == 1
