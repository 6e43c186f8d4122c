"""What a user sees of a Delta table that is only referred to: run, show, diff, rerun, and the table dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from tests.cli.conftest import Ended, Shop

JOB = """
import pathlib
files = sorted(pathlib.Path("data/customers").glob("*.parquet"))
lines = [f"{number},{file.stat().st_size}" for number, file in enumerate(files)]
pathlib.Path("out/scores.csv").write_text("\\n".join(["id,size", *lines]))
"""
TOML = """
[job]
name = "score"
command = ["python", "job.py"]
[pipeline]
paths = ["job.py"]
[data.customers]
path = "data/customers"
copy = false
[outputs.scores]
path = "out/scores.csv"
key = "id"
"""


def replay(root: Path, *words: str, code: int = 0) -> Ended:
    ended = Shop(root).replay(*words)
    assert ended.code == code, ended.out + ended.err
    return ended


def test_a_table_that_is_only_referred_to(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "replay.toml").write_text(TOML)
    table = tmp_path / "data/customers"
    write_deltalake(table, pa.table({"id": [1, 2]}))
    replay(tmp_path, "run", "--engine", "local", "--tag", "good")
    assert "reproduced, byte for byte" in replay(tmp_path, "rerun", "good", "--engine", "local").out
    shown = replay(tmp_path, "show", "good").out
    assert "input  customers: delta table " in shown
    assert shown.rstrip().endswith("version 0: resolves")

    shutil.rmtree(table)
    write_deltalake(table, pa.table({"id": [1, 2, 3]}))
    replay(tmp_path, "run", "--engine", "local", "--tag", "bad")
    differs = replay(tmp_path, "diff", "good", "bad", "--json", code=1).json
    (change,) = (change for change in differs["changes"] if change["name"] == "data/customers")
    assert change["before"].endswith("version 0, 2 rows")
    assert change["after"].endswith("version 0, 3 rows; the table was dropped and created anew")
    standing = replay(tmp_path, "show", "good", "--json").json["references"]["customers"]
    assert (standing["resolves"], standing["copied"]) == (False, False)
    said = replay(tmp_path, "rerun", "good", "--engine", "local", code=2).err
    assert "no longer resolves: the table was dropped and created anew" in said
    assert "copy = true" in said
