"""What of the code needs what: read from the files of two sides, as names of changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from replay.layers.pipeline import Pipeline, PipelineLayer
from replay.store.memory import MemoryStore

Side = Mapping[str, str]


def bonds(
    good: Side, bad: Side, commands: tuple[str, str] = ("python job.py", "python job.py")
) -> dict[str, list[str]]:
    store = MemoryStore()

    def layer(files: Side, command: str) -> PipelineLayer:
        entries = {path: store.put(text.encode()) for path, text in files.items()}
        return PipelineLayer(command=tuple(command.split()), files=entries)

    changes = Pipeline().changes(layer(good, commands[0]), layer(bad, commands[1]), store)
    return {c.name.removeprefix("pipeline/"): [n.removeprefix("pipeline/") for n in c.requires] for c in changes}


JOB = "import csv\n\nMEAN = 3\n\ndef fill(row):\n    return row or MEAN\n\nprint(fill(0))\n"


def test_a_call_needs_its_new_function() -> None:
    bad = JOB.replace("MEAN = 3", "MEAN = 3\n\ndef zero(row):\n    return 0").replace("print(fill", "print(zero")
    assert bonds({"job.py": JOB}, {"job.py": bad}) == {"job.py#1": [], "job.py#2": ["job.py#1"]}


def test_a_renamed_function_and_its_calls_are_one() -> None:
    bad = JOB.replace("fill", "impute")
    assert bonds({"job.py": JOB}, {"job.py": bad}) == {"job.py#1": ["job.py#2"], "job.py#2": ["job.py#1"]}


def test_a_removed_import_needs_its_last_use_gone() -> None:
    good = "import os\n\nx = 1\n\nprint(os.name)\n"
    assert bonds({"job.py": good}, {"job.py": "\nx = 1\n\nprint(1)\n"}) == {"job.py#1": ["job.py#2"], "job.py#2": []}


def test_a_new_module_is_needed_where_it_is_imported() -> None:
    bad = JOB.replace("import csv", "import csv\nfrom features import night")
    assert bonds({"job.py": JOB}, {"job.py": bad, "features/__init__.py": "", "features/night.py": "N = 1\n"}) == {
        "features/__init__.py": [],
        "features/night.py": [],
        "job.py": ["features/__init__.py", "features/night.py"],
    }


def test_a_name_of_another_module_is_needed_where_it_is_used() -> None:
    features = "A = 1\n\n\nB = 2\n"
    good = {"job.py": JOB, "features.py": features}
    bad = {
        "job.py": JOB.replace("import csv", "import csv\nimport features").replace("(0)", "(features.C)"),
        "features.py": features.replace("B = 2", "B = 2\nC = 3").replace("A = 1", "A = 4"),
    }
    assert bonds(good, bad) == {
        "features.py#1": [],
        "features.py#2": [],
        "job.py#1": [],
        "job.py#2": ["features.py#2", "job.py#1"],
    }


@pytest.mark.parametrize(
    ("definition", "call"), [("fill(row, by=1)", "fill(0, by=2)"), ("fill(row, by)", "fill(0, 2)")]
)
def test_arguments_fit_their_function(definition: str, call: str) -> None:
    bad = JOB.replace("fill(row)", definition).replace("fill(0)", call)
    found = bonds({"job.py": JOB}, {"job.py": bad})
    assert found["job.py#2"] == ["job.py#1"]
    assert found["job.py#1"] == ([] if "=" in definition else ["job.py#2"])


def test_code_that_reads_a_new_key_needs_it() -> None:
    good = {"job.py": JOB, "params.json": '{"a": 1}\n'}
    bad = {"job.py": JOB.replace("row or MEAN", 'row or PARAMS["fill"]'), "params.json": '{"a": 2, "fill": 0}\n'}
    assert bonds(good, bad) == {"job.py": ["params.json/fill"], "params.json/a": [], "params.json/fill": []}


def test_a_new_column_is_needed_where_it_is_read() -> None:
    good = "t['a'] = 1\n\nt['b'] = 2\n\nprint(t['b'])\n"
    bad = "t['a'] = 1\nt['night'] = 3\n\nt['b'] = 2\n\nprint(t['night'])\n"
    assert bonds({"job.py": good}, {"job.py": bad}) == {"job.py#1": [], "job.py#2": ["job.py#1"]}


def test_a_new_option_needs_the_code_that_knows_it() -> None:
    bad = JOB.replace("import csv", "import csv\nadd_argument('--fill')")
    found = bonds({"job.py": JOB}, {"job.py": bad}, ("python job.py", "python job.py --fill=0"))
    assert found == {"job.py": [], "command": ["job.py"]}


def test_a_new_script_is_needed_by_the_command() -> None:
    found = bonds({"job.py": JOB}, {"score.py": JOB}, ("python job.py", "python score.py"))
    assert found == {"job.py": ["command"], "score.py": [], "command": ["score.py"]}


def test_local_names_of_two_functions_are_not_one() -> None:
    good = "def a():\n    x = 1\n    return x\n\n\ndef b():\n    return 2\n"
    bad = "def a():\n    y = 1\n    return y\n\n\ndef b():\n    y = 3\n    return y\n"
    assert bonds({"job.py": good}, {"job.py": bad}) == {"job.py#1": [], "job.py#2": []}


def test_code_that_this_python_cannot_read_has_no_bonds() -> None:
    assert bonds({"job.py": "print 1\n\nx = 1\n\nprint 2\n"}, {"job.py": "print 3\n\nx = 1\n\nprint 4\n"}) == {
        "job.py#1": [],
        "job.py#2": [],
    }
