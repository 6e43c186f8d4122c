"""Sheets of JSON Lines files. A cell is the JSON text that stands there, null where the line lacks the field.

A text stands without its quotes, as in a CSV file, where nobody can take it for something else: `"basic"` is
`basic`, but `"12"`, `""` and `"NA"` keep them. Lists and objects stand without the white space that the file's
separators bring. So every cell says the very JSON it came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from replay.layers.cells import NULL_TEXTS
from replay.layers.sheet import Sheet
from replay.layers.sheet_csv import constant, packed

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST = 256 << 20
"""Bytes up to which a file is taken apart: lines are read by Python, a text a cell."""

_TEXT = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_INSIDE = re.compile(rf"{_TEXT}|\s+|[,:]")
"""What is found in a list or an object: texts, white space, separators."""

_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_WORD = r"true|false|null|NaN|-?Infinity"
_DECODE = json.JSONDecoder().raw_decode
_FIELD = rf"(\s*)({_TEXT})(\s*:\s*)"
_FIRST = re.compile(r"\s*\{" + _FIELD)
_NEXT = re.compile(r"\s*," + _FIELD)
_END = re.compile(r"\s*\}\s*")
_EMPTY = re.compile(r"\s*\{\s*\}\s*")

_NO_TEXT = rf"{_NUMBER}|{_WORD}|[\[{{\"](?s:.*)"
"""What is written without quotes and no text: a number, a word of JSON, a list, an object, a quoted text."""

_BARE = r'^"[^"\\]*"$'
_QUOTES_NEEDED = rf'^"(?:{_NO_TEXT}|{"|".join(map(re.escape, NULL_TEXTS))})"$'


def read_lines(file: Path, compression: str | None) -> Sheet:
    """Return the table of a JSON Lines file, a column for each field. Raises ValueError, OSError, RecursionError."""
    import pyarrow as pa

    with pa.input_stream(str(file), compression=compression) as stream:
        text = stream.read().decode("utf-8")
    columns: dict[str, list[str | None]] = {}  # by name as it is written
    rows, separators = 0, ""
    for line in text.split("\n"):
        if not line.strip():
            continue
        if not separators:
            separators = next((around for *_, around in islice(_fields(line), 1, 2)), "")
        for name, cell, _ in _fields(line):
            column = columns.setdefault(name, [])
            if len(column) > rows:
                raise ValueError(f"a field twice in row {rows + 1}")
            column += [None] * (rows - len(column))
            column.append(_spaced(cell, ",", ":") if cell[0] in "[{" else cell)
        rows += 1
    for column in columns.values():
        column += [None] * (rows - len(column))
    dialect = {
        "separators": separators or ", : ",
        "line end": "\r\n" if "\r\n" in text[: 1 << 16] else "\n",
        "last line end": "yes" if text.endswith("\n") else "no",
        "compression": compression or "",
    }
    cells = tuple(_unquoted(pa.array(column, pa.large_string())) for column in columns.values())
    names = tuple(map(json.loads, columns))
    if len(set(names)) < len(names):
        raise ValueError("a field's name is written in two ways")
    return Sheet("jsonl", names, cells, dialect=dialect)


def write_lines(sheet: Sheet) -> bytes:
    """Return the JSON Lines file of a table: every line has its fields in the order of the columns."""
    import pyarrow.compute as pc

    dialect = sheet.dialect
    between, colon = re.fullmatch(r"(,\s*)(\s*:\s*)", dialect["separators"]).groups()  # type: ignore[union-attr]
    named = [json.dumps(name, ensure_ascii=False) + colon for name in sheet.names]
    fields = [
        pc.binary_join_element_wise(constant(name), _quoted(_nested(cells, between, colon)), constant(""))
        for name, cells in zip(named, sheet.columns, strict=True)
    ]
    lines = pc.binary_join_element_wise(*fields, constant(between), null_handling="skip").to_pylist()
    text = dialect["line end"].join("{" + line + "}" for line in lines)
    text += dialect["line end"] if dialect["last line end"] == "yes" else ""
    return packed(text.encode(), dialect["compression"])


def _fields(line: str) -> Iterator[tuple[str, str, str]]:
    """Yield the fields of an object: name and value as they are written, the separators before and inside of it."""
    found, place = _FIRST.match(line), 0
    while found:
        space, name, colon = found.groups()
        _, place = _DECODE(line, found.end())
        yield name, line[found.end() : place], f",{space}{colon}"
        found = _NEXT.match(line, place)
    if not (_END.fullmatch(line, place) if place else _EMPTY.fullmatch(line)):
        raise ValueError("a line is no object")


def _spaced(cell: str, between: str, colon: str) -> str:
    """Return a list or an object with these separators."""
    put = {",": between, ":": colon}
    return _INSIDE.sub(lambda found: put.get(found[0], "" if found[0].isspace() else found[0]), cell)


def _nested(cells: pa.Array, between: str, colon: str) -> pa.Array:
    """Return a column with the file's separators in its lists and objects."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nested = pc.match_substring_regex(cells, r"^[\[{]")
    if (between, colon) == (",", ":") or not pc.any(nested).as_py():
        return cells
    spaced = [_spaced(cell, between, colon) for cell in cells.filter(nested).to_pylist()]
    return pc.replace_with_mask(cells, pc.fill_null(nested, False), pa.array(spaced, pa.large_string()))


def _unquoted(cells: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    bare = pc.and_not(pc.match_substring_regex(cells, _BARE), pc.match_substring_regex(cells, _QUOTES_NEEDED))
    return pc.if_else(bare, pc.utf8_slice_codeunits(cells, 1, -1), cells)


def _quoted(cells: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    quote, nothing = constant('"'), constant("")
    as_it_is = pc.match_substring_regex(cells, f"^(?:{_NO_TEXT})$")
    return pc.if_else(as_it_is, cells, pc.binary_join_element_wise(quote, cells, quote, nothing))
