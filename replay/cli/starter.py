"""`replay init`: an example of every field, and a first guess from what lies in a folder."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = """\
[job]
name = "churn"
command = ["python", "score.py"]     # starts in the project's root
timeout = 3600                       # seconds
# memory = 4096                      # MiB
# cpus = 2.0

[runtime]
base = "python:3.11-slim"            # any image; its digest is recorded. Leave it out for the local engine
python = "3.11"                      # default: what the base has
requirements = "requirements.txt"    # loose, pinned or hash-locked
env = ["TZ", "LANG"]                 # taken from the caller and recorded
secrets = ["DB_PASSWORD"]            # passed through, never recorded

[runtime.set]
PYTHONHASHSEED = "0"

[pipeline]
paths = ["score.py", "features/"]

[model]
paths = ["model/"]

[data.customers]
path = "data/customers.csv"
key = "customer_id"

[outputs.scores]
path = "out/scores.csv"
key = "customer_id"                  # the columns that identify a row; [] compares by position
decision = "will_churn"              # the column whose flips matter most
rtol = 1e-9                          # none by default: then every digit counts
"""

TABLES = {".csv", ".tsv", ".parquet", ".jsonl", ".feather"}
MODELS = {"model", "models", "weights"}


def guess(folder: Path) -> str:
    """Return a replay.toml for the folder: scripts, requirements, models and tables by their usual names."""
    scripts = [n for n in ("score.py", "predict.py", "job.py", "main.py", "train.py") if (folder / n).is_file()]
    others = sorted(path.name for path in folder.glob("*.py") if path.name not in scripts)
    script = (scripts + others + ["score.py"])[0]
    packages = sorted(p.parent.name + "/" for p in folder.glob("*/__init__.py") if p.parent.name != "tests")
    paths = sorted({script, *(p for p in others), *packages})
    lines = ["[job]", f"name = {_quoted(_name(folder.name))}", f'command = ["python", {_quoted(script)}]', ""]
    lines.append("[runtime]")
    if (folder / "requirements.txt").is_file():
        lines.append('requirements = "requirements.txt"')
    lines += ['# base = "python:3.11-slim"   # with a container engine', 'env = ["TZ", "LANG", "PYTHONHASHSEED"]', ""]
    lines += ["[pipeline]", f"paths = [{', '.join(map(_quoted, paths))}]", ""]
    models = sorted(p.name + "/" for p in folder.iterdir() if p.is_dir() and p.name in MODELS)
    if models:
        lines += ["[model]", f"paths = [{', '.join(map(_quoted, models))}]", ""]
    keys = {table: _first_column(folder / table) for table in _tables(folder)}
    for table, key in keys.items():
        lines += [f"[data.{_name(table.stem)}]", f"path = {_quoted(str(table))}", f"key = {_quoted(key)}", ""]
    row = f"key = {_quoted(next(iter(keys.values()), 'customer_id'))}   # the column that identifies a row"
    lines += ["[outputs.scores]", 'path = "out/scores.csv"', row]
    return "\n".join(lines) + "\n"


def _tables(folder: Path) -> list[Path]:
    places = [folder, *(folder / name for name in ("data", "input", "inputs") if (folder / name).is_dir())]
    found = [path for place in places for path in sorted(place.iterdir()) if path.suffix in TABLES and path.is_file()]
    return [path.relative_to(folder) for path in found]


def _first_column(table: Path) -> str:
    if table.suffix not in {".csv", ".tsv"}:
        return "id"
    with table.open(encoding="utf-8", errors="replace") as file:
        line = file.readline(4096).strip().lstrip("\ufeff")
    return line.split("\t" if table.suffix == ".tsv" else ",")[0].strip('"') or "id"


def _name(text: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text).strip("-_")
    return plain[:60] or "job"


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
