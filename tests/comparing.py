"""Two files with some content, compared as a user compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.compare.difference import Difference
from replay.errors import CompareError
from replay.outputs import compare_paths
from replay.record import OutputSpec


def compare(
    folder: Path, good: bytes | str, bad: bytes | str, name: str = "scores.csv", **spec: Any
) -> Difference | None:
    """Compare two files called `name` with this content."""
    paths = []
    for side, content in (("good", good), ("bad", bad)):
        path = folder / side / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path)
    return compare_paths(paths[0], paths[1], OutputSpec(path=name, **spec))


def fails(folder: Path, good: bytes | str, bad: bytes | str, name: str = "scores.csv") -> CompareError:
    with pytest.raises(CompareError) as error:
        compare(folder, good, bad, name, key=("id",))
    assert all(line.isprintable() for line in str(error.value).splitlines())
    return error.value


def kinds(difference: Difference | None) -> list[str]:
    return [child.kind for child in difference.children] if difference else []
