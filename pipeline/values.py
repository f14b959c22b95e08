"""Values of change events → Arrow columns, exactly, or not at all (`schemas/types.md`)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import ColumnType, Kind

ZERO_DATE = r"0000-\d\d-\d\d|\d{4}-00-\d\d|\d{4}-\d\d-00"
_ZERO_DATE = re.compile(ZERO_DATE)
TEMPORAL = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)


class ValueProblem(ValueError):
    """A value that does not fit its column."""


def arrow_type(column: ColumnType) -> pa.DataType:
    """The Arrow type that carries a warehouse type; microseconds for times, UTC for instants."""
    if column.kind is Kind.DECIMAL:
        return pa.decimal128(column.precision, column.scale)
    return _ARROW[column.kind]


_ARROW = {
    Kind.INT64: pa.int64(),
    Kind.FLOAT64: pa.float64(),
    Kind.STRING: pa.string(),
    Kind.BYTES: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us"),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.JSON: pa.string(),
    Kind.STRINGS: pa.list_(pa.string()),
    Kind.FLOATS: pa.list_(pa.float32()),
    Kind.BOOL: pa.bool_(),
}


def to_arrow(values: Sequence[Any], column: ColumnType) -> pa.Array:
    """One column, n values → n entries. Raises ValueProblem where one of them does not fit; nothing is rounded,
    truncated or parsed leniently. Zero dates do not fit: see `is_zero_date`."""
    try:
        return _BUILDERS[column.kind](values, arrow_type(column))
    except (pa.ArrowException, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise ValueProblem(str(error).splitlines()[0][:200]) from error


def _plain(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    return pa.array(values, target)


def _floats(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    if any(type(value) is bool for value in values):
        raise ValueProblem("true or false in a column of numbers")
    return pa.array(values, target)


def _json(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    for value in values:
        if value is not None:
            orjson.loads(value)
    return pa.array(values, target)


def _lists(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    if any(type(value) is str for value in values):  # Arrow would take its characters
        raise ValueProblem("a text instead of a list")
    return pa.array(values, target)


def _vectors(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """Lists of numbers as singles, which they must be: exactly, or a text of one in 6 to 9 digits."""
    lists = _lists(values, pa.list_(pa.float64()))
    if any(type(number) is bool or number is None for value in values if value is not None for number in value):
        raise ValueProblem("true, false or null in a vector")
    numbers = lists.flatten()
    singles = numbers.cast(pa.float32(), safe=False)
    if not pc.all(pc.is_finite(singles), min_count=0).as_py():
        raise ValueProblem("a number in a vector that is no single")
    exact = singles.cast(pa.float64())
    same = pc.or_(pc.equal(exact, numbers), pc.equal(singles.cast(pa.string()).cast(pa.float64()), numbers))
    for index in pc.indices_nonzero(pc.invert(same)).to_pylist():
        number, stored = numbers[index].as_py(), exact[index].as_py()
        if all(float(f"{stored:.{digits}g}") != number for digits in range(6, 10)):
            raise ValueProblem(f"{number} in a vector is no single")
    return lists.cast(target, safe=False)


def _integers(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    array = pa.array(values, target)
    if any(type(value) is float for value in values):
        raise ValueProblem("a fraction in an integer column")
    return array


def _decimals(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    if any(type(value) is int for value in values):
        values = [str(value) if type(value) is int else value for value in values]
    return pa.array(values, pa.string()).cast(target)


def _from_text(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(target)


def _bytes(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    try:
        decoded = [None if value is None else base64.b64decode(value, validate=True) for value in values]
    except binascii.Error as error:
        raise ValueProblem("not base64") from error
    return pa.array(decoded, target)


_BUILDERS: dict[Kind, Callable[[Sequence[Any], pa.DataType], pa.Array]] = {
    Kind.INT64: _integers,
    Kind.DECIMAL: _decimals,
    Kind.FLOAT64: _floats,
    Kind.STRING: _plain,
    Kind.BYTES: _bytes,
    Kind.DATE: _from_text,
    Kind.DATETIME: _from_text,
    Kind.TIMESTAMP: _from_text,
    Kind.JSON: _json,
    Kind.STRINGS: _lists,
    Kind.FLOATS: _vectors,
    Kind.BOOL: _plain,
}


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A column as text (`schemas/types.md`, column «text»): a binary id, which is seldom UTF-8, as hexadecimal."""
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    if pa.types.is_list(column.type):
        return pc.binary_join(column.cast(pa.list_(pa.string())), ",")
    return column.cast(pa.string())


def is_zero_date(value: object) -> bool:
    """`0000-00-00`, also as the date of a time, and dates whose month or day is zero."""
    return isinstance(value, str) and _ZERO_DATE.match(value) is not None


def misfits(values: Sequence[Any], column: ColumnType) -> dict[int, str]:
    """Index → what is wrong, for those values that do not fit by themselves."""
    found: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            to_arrow([value], column)
        except ValueProblem as problem:
            found[index] = str(problem)
    return found
