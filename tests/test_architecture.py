"""The house rules that a test can hold us to: imports point one way, and heavy ones wait until they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "replay"

STOREYS = [
    {"errors", "digest", "excerpt", "progress", "git", "authorization"},
    {"state", "record", "declared", "config"},
    {"compare"},
    {"store"},
    {"content_arrow", "content_text", "content_tensors"},
    {"content_documents"},
    {"content", "large"},
    {"parts"},
    {"matches"},
    {"outputs", "movement"},
    {"environment"},
    {"sources"},
    {"references"},
    {"layers"},
    {"engines"},
    {"workspace", "workshop", "smoke"},
    {"image", "registry", "recipe"},
    {"execute"},
    {"bases"},
    {"adopt", "bind", "rerun", "history"},
    {"bisect"},
    {"report", "scenario", "schemas"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. A module imports from its own storey (inside a package) and from those below."""

PURE = [
    "state.py",
    "record.py",
    "compare",
    "bisect/order.py",
    "bisect/knowledge.py",
    "bisect/search.py",
    "bisect/noise.py",
    "bisect/focus.py",
    "bisect/verdict.py",
    "bisect/judge.py",
]
"""Rules: they open no file, no socket and no container."""

IO_MODULES = {"os", "io", "pathlib", "shutil", "subprocess", "socket", "tempfile", "docker", "requests", "urllib"}


def storey(module: str) -> int:
    part = module.split(".")[1] if "." in module else "__init__"
    found = [number for number, names in enumerate(STOREYS) if part in names]
    assert found or part == "__init__", f"{module} has no storey: give it one"
    return found[0] if found else -1


def modules() -> dict[str, Path]:
    files = [file for file in PACKAGE.rglob("*.py") if "_share" not in file.parts]
    return {".".join(("replay", *file.relative_to(PACKAGE).with_suffix("").parts)): file for file in files}


def imported(file: Path) -> set[str]:
    """Every replay module a file imports, wherever in it; those for type checking alone count too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("replay"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in modules()} or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("replay")}
    return found


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, file in modules().items()
        for other in imported(file)
        if other != "replay" and storey(other) > storey(module) and not module.endswith("__init__")
    ]
    assert not wrong


def test_there_is_no_circle() -> None:
    graph = {module: {o for o in imported(file) if o in modules()} for module, file in modules().items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_a_package_hands_names_on_and_its_children_never_import_it() -> None:
    wrong = []
    for module, file in modules().items():
        package = module.rsplit(".", 1)[0]
        if package != "replay" and package in imported(file) and not module.endswith("__init__"):
            wrong.append(f"{module} imports its own package")
    assert not wrong


def test_pure_rules_touch_nothing() -> None:
    for name in PURE:
        place = PACKAGE / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not {n.split(".")[0] for n in names} & IO_MODULES, f"{file.name} does I/O"


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['replay', '--help']\n"
        "from replay.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('pydantic', 'docker', 'pyarrow', 'deepdiff', 'duckdb', 'pip', 'installer')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
