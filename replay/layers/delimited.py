"""Delimited text: its dialect, and its columns as strings, as a common reader would take them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from replay.layers.cells import KINDS
from replay.layers.profile import Profile, Tally, broken, distinct_names

DELIMITERS = ",;\t|"
BLOCK = 4 << 20
"""Bytes parsed at a time. Fixed: the same file gives the same profile on every machine."""

WIDEST_ROW = 256 << 20
SAMPLE = 1 << 18
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def profile_csv(file: Path, compression: str | None) -> Profile:
    """Return the profile of a delimited text file. Raises OSError where it cannot be read at all."""
    try:
        encoding, bom, nul = _scan(file, compression)
    except (EOFError, OSError, ValueError) as error:
        if compression is None:
            raise
        return broken("csv", f"its {compression} data are truncated or no such data ({type(error).__name__})")
    if nul:
        return broken("csv", f"line {nul} holds a NUL byte")
    with _text(file, compression, encoding) as text:
        sample = text.read(SAMPLE)
    if not sample.strip():
        return broken("csv", "the file is empty")
    delimiter = _delimiter(sample)
    rows = _sample_rows(sample, delimiter)
    header = _has_header(rows)
    dialect = {
        "delimiter": delimiter,
        "encoding": encoding,
        "byte-order mark": "yes" if bom else "no",
        "header": "yes" if header else "no",
    }
    names = rows[0] if header else [f"column {n}" for n in range(1, len(rows[0]) + 1)]
    tallies = [Tally(name) for name in distinct_names(names)]
    if header:
        dialect |= {}
    count = _count(file, compression, dialect, tallies, header)
    if isinstance(count, str):
        return broken("csv", count)
    return Profile(
        format="csv",
        dialect=dialect,
        rows=count,
        columns=tuple(tally.done() for tally in tallies),
    )
