"""What comparing and profiling tables costs beside its peers: `python benchmarks/tables.py [ROWS…]`.

Two parquet files of 10 columns; one side is shuffled, 0.1 % of the cells of each column changed, 100 rows removed and
100 added. Every row of a table is a whole process: wall and processor time, peak memory. Each runs in turn over the
files and over the like of them of a thousand rows: the latter is its own start-up. Ratios are to the first row of the
table, both without their start-up. Rows take turns, so that a busy moment hits all alike; median of the rounds. Peers
run with the interpreter that REPLAY_BENCH_PYTHON names (a virtual environment with pandas, polars and datacompy, such
as `pip install` makes); those it lacks are left out. REPLAY_BENCH_ROUNDS: how many rounds.
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
from dataclasses import dataclass
from pathlib import Path

ROUNDS = int(os.environ.get("REPLAY_BENCH_ROUNDS", "3"))
FEW = 1_000
"""Rows that cost nothing: what is left is the start-up."""
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


READ = """
import pyarrow.compute, pyarrow.parquet as pq
good, bad = pq.read_table("good.parquet"), pq.read_table("bad.parquet")
"""
SHIFTS = """
import duckdb
from replay.compare.distribution import table_shifts
print(table_shifts(good, bad, ["id", *COLUMNS]))
"""
PARQUET_FLOOR = """
import pyarrow.compute, pyarrow.parquet as pq
for batch in pq.ParquetFile("good.parquet").iter_batches():
    pass
"""
CSV_FLOOR = """
import pyarrow as pa, pyarrow.compute
from pyarrow import csv
names = ["id", *COLUMNS]
text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[])
for batch in csv.open_csv("good.csv", read_options=csv.ReadOptions(block_size=4 << 20), convert_options=text):
    pass
"""
PROFILE = """
from pathlib import Path
from replay.layers.tabular import profile_file
print(len(profile_file(Path(NAME), NAME).columns))
"""
REPLAY = ["replay", "compare", "good.parquet", "bad.parquet", "--key", "id", "--decision", "flag"]


@dataclass(frozen=True)
class Row:
    """A command, and what it is over a few rows where that is another one: what it does not import there."""

    command: list[str]
    few: list[str] | None = None


Figures = tuple[float, float, float]
"""Seconds, processor seconds, peak GB."""


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
        return
    print(f"{_cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began, {platform.system()},")
    print(f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, `python benchmarks/tables.py`")
    for rows in [int(word) for word in sys.argv[1:]] or [1_000_000, 10_000_000]:
        with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
            for name, number in (("all", rows), ("few", FEW)):
                # In a process of its own: what this one ever held would count as the peak of those it starts.
                command = [sys.executable, __file__, "--make", f"{folder}/{name}", str(number)]
                subprocess.run(command, check=True)
            for title, table in tables(rows).items():
                report(f"{title}, {rows:,} rows x 10 columns", measure(Path(folder), table))
    print(f"\nLoad {os.getloadavg()[0]:.1f} when it ended.")


def tables(rows: int) -> dict[str, dict[str, Row]]:
    """Return the tables by title, each with its rows' names and commands, the floor first."""
    own = sys.executable
    started = f"import duckdb, sys; sys.argv = {REPLAY!r}; from replay.cli.app import main; main()"
    compared = {
        "floor: read and decode both": Row(script(FLOOR, own)),
        "`replay compare --key id`": Row([own, "-m", *REPLAY], [own, "-c", started]),
        "plain DuckDB, one FULL JOIN": Row(script(SQL, own)),
        **peers(rows),
    }
    shifted = {
        "floor: read and decode both": Row(script(READ, own)),
        "PSI, KS, Wasserstein of all columns": Row(script(READ + SHIFTS, own)),
    }
    profiled = {
        kind: {
            f"floor: read and decode the {kind}": Row(script(floor, own)),
            "profile of it, as a run takes it": Row(script(f"NAME = 'good.{kind}'\n{PROFILE}", own)),
        }
        for kind, floor in (("parquet", PARQUET_FLOOR), ("csv", CSV_FLOOR))
    }
    several = {"Distributions": shifted, **{f"Profile of {kind}": table for kind, table in profiled.items()}}
    return {"Comparing": compared} | (several if rows <= MEMORY_HUNGRY else {})


def peers(rows: int) -> dict[str, Row]:
    """Return the rows of the peers that are installed."""
    known = {"polars, streaming join": ("polars", POLARS)}
    if rows <= MEMORY_HUNGRY or os.environ.get("REPLAY_BENCH_ALL"):
        known["pandas merge"] = ("pandas", PANDAS)
        known["datacompy on polars"] = ("datacompy, polars", DATACOMPY_POLARS)
        known["datacompy on pandas"] = ("datacompy, pandas", DATACOMPY_PANDAS)
    return {name: Row(script(text, PEERS)) for name, (needs, text) in known.items() if imports(needs)}


def script(text: str, python: str) -> list[str]:
    """Return the command that runs a script with the names of the columns."""
    return [python, "-c", f"COLUMNS = {COLUMNS!r}\nNUMBERS = {NUMBERS!r}\n{text}"]


def imports(modules: str) -> bool:
    """Return whether the peers' interpreter has these."""
    return subprocess.run([PEERS, "-c", f"import {modules}"], capture_output=True, check=False).returncode == 0


def make(folder: Path, rows: int) -> None:
    """Write both sides, 122,880 rows a row group (as DuckDB writes), reproducibly, and the good one as CSV too."""
    import duckdb

    folder.mkdir()
    database = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(folder)})
    floats = ", ".join(f"hash(i, {k}) % 1000000 / 1e3 + hash(i, {k + 50}) % 1000 / 1e7 as f{k}" for k in range(4))
    database.execute(
        f"copy (select i as id, {floats}, (hash(i, 7) % 100000)::bigint as n1, (hash(i, 8) % 5)::int as n2, "
        "['month', 'one year', 'two year', 'prepaid'][1 + (hash(i, 9) % 4)::int] as cat, "
        "'name-' || (hash(i, 10) % 500000) as txt, hash(i, 11) % 2 = 0 as flag "
        f"from range({rows}) t(i)) to '{folder}/good.parquet' (row_group_size 122880)"
    )
    if rows <= MEMORY_HUNGRY:
        database.execute(f"copy (from '{folder}/good.parquet') to '{folder}/good.csv'")
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


def measure(folder: Path, rows: dict[str, Row]) -> dict[str, tuple[Figures, Figures]]:
    """Return the medians of each row over all rows of the files, and over a few; one warm-up round."""
    found: dict[str, tuple[list[Figures], list[Figures]]] = {name: ([], []) for name in rows}
    for number in range(ROUNDS + 1):
        for name, row in rows.items():
            once = (run(folder / "all", row.command), run(folder / "few", row.few or row.command))
            for kept, figures in zip(found[name], once, strict=True):
                kept.extend([figures] if number else [])
        print(f"  round {number} of {ROUNDS}", file=sys.stderr, flush=True)
    return {name: (_middle(every), _middle(few)) for name, (every, few) in found.items()}


def _middle(rounds: list[Figures]) -> Figures:
    seconds, used, peak = (statistics.median(part) for part in zip(*rounds, strict=True))
    return seconds, used, peak


def run(folder: Path, command: list[str]) -> Figures:
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


def report(title: str, found: dict[str, tuple[Figures, Figures]]) -> None:
    """Print a table; ratios to its first row, of both what they take beyond their own start-up."""
    floor, start = next(iter(found.values()))
    print(
        f"\n| {title} | s | of it start-up | processor s | of it start-up | peak GB | x floor | x floor (processor) |"
    )
    print("|---" * 8 + "|")
    for name, (every, few) in found.items():
        seconds, used = ((a - b) / (c - d) for a, b, c, d in zip(every[:2], few[:2], floor[:2], start[:2], strict=True))
        times = f"{every[0]:.2f} | {few[0]:.2f} | {every[1]:.2f} | {few[1]:.2f} | {every[2]:.2f}"
        print(f"| {name} | {times} | {seconds:.1f} | {used:.1f} |", flush=True)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
