"""What comparing two tables costs beside its peers: `python benchmarks/tables.py [ROWS…]`.

Two parquet files of 10 columns; one side is shuffled, 0.1 % of the cells of each column changed, 100 rows removed and
100 added. Every row of the table is a whole process: wall and processor time, peak memory. Rows take turns, so that
a busy moment hits all alike; median of the rounds. Peers run with the interpreter that REPLAY_BENCH_PYTHON names (a
virtual environment with pandas, polars and datacompy, such as `pip install` makes); those it lacks are left out.
"""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
COLUMNS = ("f0", "f1", "f2", "f3", "n1", "n2", "cat", "txt", "flag")
NUMBERS = COLUMNS[:6]
PEERS = os.environ.get("REPLAY_BENCH_PYTHON", sys.executable)
MEMORY_HUNGRY = 3_000_000
"""Rows above which the peers that hold everything several times are left out unless REPLAY_BENCH_ALL is set."""

FLOOR = """
import duckdb
db = duckdb.connect()
for side in ("good", "bad"):
    columns = ", ".join(f"bit_xor(hash({c}))" for c in ("id", *COLUMNS))
    db.execute(f"select {columns} from '{side}.parquet'").fetchall()
"""
SQL = """
import duckdb
db = duckdb.connect()
parts = []
for c in COLUMNS:
    parts.append(f"count(*) filter (g.id = b.id and g.{c} is distinct from b.{c})")
    if c in NUMBERS:
        parts.append(f"max(abs(g.{c} - b.{c})), max(abs(g.{c} - b.{c}) / nullif(abs(g.{c}), 0))")
query = f"select count(*) filter (b.id is null), count(*) filter (g.id is null), {', '.join(parts)} "
print(db.execute(query + "from 'good.parquet' g full join 'bad.parquet' b on g.id = b.id").fetchall())
"""
POLARS = """
import polars as pl
good, bad = pl.scan_parquet("good.parquet"), pl.scan_parquet("bad.parquet")
both = good.join(bad, on="id", how="full", suffix="_b")
parts = [pl.col("id").is_null().sum().alias("added"), pl.col("id_b").is_null().sum().alias("removed")]
there = pl.col("id").is_not_null() & pl.col("id_b").is_not_null()
for c in COLUMNS:
    g, b = pl.col(c), pl.col(f"{c}_b")
    parts.append((g.ne_missing(b) & there).sum().alias(c))
    if c in NUMBERS:
        parts += [(g - b).abs().max().alias(f"{c}_abs"), ((g - b) / g).abs().max().alias(f"{c}_rel")]
print(both.select(parts).collect(engine="streaming").row(0))
"""
PANDAS = """
import pandas as pd
good, bad = pd.read_parquet("good.parquet"), pd.read_parquet("bad.parquet")
both = good.merge(bad, on="id", how="outer", suffixes=("", "_b"), indicator=True)
there = both[both["_merge"] == "both"]
print(both["_merge"].value_counts())
for c in COLUMNS:
    changed = (there[c] != there[f"{c}_b"]) & ~(there[c].isna() & there[f"{c}_b"].isna())
    print(c, changed.sum())
    if c in NUMBERS:
        moved = (there[c] - there[f"{c}_b"]).abs()
        print(moved.max(), (moved / there[c].abs()).max())
"""
DATACOMPY_PANDAS = """
import datacompy, pandas as pd
good, bad = pd.read_parquet("good.parquet"), pd.read_parquet("bad.parquet")
kind = getattr(datacompy, "PandasCompare", None) or datacompy.Compare
print(kind(good, bad, join_columns="id").report())
"""
DATACOMPY_POLARS = """
import datacompy, polars as pl
good, bad = pl.read_parquet("good.parquet"), pl.read_parquet("bad.parquet")
print(datacompy.PolarsCompare(good, bad, join_columns="id").report())
"""


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
        return
    print(f"{_cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began, {platform.system()},")
    print(f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, `python benchmarks/tables.py`")
    for rows in [int(word) for word in sys.argv[1:]] or [1_000_000, 10_000_000]:
        with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
            # In a process of its own: what this one ever held would count as the peak of those it starts.
            subprocess.run([sys.executable, __file__, "--make", folder, str(rows)], check=True)
            report(rows, measure(Path(folder), commands(rows)))


def commands(rows: int) -> dict[str, list[str]]:
    """Return every row's name and command."""
    tiny = [sys.executable, "-m", "replay", "compare", "tiny.parquet", "other.parquet", "--key", "id"]
    replay = [sys.executable, "-m", "replay", "compare", "good.parquet", "bad.parquet", "--key", "id", "--decision"]
    own = {
        "start-up: `python -c 'import duckdb, pyarrow'`": [sys.executable, "-c", "import duckdb, pyarrow.parquet"],
        "floor: read and decode both": script(FLOOR, sys.executable),
        "`replay compare --key id`": [*replay, "flag"],
        "start-up of replay: the same over one row": tiny,
        "plain DuckDB, one FULL JOIN": script(SQL, sys.executable),
    }
    peers = {"polars, streaming join": ("polars", POLARS)}
    if rows <= MEMORY_HUNGRY or os.environ.get("REPLAY_BENCH_ALL"):
        peers["pandas merge"] = ("pandas", PANDAS)
        peers["datacompy on polars"] = ("datacompy, polars", DATACOMPY_POLARS)
        peers["datacompy on pandas"] = ("datacompy, pandas", DATACOMPY_PANDAS)
    installed = {name: text for name, (needs, text) in peers.items() if imports(needs)}
    return own | {name: script(text, PEERS) for name, text in installed.items()}


def script(text: str, python: str) -> list[str]:
    """Return the command that runs a script with the names of the columns."""
    return [python, "-c", f"COLUMNS = {COLUMNS!r}\nNUMBERS = {NUMBERS!r}\n{text}"]


def imports(modules: str) -> bool:
    """Return whether the peers' interpreter has these."""
    return subprocess.run([PEERS, "-c", f"import {modules}"], capture_output=True, check=False).returncode == 0


def make(folder: Path, rows: int) -> None:
    """Write both sides, 122,880 rows a row group (as DuckDB writes), reproducibly."""
    import duckdb

    database = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(folder)})
    floats = ", ".join(f"hash(i, {k}) % 1000000 / 1e3 + hash(i, {k + 50}) % 1000 / 1e7 as f{k}" for k in range(4))
    database.execute(
        f"copy (select i as id, {floats}, (hash(i, 7) % 100000)::bigint as n1, (hash(i, 8) % 5)::int as n2, "
        "['month', 'one year', 'two year', 'prepaid'][1 + (hash(i, 9) % 4)::int] as cat, "
        "'name-' || (hash(i, 10) % 500000) as txt, hash(i, 11) % 2 = 0 as flag "
        f"from range({rows}) t(i)) to '{folder}/good.parquet' (row_group_size 122880)"
    )
    for name, number in (("tiny", 1), ("other", 2)):
        database.execute(f"copy (select 1 as id, {number} as x) to '{folder}/{name}.parquet'")
    moved = {"cat": "'other'", "txt": "txt || 'x'", "flag": "not flag"}
    cells = ", ".join(
        f"case when hash(id, {100 + n}) % 1000 = 0 then {moved.get(c, f'{c} + 1')} else {c} end as {c}"
        for n, c in enumerate(COLUMNS)
    )
    source = f"'{folder}/good.parquet'"
    database.execute(
        f"copy (select id, {cells} from {source} where id >= 100 union all select id + {rows} as id, "
        f"{', '.join(COLUMNS)} from {source} where id < 100 order by hash(id, 99)) "
        f"to '{folder}/bad.parquet' (row_group_size 122880)"
    )


def measure(folder: Path, rows: dict[str, list[str]]) -> dict[str, list[tuple[float, float, float]]]:
    """Return seconds, processor seconds and peak GB of every round of each row; one warm-up round."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rows}
    for number in range(ROUNDS + 1):
        for name, command in rows.items():
            once = run(folder, command)
            if number:
                found[name].append(once)
        print(f"  round {number} of {ROUNDS}", file=sys.stderr, flush=True)
    return found


def run(folder: Path, command: list[str]) -> tuple[float, float, float]:
    """Run one process to its end; the bench stops where one fails."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode not in (0, 1) or b"Traceback" in (trouble := said.read()):
            raise SystemExit(f"{shlex.join(command)[:300]}\n{said.read().decode()}{trouble.decode()}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def report(rows: int, found: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print the table; ratios to the floor, the start-up taken off both."""
    middle = {name: [statistics.median(part) for part in zip(*each, strict=True)] for name, each in found.items()}
    start, floor = list(middle.values())[:2]
    print(f"\n{rows:,} rows x 10 columns, median of {ROUNDS}\n")
    print("| command | s | processor s | peak GB | x floor (s) | x floor (processor) |\n|---|---|---|---|---|---|")
    for name, (seconds, used, peak) in middle.items():
        ratios = [(a - s) / (b - s) for a, b, s in ((seconds, floor[0], start[0]), (used, floor[1], start[1]))]
        print(f"| {name} | {seconds:.2f} | {used:.2f} | {peak:.2f} | {ratios[0]:.1f} | {ratios[1]:.1f} |")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
