"""Two columns brought to one type, so that their values can be compared exactly. Pure, on pyarrow arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "instant", "other"]

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Pair:
    """Two columns of one type. `kind` says what a difference means; `tick` is the seconds in a unit of an instant."""

    good: pa.ChunkedArray
    bad: pa.ChunkedArray
    kind: Kind
    tick: float = 1.0


def logical(kind: pa.DataType) -> str | None:
    """Return the name of a type as its reader sees it, None for a column without any value.

    Storage does not count: a dictionary is what it holds, a timestamp is an instant in any unit and zone.
    """
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return logical(kind.value_type)
    if t.is_null(kind):
        return None
    if t.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp with zone"
    families = {
        "string": (t.is_string, t.is_large_string, _is_string_view),
        "binary": (t.is_binary, t.is_large_binary, t.is_fixed_size_binary),
        "date": (t.is_date,),
        "time": (t.is_time,),
        "duration": (t.is_duration,),
    }
    for name, tests in families.items():
        if any(test(kind) for test in tests):
            return name
    return str(kind)


def unify(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Pair:
    """Return both columns in one type that loses no value.

    Whole numbers stay whole (never through float); instants become counts of their finer unit; numbers
    against text are compared as numbers only if they are fractions (`007` is not 7); what has no common
    type, and nested values, are compared by their text.
    """
    import pyarrow as pa
    import pyarrow.types as t

    good, bad = _plain(good), _plain(bad)
    if t.is_null(good.type):
        good = pa.chunked_array([pa.nulls(len(good), bad.type)])
    if t.is_null(bad.type):
        bad = pa.chunked_array([pa.nulls(len(bad), good.type)])
    good, bad = _same_family(good, bad)
    if t.is_temporal(good.type) and good.type.id == bad.type.id:
        return _instants(good, bad)
    if _is_number(good.type) and _is_number(bad.type):
        return Pair(*_numbers(good, bad), "number")
    if good.type != bad.type:
        good, bad = as_text(good), as_text(bad)
    return Pair(good, bad, "other")


def differing(pair: Pair) -> pa.ChunkedArray:
    """Return where both sides hold a value and the values differ (NaN equals NaN, -0.0 equals 0.0)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(pair.good.type):
        return pa.chunked_array([pa.repeat(pa.scalar(False), len(pair.good))])
    different = pc.not_equal(pair.good, pair.bad)
    if pa.types.is_floating(pair.good.type):
        different = pc.and_not(different, pc.and_(pc.is_nan(pair.good), pc.is_nan(pair.bad)))
    return pc.fill_null(different, False)


def distance(pair: Pair) -> pa.ChunkedArray:
    """Return |bad - good| as float64 (seconds for instants), the subtraction exact for whole numbers; not for `other`.

    NaN or infinite where either side is.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    good, bad = pair.good, pair.bad
    if pa.types.is_integer(good.type):
        good, bad = (side.cast(pa.decimal128(19, 0)) for side in (good, bad))
    moved = as_float(pc.abs(pc.subtract(bad, good)))
    return moved if pair.kind == "number" else pc.multiply(moved, pair.tick)


def ulps(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> int | None:
    """Return the largest number of steps between representable floats from `good` to `bad`; None for anything else.

    Both columns of one float type, without nulls; NaN and infinities take no part. The bits of a float, read as a
    whole number, count up with its magnitude (IEEE 754), so their difference is the number of steps.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if good.type != bad.type or good.type not in (pa.float32(), pa.float64()):
        return None
    finite = pc.and_(pc.is_finite(good), pc.is_finite(bad))
    whole = pa.int32() if good.type == pa.float32() else pa.int64()
    sides = []
    for side in (good, bad):
        flat = pa.concat_arrays([*side.filter(finite).chunks, pa.array([], side.type)])
        bits = flat.view(whole).cast(pa.int64())
        lowest = pa.scalar(-(2 ** (whole.bit_width - 1)), pa.int64())
        magnitude = pc.if_else(pc.less(bits, 0), pc.subtract(bits, lowest), bits)
        signed = pc.if_else(pc.less(bits, 0), pc.negate(magnitude), magnitude)
        sides.append(signed.cast(pa.decimal128(19, 0)))
    top = pc.max(pc.abs(pc.subtract(sides[1], sides[0]))).as_py()
    return None if top is None else int(top)


def steady(good: pa.DataType, bad: pa.DataType) -> bool:
    """Return whether `unify` does the same for every part of two columns of these types.

    Where it does not (text against numbers: it depends on whether all of the text reads as numbers), the columns
    must be looked at as a whole.
    """
    import pyarrow.types as t

    good, bad = (kind.value_type if t.is_dictionary(kind) else kind for kind in (good, bad))
    families = (t.is_integer, t.is_floating, t.is_decimal)
    alike = any(test(good) and test(bad) for test in families)
    return alike or good == bad or (logical(good) == logical(bad) and not t.is_nested(good))


def as_float(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as float64, rounded where they do not fit: for magnitudes, never for equality."""
    import pyarrow as pa

    return column.cast(pa.float64(), safe=False)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return every value as text, null as null."""
    import pyarrow as pa

    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [None if v is None else _python_text(v) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])


def hashable(column: pa.ChunkedArray) -> pa.Array:
    """Return a unified column as one array in which equal values hash alike (-0.0 becomes 0.0)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    return pc.add(whole, 0.0) if pa.types.is_floating(whole.type) else whole


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without storage tricks: no dictionary, no extension, wide text, nested values as JSON."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if t.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    name = logical(column.type)
    if name == "string":
        return column.cast(pa.large_string())
    if name == "binary":
        return column.cast(pa.large_binary())
    if t.is_nested(column.type):
        return pa.chunked_array([pa.array([_python_text(v) for v in column.to_pylist()], pa.large_string())])
    return column


def _same_family(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return both sides with the one of the poorer kind read as the richer: text as number, date as instant."""
    import pyarrow as pa
    import pyarrow.types as t

    if good.type == bad.type:
        return good, bad
    for wants, target in ((t.is_floating, pa.float64()), (t.is_decimal, pa.float64()), (t.is_timestamp, None)):
        if wants(good.type):
            return good, _reading(bad, target or pa.timestamp("us", good.type.tz))
        if wants(bad.type):
            return _reading(good, target or pa.timestamp("us", bad.type.tz)), bad
    if t.is_boolean(good.type) and _is_number(bad.type):
        return good.cast(pa.int64()), bad
    if t.is_boolean(bad.type) and _is_number(good.type):
        return good, bad.cast(pa.int64())
    return good, bad


def _reading(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """Return text, a date or a truth value read as `target`, or the column as it is where that does not go."""
    import pyarrow as pa
    import pyarrow.types as t

    if not (t.is_large_string(column.type) or t.is_date(column.type) or t.is_boolean(column.type)):
        return column
    try:
        return column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _numbers(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return two number columns in the first of int64, decimal and float64 that holds both."""
    import pyarrow as pa
    import pyarrow.types as t

    floats = [t.is_floating(side.type) for side in (good, bad)]
    decimals = any(t.is_decimal(side.type) for side in (good, bad))
    if all(floats) or (any(floats) and decimals):
        return as_float(good), as_float(bad)
    targets = [] if decimals else [pa.int64()]
    if decimals:
        targets.append(pa.decimal256(75, max(getattr(side.type, "scale", 0) for side in (good, bad))))
    targets += [pa.float64()] if any(floats) else [pa.decimal128(20, 0)]
    for target in targets:
        try:
            return _to_number(good, target), _to_number(bad, target)
        except pa.ArrowInvalid:
            continue
    # Whole numbers beyond 2^53 against fractions: the change of type is the finding, and it is made elsewhere.
    return as_float(good), as_float(bad)


def _to_number(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_integer(column.type) and pa.types.is_decimal(target):
        column = column.cast(pa.decimal128(20, 0))
    return column.cast(target)


def _instants(good: pa.ChunkedArray, bad: pa.ChunkedArray) -> Pair:
    """Return timestamps, times or durations as counts of the finer unit (decimal where units differ: no overflow)."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_date(good.type):
        days = [side.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()) for side in (good, bad)]
        return Pair(days[0], days[1], "instant", 86400.0)
    units = [side.type.unit for side in (good, bad)]
    finer = max(units, key=_PER_SECOND.__getitem__)
    good, bad = (_ticks(side, finer) if units[0] != units[1] else _whole(side) for side in (good, bad))
    return Pair(good, bad, "instant", _SECONDS[finer])


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(pa.int32() if pa.types.is_time32(column.type) else pa.int64()).cast(pa.int64())


def _ticks(column: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    factor = _PER_SECOND[unit] // _PER_SECOND[column.type.unit]
    scaled = pc.multiply(_whole(column).cast(pa.decimal128(19, 0)), pa.scalar(factor, pa.decimal128(10, 0)))
    return scaled.cast(pa.decimal128(35, 0))


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _is_string_view(kind: pa.DataType) -> bool:
    return str(kind) == "string_view"


def _python_text(value: Any) -> str | None:
    """Return the canonical text of a nested or foreign value, None for None."""
    if value is None:
        return None
    return json.dumps(_zeroed(value), sort_keys=True, default=repr, ensure_ascii=False)


def _zeroed(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, dict):
        return {key: _zeroed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_zeroed(item) for item in value]
    return value
