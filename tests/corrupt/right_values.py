"""Whether a decoded value is one that its column may have: its type, range and form."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import Any

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.charsets import BINARY
from binlog_worker.decoding.table_map import Column

_INTEGERS = {t.TINY: 8, t.SHORT: 16, t.INT24: 24, t.LONG: 32, t.BIGINT: 64}
_DAY, _CLOCK = r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])", r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}"
_TEXTS = {
    **dict.fromkeys((t.DATE,), re.compile(_DAY)),
    **dict.fromkeys((t.DATETIME, t.DATETIME_53), re.compile(f"{_DAY}T{_CLOCK}")),
    **dict.fromkeys((t.TIMESTAMP, t.TIMESTAMP_53), re.compile(f"{_DAY}T{_CLOCK}Z")),
    **dict.fromkeys((t.TIME, t.TIME_53), re.compile(r"-?([0-7]?\d\d|8[0-3]\d):[0-5]\d:[0-5]\d\.\d{6}")),
    t.UUID: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
_STRINGS = frozenset((t.VARCHAR, t.STRING, t.BLOB, t.COMPRESSED_BLOB, t.COMPRESSED_VARCHAR))


def is_right(column: Column, value: Any) -> bool:
    """NULL is right everywhere: an image may have it in any column."""
    kind = column.kind
    if value is None:
        return True
    if kind in _INTEGERS:
        low = 0 if column.unsigned else -(1 << _INTEGERS[kind] - 1)
        return type(value) is int and low <= value < low + (1 << _INTEGERS[kind])
    if kind in (t.FLOAT, t.DOUBLE):
        return _is_number(value)
    if kind == t.DECIMAL:
        return type(value) is str and _is_decimal(value, column.a, column.b)
    if kind in _TEXTS:
        return type(value) is str and _TEXTS[kind].fullmatch(value) is not None
    if kind == t.YEAR:
        return type(value) is int and (value == 0 or 1901 <= value <= 2155)
    if kind == t.BIT:
        return type(value) is int and 0 <= value < 1 << column.b
    if kind == t.ENUM:
        return value in ("", *(column.labels or ()))
    if kind == t.SET:
        return type(value) is list and all(label in (column.labels or ()) for label in value)
    if kind in (t.VECTOR, t.MARIADB_VECTOR):
        return type(value) is list and all(map(_is_number, value))
    if type(value) is not str:
        return False
    return _is_right_text(column, value)


def _is_right_text(column: Column, value: str) -> bool:
    value.encode("utf-8")
    if column.kind == t.JSON:
        json.loads(value, parse_constant=_refuse)
    elif column.kind == t.GEOMETRY or (column.kind in _STRINGS and column.collation == BINARY):
        raw = base64.b64decode(value, validate=True)
        return column.kind != t.STRING or len(raw) == column.a
    elif column.kind in (t.INET4, t.INET6):
        return ipaddress.ip_address(value).version == (4 if column.kind == t.INET4 else 6)
    return True


def _is_number(value: Any) -> bool:
    return type(value) is float and value - value == 0.0


def _is_decimal(value: str, precision: int, scale: int) -> bool:
    whole = precision - scale
    form = rf"-?\d{{1,{whole or 1}}}" + (rf"\.\d{{{scale}}}" if scale else "")
    return re.fullmatch(form, value) is not None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
