"""BigQuery's column types on the wire and in a copy: what a protobuf field may bring («Supported protocol buffer and
Arrow data types»), which values are in range («Data types» of GoogleSQL), and how Arrow holds them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

Check = Callable[[Any], str | None]
"""A value → what is wrong with it."""

_INTEGERS = (Field.TYPE_INT32, Field.TYPE_INT64, Field.TYPE_UINT32)
PROTO_TYPES: dict[str, tuple[Any, ...]] = {
    "BOOL": (Field.TYPE_BOOL, *_INTEGERS, Field.TYPE_UINT64),
    "BYTES": (Field.TYPE_BYTES, Field.TYPE_STRING),
    "DATE": (Field.TYPE_INT32, Field.TYPE_INT64),
    "DATETIME": (Field.TYPE_STRING,),
    "FLOAT64": (Field.TYPE_DOUBLE, Field.TYPE_FLOAT),
    "INT64": (*_INTEGERS, Field.TYPE_ENUM),
    "JSON": (Field.TYPE_STRING,),
    "NUMERIC": (Field.TYPE_STRING, *_INTEGERS, Field.TYPE_UINT64),
    "BIGNUMERIC": (Field.TYPE_STRING, *_INTEGERS, Field.TYPE_UINT64),
    "STRING": (Field.TYPE_STRING, Field.TYPE_ENUM),
    "TIMESTAMP": (Field.TYPE_INT64, Field.TYPE_INT32, Field.TYPE_UINT32),
}
"""Column type → protobuf types that this server takes for it: BigQuery's, without the packed forms of DATE, DATETIME
and NUMERIC and without the wrapper messages, which a client of ours does not send."""

KEY_TYPES = frozenset({"BIGNUMERIC", "BOOL", "DATE", "DATETIME", "INT64", "NUMERIC", "STRING", "TIMESTAMP"})
"""Of a primary key («TABLE_CONSTRAINTS view», limitations)."""
PARTITION_TYPES = frozenset({"DATE", "DATETIME", "TIMESTAMP", "INT64"})
CLUSTER_TYPES = KEY_TYPES

_EPOCH = dt.date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_FIRST_MICROSECOND, _LAST_MICROSECOND = -62_135_596_800_000_000, 253_402_300_799_999_999
_PLAIN_NUMERIC = re.compile(r"[+-]?[0-9]{1,29}(?:\.[0-9]{1,9})?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATETIME = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?)?")
_PLAIN_DATETIME = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
)
_BIGNUMERIC_LIMIT = Decimal(2**255).scaleb(-38)


def _numeric(value: Any) -> str | None:
    if isinstance(value, str) and _PLAIN_NUMERIC.fullmatch(value):
        return None
    return _decimal(value, "NUMERIC", 9, Decimal("1e29"))


def _bignumeric(value: Any) -> str | None:
    return _decimal(value, "BIGNUMERIC", 38, _BIGNUMERIC_LIMIT)


def _decimal(value: Any, name: str, scale: int, limit: Decimal) -> str | None:
    text = str(value)
    if _NUMBER.fullmatch(text) is None:
        return f"Invalid {name} value: {text[:60]}"
    number = Decimal(text)
    exponent = int(number.as_tuple().exponent)
    trailing = len(text) - len(text.rstrip("0")) if "." in text and "e" not in text.lower() else 0
    if abs(number) >= limit or -exponent - trailing > scale:
        return f"Invalid {name} value: {text[:60]} is out of range"
    return None


def _date(value: Any) -> str | None:
    return None if _FIRST_DAY <= value <= _LAST_DAY else f"Invalid date value: {value}"


def _timestamp(value: Any) -> str | None:
    return None if _FIRST_MICROSECOND <= value <= _LAST_MICROSECOND else f"Invalid timestamp value: {value}"


def _datetime(value: Any) -> str | None:
    if _PLAIN_DATETIME.fullmatch(value):
        return None
    try:
        parse_datetime(value)
    except ValueError:
        return f"Invalid datetime string {value[:60]!r}"
    return None


def parse_datetime(text: str) -> dt.datetime:
    """A DATETIME literal. Raises ValueError."""
    found = _DATETIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    *parts, fraction = found.groups()
    year, month, day, *time = (int(part or 0) for part in parts)
    return dt.datetime(year, month, day, *time, int((fraction or "0").ljust(6, "0")))  # noqa: DTZ001 - it has no zone


def _json(value: Any) -> str | None:
    try:
        orjson.loads(value)
    except ValueError as error:
        return f"Invalid JSON: {error}"
    return None


CHECKS: dict[str, Check] = {
    "NUMERIC": _numeric,
    "BIGNUMERIC": _bignumeric,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "DATETIME": _datetime,
    "JSON": _json,
}
"""Column type → what is checked in every row when it is appended. The others have their range by protobuf."""

ARROW: dict[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "FLOAT64": pa.float64(),
    "INT64": pa.int64(),
    "JSON": pa.string(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.string(),
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}
"""As a copy for the emulator holds them: DuckDB has no number of 76 digits, so a BIGNUMERIC is a text."""

PYTHON: dict[str, Callable[[Any], Any]] = {
    "BOOL": bool,
    "DATE": lambda days: _EPOCH + dt.timedelta(days=days),
    "DATETIME": parse_datetime,
    "NUMERIC": lambda value: Decimal(value),
    "BIGNUMERIC": lambda value: plain(str(value)),
}
"""What a value of a field becomes before Arrow takes it; the others as they are."""


def plain(number: str) -> str:
    """As BigQuery prints it: no exponent, no zeros at the end."""
    text = format(Decimal(number), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def size_of(kind: str, repeated: bool, values: pa.ChunkedArray) -> int:
    """Bytes that a query is billed for a column («Estimate and control costs», «Data type sizes»)."""
    fixed = {
        "BOOL": 1,
        "DATE": 8,
        "DATETIME": 8,
        "FLOAT64": 8,
        "INT64": 8,
        "NUMERIC": 16,
        "BIGNUMERIC": 32,
        "TIMESTAMP": 8,
    }
    present = len(values) - values.null_count
    if repeated or kind not in fixed:
        return int(values.nbytes) + 2 * present
    return fixed[kind] * present
