"""What a user sees of a Delta table that is only referred to: run, show, diff, rerun, and the table dropped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

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


def replay(root: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "replay", *words], cwd=root, capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_table_that_is_only_referred_to(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "replay.toml").write_text(TOML)
    table = tmp_path / "data/customers"
    write_deltalake(table, pa.table({"id": [1, 2]}))
    replay(tmp_path, "run", "--engine", "local", "--tag", "good")
    assert "reproduced, byte for byte" in replay(tmp_path, "rerun", "good", "--engine", "local")
    shown = replay(tmp_path, "show", "good")
    assert "input  customers: delta table " in shown
    assert shown.rstrip().endswith("version 0: resolves")

    shutil.rmtree(table)
    write_deltalake(table, pa.table({"id": [1, 2, 3]}))
    replay(tmp_path, "run", "--engine", "local", "--tag", "bad")
    differs = json.loads(
        subprocess.run(
            [sys.executable, "-m", "replay", "diff", "good", "bad", "--json"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        ).stdout
    )
    (change,) = (change for change in differs["changes"] if change["name"] == "data/customers")
    assert change["before"].endswith("version 0, 2 rows")
    assert change["after"].endswith("version 0, 3 rows; the table was dropped and created anew")
    standing = json.loads(replay(tmp_path, "show", "good", "--json"))["references"]["customers"]
    assert (standing["resolves"], standing["copied"]) == (False, False)
    said = replay(tmp_path, "rerun", "good", "--engine", "local", code=2)
    assert "no longer resolves: the table was dropped and created anew" in said
    assert "copy = true" in said
