"""What a column type is to the oracle tests, and the SQL literals and expressions that they are made of."""

# ruff: noqa: DTZ001  times of a database have no zone

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Convert = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def fits(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and ours == theirs


def same_single(ours: Any, theirs: Any) -> bool:
    return type(ours) is float and struct.pack("<f", ours) == struct.pack("<f", theirs)


def same_double(ours: Any, theirs: Any) -> bool:
    return type(ours) is float and struct.pack("<d", ours) == struct.pack("<d", theirs)


def same_vector(ours: Any, theirs: bytes) -> bool:
    return all(type(number) is float for number in ours) and struct.pack(f"<{len(ours)}f", *ours) == theirs


WRONG = "wrong"


@dataclass(frozen=True)
class ColumnType:
    """`extremes` and `random` are SQL literals. `select` is the expression over the column whose result, put through
    `convert`, is `equal` to our value. `library` makes our value of mysql-replication's; WRONG where that is not right
    (see the notes on the types), None where it would end the stream."""

    sql: str
    extremes: list[str]
    random: st.SearchStrategy[str]
    select: str = "{}"
    convert: Convert = same
    equal: Callable[[Any, Any], bool] = fits
    library: Convert | str | None = WRONG


def text_of(expression: str) -> str:
    return f"CONVERT(CAST({expression} AS CHAR) USING utf8mb4)"


def utf8(text: str) -> str:
    return f"_utf8mb4 x'{text.encode().hex()}'"


def binary(raw: bytes) -> str:
    return f"x'{raw.hex()}'"


def from_hex(value: str) -> str:
    return base64.b64encode(bytes.fromhex(value)).decode()


def as_set(value: str) -> list[str]:
    return [label for label in value.split(",") if label]


DATETIME = "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f')"
TIMESTAMP = "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%fZ')"
TIME = "CAST(CAST({} AS TIME(6)) AS CHAR)"
TEXT = "CONVERT({} USING utf8mb4)"
AS_TEXT = text_of("{}")

DATETIMES = [
    "'0000-00-00'",
    "'2022-00-10'",
    "'2022-01-13 10:00:00.123456'",
    "'9999-12-31 23:59:59.999999'",
    "'1000-01-01'",
]
TIMESTAMPS = [
    "0",
    "'1970-01-01 00:00:01'",
    "'2022-01-13 10:00:00.5'",
    "'2038-01-19 03:14:07.99'",
    "'2024-02-29 23:59:59.000001'",
]
TIMES = [
    "'-838:59:59'",
    "'838:59:59'",
    "'00:00:00'",
    "'-00:00:00.4'",
    "'-00:00:01.000001'",
    "'-12:34:56.789'",
    "'99:59:59.999999'",
]

CHARACTERS = st.characters(exclude_categories=["Cs"])
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31)).map(lambda at: f"'{at}'")
INSTANTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2038, 1, 18)).map(lambda at: f"'{at}'")
LONGEST_TIME_US = 3_020_399_000_000


def time_literal(microseconds: int) -> str:
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    sign = "-" if microseconds < 0 else ""
    return f"'{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}'"


LENGTHS_OF_TIME = st.integers(-LONGEST_TIME_US, LONGEST_TIME_US).map(time_literal)


def texts(size: int) -> st.SearchStrategy[str]:
    return st.text(CHARACTERS, max_size=size).map(utf8)


def bytes_of(size: int) -> st.SearchStrategy[str]:
    return st.binary(max_size=size).map(binary)


def singles(count: int) -> st.SearchStrategy[str]:
    numbers = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=count, max_size=count)
    return numbers.map(lambda found: binary(struct.pack(f"<{count}f", *found)))
