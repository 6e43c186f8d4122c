"""Which row of one table is which row of the other, by key. Pure rules on Arrow arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

COMMON = 0.5
"""Share of the smaller side's rows that both must have: below it the tables speak of other rows."""


def align(good: Sequence[pa.Array], bad: Sequence[pa.Array], rows: tuple[int, int]) -> pa.Array | None:
    """Return for every row of `good` its row in `bad` (int64, null where there is none); None where they do not align.

    `good` and `bad` are the key's columns, `rows` how many rows there are. A repeated key is told apart by its
    occurrence. Keys that were written anew (`007` as `7`, `1` as `1.0`, `"7"` as `7`) are matched by what they say.
    Without a key, rows are matched by position where there are equally many.
    """
    import pyarrow as pa

    if not good:
        return pa.array(range(rows[0]), pa.int64()) if rows[0] == rows[1] else None
    for plain in (False, True):
        found = _matched(_texts(good, plain), _texts(bad, plain))
        if len(found) - found.null_count >= COMMON * max(1, min(rows)):
            return found
    return None


def repeated(key: Sequence[pa.Array]) -> int:
    """Return how many rows have a key that a row before them has; none where there is no key."""
    import pyarrow.compute as pc

    keys = _texts(key, plain=False) if key else []
    return len(keys) - (pc.count_distinct(keys).as_py() if key else 0)


def inverse(partner: pa.Array, rows: int) -> pa.Array:
    """Return for every row of bad (`rows` of them) its row in good, null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.index_in(pa.array(range(rows), pa.int64()), value_set=partner).cast(pa.int64())


def _matched(one: pa.Array, other: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if any(pc.count_distinct(keys).as_py() < len(keys) for keys in (one, other)):
        one, other = _numbered(one), _numbered(other)
    return pc.index_in(one, value_set=other).cast(pa.int64())


def _numbered(keys: pa.Array) -> pa.Array:
    """Return repeated keys told apart by their occurrence."""
    import pyarrow as pa

    seen: Counter[str] = Counter()
    found = []
    for key in keys.to_pylist():
        seen[key] += 1
        found.append(f"{key}\x1f{seen[key]}")
    return pa.array(found, pa.large_string())


def _texts(columns: Sequence[pa.Array], plain: bool) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pc.fill_null(column.cast(pa.large_string()), "\x00") for column in columns]
    if plain:
        texts = [pc.replace_substring_regex(text, r'^"(.*)"$', r"\1") for text in texts]
        texts = [pc.utf8_lower(pc.utf8_trim_whitespace(text)) for text in texts]
        texts = [pc.replace_substring_regex(text, r"^0+(\d)", r"\1") for text in texts]
        texts = [pc.replace_substring_regex(text, r"^(\d+)\.0+$", r"\1") for text in texts]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\x1f")
