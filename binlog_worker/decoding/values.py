"""One decoder per column: `(data, pos) -> (value, position behind it)`, compiled from the column's type.

Layouts: MySQL source documentation "Table_map_event", table of types; what a value becomes: `schemas/types.md`. A
value cut off by the end of the event is not noticed here but by whoever compares the final position with it. Bytes
that are no value of their column raise ValueError; nothing is ever replaced.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.decimals import decimal_decoder, decimal_size
from binlog_worker.decoding.floats import double, single
from binlog_worker.decoding.old_temporal import old_temporal_decoder, old_temporal_size
from binlog_worker.decoding.table_map import Column
from binlog_worker.decoding.temporal import date_text, datetime_text, time_text, timestamp_text
from binlog_worker.decoding.texts import CONVERSIONS, FULL_METADATA, TEXTS, Decoder, converted, length_size, text

__all__ = ["FULL_METADATA", "Decoder", "skip_bytes", "value_decoder", "value_size", "value_skipper"]

_INTEGERS = {t.TINY: 1, t.SHORT: 2, t.INT24: 3, t.LONG: 4, t.BIGINT: 8}
_STRUCTS = {1: "b", 2: "h", 4: "i", 8: "q"}
_FIXED = {**_INTEGERS, t.FLOAT: 4, t.DOUBLE: 8, t.DATE: 3, t.YEAR: 1}
_TEMPORAL = {t.TIME: 3, t.DATETIME: 5, t.TIMESTAMP: 4}
_LATER_TEMPORAL = frozenset((t.TIME_53, t.DATETIME_53, t.TIMESTAMP_53))
_ALTERED = "load the table again, and go on behind its last ALTER TABLE"
_REFUSED = {
    t.LOOKALIKE: (
        "may hold bytes, a UUID, INET4, INET6 or VECTOR: the log does not say which, nor does the table as it is today",
        f"exclude the column in shop.yaml, or {_ALTERED}",
    ),
    **dict.fromkeys(
        (t.OLD_TIME, t.OLD_DATETIME, t.OLD_TIMESTAMP),
        (
            "is in a format of before MySQL 5.6: the log does not say how long, nor does the table as it is today",
            _ALTERED,
        ),
    ),
}
"""Why, and what to do."""


def value_decoder(column: Column) -> Decoder:
    """Raises UnsupportedColumn, naming the column, where its values cannot be decoded exactly."""
    kind = column.kind
    if kind in _REFUSED:
        raise column.unsupported(*_REFUSED[kind])
    if kind in _INTEGERS:
        return _integer(column, _INTEGERS[kind])
    if kind in TEXTS:
        return text(column)
    if kind in CONVERSIONS:
        return converted(column)
    maker = _MAKERS.get(kind)
    if maker is None:
        raise column.unsupported(f"has the unknown type {kind}")
    try:
        return maker(column)
    except ValueError as error:
        raise column.unsupported(f"cannot be decoded: {error}") from error


def value_size(column: Column) -> int | None:
    """Bytes of every value that is not NULL, or None where values differ in length."""
    kind = column.kind
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _TEMPORAL:
        return _TEMPORAL[kind] + (column.a + 1) // 2
    if kind in _LATER_TEMPORAL:
        return old_temporal_size(column)
    if kind == t.DECIMAL:
        return decimal_size(column.a, column.b)
    return column.a if kind in (t.BIT, t.ENUM, t.SET) else None


def value_skipper(column: Column) -> Decoder:
    """A decoder that yields None and reads no more than the length. Raises UnsupportedColumn where that is not
    known."""
    size = value_size(column)
    if size is not None:
        return skip_bytes(size)
    prefix = length_size(column)
    if prefix is None:
        refused = _REFUSED.get(column.kind, ("has a type whose length in the binlog is not known", None))
        raise column.unsupported(*refused)
    from_bytes = int.from_bytes

    def skip(data: bytes, pos: int) -> tuple[None, int]:
        start = pos + prefix
        return None, start + from_bytes(data[pos:start], "little")

    return skip


def skip_bytes(size: int) -> Decoder:
    def skip(data: bytes, pos: int) -> tuple[None, int]:
        return None, pos + size

    return skip


def _integer(column: Column, size: int) -> Decoder:
    if column.unsigned is None:
        raise column.unsupported("is logged without its sign", FULL_METADATA)
    if size == 3:
        signed, from_bytes = not column.unsigned, int.from_bytes
        return lambda data, pos: (from_bytes(data[pos : pos + 3], "little", signed=signed), pos + 3)
    code = _STRUCTS[size]
    unpack = struct.Struct("<" + (code.upper() if column.unsigned else code)).unpack_from

    def integer(data: bytes, pos: int) -> tuple[int, int]:
        return unpack(data, pos)[0], pos + size

    return integer


def _decimal(column: Column) -> Decoder:
    size, decode = decimal_size(column.a, column.b), decimal_decoder(column.a, column.b)

    def decimal(data: bytes, pos: int) -> tuple[str, int]:
        end = pos + size
        return decode(data[pos:end]), end

    return decimal


def _date(column: Column) -> Decoder:
    """Year << 9 | month << 5 | day."""
    from_bytes = int.from_bytes

    def date(data: bytes, pos: int) -> tuple[str, int]:
        end = pos + 3
        packed = from_bytes(data[pos:end], "little")
        if packed & 0x1FF >= 13 << 5:
            raise ValueError(f"no month in {packed:#x}")
        return date_text((packed >> 9) * 416 + (packed & 0x1FF)), end

    return date


_FRACTION_UNITS = (1, 10000, 100, 1)
"""Microseconds in a unit of 0, 1, 2 and 3 fraction bytes."""


def _temporal(column: Column) -> Decoder:
    size = _TEMPORAL[column.kind]
    extra = (column.a + 1) // 2
    total, bits, unit = size + extra, 8 * extra, _FRACTION_UNITS[extra]
    mask, from_bytes = (1 << bits) - 1, int.from_bytes
    if column.kind == t.TIMESTAMP:

        def timestamp(data: bytes, pos: int) -> tuple[str, int]:
            end = pos + total
            packed = from_bytes(data[pos:end], "big")
            return timestamp_text(packed >> bits, (packed & mask) * unit), end

        return timestamp
    zero = 1 << (8 * total - 1)
    if column.kind == t.DATETIME:

        def datetime(data: bytes, pos: int) -> tuple[str, int]:
            end = pos + total
            packed = from_bytes(data[pos:end], "big") - zero
            return datetime_text(packed >> bits, (packed & mask) * unit), end

        return datetime

    def time(data: bytes, pos: int) -> tuple[str, int]:
        end = pos + total
        packed = from_bytes(data[pos:end], "big") - zero
        sign, packed = (-1, -packed) if packed < 0 else (1, packed)
        return time_text(sign * ((packed >> bits) << 24 | (packed & mask) * unit)), end

    return time


def _year(column: Column) -> Decoder:
    return lambda data, pos: (data[pos] and data[pos] + 1900, pos + 1)


def _bit(column: Column) -> Decoder:
    size, bits, from_bytes = column.a, column.b, int.from_bytes

    def bit(data: bytes, pos: int) -> tuple[int, int]:
        end = pos + size
        number = from_bytes(data[pos:end], "big")
        if number >> bits:
            raise ValueError(f"{number} in {bits} bits")
        return number, end

    return bit


def _known_labels(column: Column) -> tuple[str, ...]:
    if column.labels is None:
        raise column.unsupported("is logged without labels that can be read", FULL_METADATA)
    return column.labels


def _enum(column: Column) -> Decoder:
    labels = ("", *_known_labels(column))
    size, count, from_bytes = column.a, len(labels), int.from_bytes

    def enum(data: bytes, pos: int) -> tuple[str, int]:
        end = pos + size
        index = from_bytes(data[pos:end], "little")
        if index >= count:
            raise ValueError(f"ENUM index {index} of {count - 1} labels")
        return labels[index], end

    return enum


def _set(column: Column) -> Decoder:
    labels = _known_labels(column)
    size, from_bytes = column.a, int.from_bytes

    def members(data: bytes, pos: int) -> tuple[list[str], int]:
        end = pos + size
        bits = from_bytes(data[pos:end], "little")
        if bits >> len(labels):
            raise ValueError(f"SET value {bits} of {len(labels)} labels")
        return [label for index, label in enumerate(labels) if bits >> index & 1], end

    return members


_MAKERS: dict[int, Callable[[Column], Decoder]] = {
    t.FLOAT: lambda column: single,
    t.DOUBLE: lambda column: double,
    t.DECIMAL: _decimal,
    t.DATE: _date,
    **dict.fromkeys(_TEMPORAL, _temporal),
    **dict.fromkeys(_LATER_TEMPORAL, old_temporal_decoder),
    t.YEAR: _year,
    t.BIT: _bit,
    t.ENUM: _enum,
    t.SET: _set,
}
