"""What the cells of a text table are to a reader: numbers, dates, nulls, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

NULL_TEXTS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""The spellings that `pandas.read_csv` reads as null by default (its `na_values` documentation, 2.0 to 3.0)."""

_MONTH = r"(?:0?[1-9]|1[0-2])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_LATE = r"(?:1[3-9]|2\d|3[01])"
_EARLY = r"(?:0?[1-9]|1[0-2])"
_CLOCK = r"[T ]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?"
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
_NAME = (
    "(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)


def _written_dates() -> dict[str, str]:
    """Return a pattern for every way of writing a date, a time stamp or a period, by its style."""
    days = {"YYYY-MM-DD": rf"\d{{4}}-{_MONTH}-{_DAY}", "YYYY/MM/DD": rf"\d{{4}}/{_MONTH}/{_DAY}"}
    for sep in "/.-":
        cut = rf"\{sep}"
        days[f"DD{sep}MM{sep}YYYY"] = rf"{_LATE}{cut}{_MONTH}{cut}\d{{4}}"
        days[f"MM{sep}DD{sep}YYYY"] = rf"{_MONTH}{cut}{_LATE}{cut}\d{{4}}"
        days[f"??{sep}??{sep}YYYY"] = rf"{_EARLY}{cut}{_EARLY}{cut}\d{{4}}"
    styles = {f"date {style}": pattern for style, pattern in days.items()}
    styles |= {f"timestamp {style} hh:mm": pattern + _CLOCK for style, pattern in days.items()}
    styles |= {f"timestamp {style} hh:mm and zone": pattern + _CLOCK + _ZONE for style, pattern in days.items()}
    return styles | {
        "date YYYY-MM": r"(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])",
        "date quarter or week": r"\d{4}[- ]?[QqWw]\d{1,2}",
        "date DD Mon YYYY": rf"{_DAY}[- .]{{1,2}}{_NAME}[- .]{{1,2}}\d{{2,4}}",
        "date Mon YYYY": rf"{_NAME}[- .]{{1,2}}\d{{2,4}}",
    }


_CELLS = {
    "int": r"\s*[-+]?\d{1,18}\s*",
    "long": r"\s*[-+]?\d{19,}\s*",
    "float": r"\s*[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|(?i:inf(?:inity)?))\s*",
    "bool": r"TRUE|True|true|FALSE|False|false",
    "comma": r"\s*[-+]?\d+,\d+\s*",
    "blank": r"\s+",
    **_written_dates(),
}

KINDS = {kind: f"^(?:{pattern})$" for kind, pattern in _CELLS.items()}
"""Kind of cell -> its RE2 pattern. No cell matches two; what matches none is of kind "text"."""

TEMPORAL = ("date ", "timestamp ")
"""How the kinds begin that are points or periods of time; the rest of the kind is its style."""

_ANY = f"^(?:{'|'.join(f'(?:{pattern})' for pattern in _CELLS.values())})$"
"""Every kind at once. Most cells that are no number are text, and asking once is cheaper than asking for every kind."""

ODD = 8
"""How many spellings of odd cells are kept: enough to name the culprits, too few to copy a column."""


class Cells:
    """The cells of one column that are not null, counted by kind; `nulls` counts those that a spelling makes null.

    `zeros` counts the ints with leading zeros, which a reader turns into a number and loses. `odd` holds the
    cells that are neither number, date nor truth value, by spelling; None once they are more than a few.
    """

    def __init__(self, spelled: Sequence[str]) -> None:
        self.spelled = spelled
        self.nulls: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.zeros = 0
        self.odd: dict[str, int] | None = {}
        self._latest = "int"

    @property
    def settled(self) -> bool:
        """Whether most cells are plain text: what the others are changes nothing any more."""
        return self.kinds["text"] * 2 > self.kinds.total()

    def add(self, values: Any, counts: Any) -> None:
        """Count cells: an Arrow array of strings without nulls, and how often each stands."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # The next cells are most likely of the latest kind: it is asked for first.
        values, counts = self._take(self._latest, values, counts)
        if not len(values):
            return
        known = pc.match_substring_regex(values, _ANY)
        texts, often = (side.filter(pc.invert(known)) for side in (values, counts))
        values, counts = values.filter(known), counts.filter(known)
        for kind in KINDS:
            if not len(values):
                break
            values, counts = self._take(kind, values, counts)
        null = pc.is_in(texts, pa.array(self.spelled, pa.string()))
        if pc.any(null).as_py():
            for value, count in zip(texts.filter(null).to_pylist(), often.filter(null).to_pylist(), strict=True):
                self.nulls[value] += count
            texts, often = (side.filter(pc.invert(null)) for side in (texts, often))
        if len(texts):
            self._found("text", texts, often)

    def _take(self, kind: str, values: Any, counts: Any) -> tuple[Any, Any]:
        """Count those of one kind and return the others."""
        import pyarrow.compute as pc

        mask = pc.match_substring_regex(values, KINDS[kind])
        taken = pc.sum(mask).as_py() or 0
        if not taken:
            return values, counts
        if taken == len(values):
            self._found(kind, values, counts)
            return values[:0], counts[:0]
        self._found(kind, values.filter(mask), counts.filter(mask))
        rest = pc.invert(mask)
        return values.filter(rest), counts.filter(rest)

    def _found(self, kind: str, values: Any, counts: Any) -> None:
        import pyarrow.compute as pc

        if kind in KINDS:
            self._latest = kind
        if kind == "long" and _fits(values):
            kind = "int"
        self.kinds[kind] += pc.sum(counts).as_py()
        if kind == "int":
            zeros = counts.filter(pc.match_substring_regex(values, r"^\s*[-+]?0\d"))
            self.zeros += pc.sum(zeros).as_py() or 0
        if kind in {"text", "blank", "comma"}:
            self._remember(values, counts)

    def _remember(self, values: Any, counts: Any) -> None:
        for value, count in zip(values, counts, strict=True):
            if self.odd is None:
                return
            spelling = value.as_py()
            self.odd[spelling] = self.odd.get(spelling, 0) + count.as_py()
            if len(self.odd) > ODD:
                self.odd = None


def _fits(values: Any) -> bool:
    """Whether numbers of 19 digits and more fit a 64-bit integer; readers keep longer ones as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim(values, characters=" +")
    for kind in (pa.int64(), pa.uint64()):
        try:
            trimmed.cast(kind)
        except pa.ArrowInvalid:
            continue
        return True
    return False
