"""One decoder per column: `(data, pos) -> (value, position behind it)`, compiled from the column's type.

Layouts: MySQL source documentation "Table_map_event", table of types; what a value becomes: `schemas/types.md`. A
value cut off by the end of the event is not noticed here but by whoever compares the final position with it. Bytes
that are no value of their column raise ValueError; nothing is ever replaced.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable
from typing import Any

from binlog_worker import table_map as t
from binlog_worker.charsets import BINARY, is_utf8, text_decoder
from binlog_worker.decimals import decimal_decoder, decimal_size
from binlog_worker.json_text import json_text
from binlog_worker.table_map import Column
from binlog_worker.temporal import date_text, datetime_text, time_text, timestamp_text
from schemas.errors import UnsupportedColumn

Decoder = Callable[[bytes, int], tuple[Any, int]]

FULL_METADATA = "set binlog_row_metadata=FULL on the server; it holds for new connections and for new changes only"

_INTEGERS = {t.TINY: 1, t.SHORT: 2, t.INT24: 3, t.LONG: 4, t.BIGINT: 8}
_STRUCTS = {1: "b", 2: "h", 4: "i", 8: "q"}
_FIXED = {**_INTEGERS, t.FLOAT: 4, t.DOUBLE: 8, t.DATE: 3, t.YEAR: 1}
_TEMPORAL = {t.TIME: 3, t.DATETIME: 5, t.TIMESTAMP: 4}
_OLD_TEMPORAL = frozenset((t.OLD_TIME, t.OLD_DATETIME, t.OLD_TIMESTAMP))
_STRINGS = frozenset((t.VARCHAR, t.STRING, t.COMPRESSED_VARCHAR))
_LONG_STRINGS = frozenset((t.BLOB, t.JSON, t.GEOMETRY, t.VECTOR, t.COMPRESSED_BLOB))
_REFUSED = {
    t.VECTOR: "VECTOR",
    t.COMPRESSED_VARCHAR: "VARCHAR COMPRESSED",
    t.COMPRESSED_BLOB: "BLOB or TEXT COMPRESSED",
    t.OLD_TIME: "TIME in the format of before MySQL 5.6",
    t.OLD_DATETIME: "DATETIME in the format of before MySQL 5.6",
    t.OLD_TIMESTAMP: "TIMESTAMP in the format of before MySQL 5.6",
}


def value_decoder(column: Column) -> Decoder:
    """Raises UnsupportedColumn, naming the column, where its values cannot be decoded exactly."""
    kind = column.kind
    if kind in _REFUSED:
        raise _unsupported(column, f"is a {_REFUSED[kind]}")
    if kind in _INTEGERS:
        return _integer(column, _INTEGERS[kind])
    if kind in _STRINGS or kind == t.BLOB:
        return _text(column)
    maker = _MAKERS.get(kind)
    if maker is None:
        raise _unsupported(column, f"has the unknown type {kind}")
    try:
        return maker(column)
    except ValueError as error:
        raise _unsupported(column, f"cannot be decoded: {error}") from error


def value_size(column: Column) -> int | None:
    """Bytes of every value that is not NULL, or None where values differ in length."""
    kind = column.kind
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _TEMPORAL:
        return _TEMPORAL[kind] + (column.a + 1) // 2
    if kind == t.DECIMAL:
        return decimal_size(column.a, column.b)
    return column.a if kind in (t.BIT, t.ENUM, t.SET) else None


def value_skipper(column: Column) -> Decoder:
    """A decoder that yields None and reads no more than the length. Raises UnsupportedColumn where that is not
    known."""
    size = value_size(column)
    if size is not None:
        return skip_bytes(size)
    prefix = _prefix(column)
    if prefix is None:
        hint = "ALTER TABLE … FORCE writes the table in today's format" if column.kind in _OLD_TEMPORAL else None
        raise _unsupported(column, "has a type whose length in the binlog is not known", hint)
    from_bytes = int.from_bytes

    def skip(data: bytes, pos: int) -> tuple[None, int]:
        start = pos + prefix
        return None, start + from_bytes(data[pos:start], "little")

    return skip


def skip_bytes(size: int) -> Decoder:
    def skip(data: bytes, pos: int) -> tuple[None, int]:
        return None, pos + size

    return skip


def _prefix(column: Column) -> int | None:
    """Bytes of the length in front of a value."""
    if column.kind in _STRINGS:
        return 1 if column.a < 256 else 2
    return column.a if column.kind in _LONG_STRINGS else None


def _unsupported(column: Column, why: str, hint: str | None = None) -> UnsupportedColumn:
    return UnsupportedColumn(f"column {column.name} {why}", hint=hint or "exclude the column in shop.yaml")


def _integer(column: Column, size: int) -> Decoder:
    if column.unsigned is None:
        raise _unsupported(column, "is logged without its sign", FULL_METADATA)
    if size == 3:
        signed, from_bytes = not column.unsigned, int.from_bytes
        return lambda data, pos: (from_bytes(data[pos : pos + 3], "little", signed=signed), pos + 3)
    code = _STRUCTS[size]
    unpack = struct.Struct("<" + (code.upper() if column.unsigned else code)).unpack_from

    def integer(data: bytes, pos: int) -> tuple[int, int]:
        return unpack(data, pos)[0], pos + size

    return integer


_SINGLE, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


def shortest_single(number: float) -> float:
    """The double whose text is the shortest that reads back as the same 4-byte float."""
    for digits in (6, 7, 8):
        candidate = float(f"{number:.{digits}g}")
        if abs(candidate) < 3.4028235e38 and _SINGLE.unpack(_SINGLE.pack(candidate))[0] == number:
            return candidate
    return float(f"{number:.9g}")


def _float(column: Column) -> Decoder:
    unpack = _SINGLE.unpack_from
    return lambda data, pos: (shortest_single(unpack(data, pos)[0]), pos + 4)


def _double(column: Column) -> Decoder:
    unpack = _DOUBLE.unpack_from
    return lambda data, pos: (unpack(data, pos)[0], pos + 8)


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
    size, from_bytes = column.a, int.from_bytes
    return lambda data, pos: (from_bytes(data[pos : pos + size], "big"), pos + size)


def _known_labels(column: Column) -> tuple[str, ...]:
    if column.labels is None:
        raise _unsupported(column, "is logged without labels that can be read", FULL_METADATA)
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


def _text(column: Column) -> Decoder:
    """CHAR, VARCHAR, TEXT and their binary forms. A CHAR comes without its trailing spaces, as in SELECT; a BINARY(n)
    comes without its trailing zero bytes, which are part of it."""
    collation, prefix = column.collation, _prefix(column)
    assert prefix is not None
    if collation is None:
        raise _unsupported(column, "is logged without its character set", FULL_METADATA)
    if collation == BINARY:
        return _binary(prefix, column.a if column.kind == t.STRING else 0)
    from_bytes = int.from_bytes
    if is_utf8(collation):
        if prefix == 1:

            def short_utf8(data: bytes, pos: int) -> tuple[str, int]:
                start = pos + 1
                end = start + data[pos]
                return data[start:end].decode(), end

            return short_utf8

        def utf8(data: bytes, pos: int) -> tuple[str, int]:
            start = pos + prefix
            end = start + from_bytes(data[pos:start], "little")
            return data[start:end].decode(), end

        return utf8
    try:
        decode = text_decoder(collation)
    except UnsupportedColumn as error:
        raise _unsupported(column, f"has a {error.message}", error.hint) from error

    def text(data: bytes, pos: int) -> tuple[str, int]:
        start = pos + prefix
        end = start + from_bytes(data[pos:start], "little")
        return decode(data[start:end]), end

    return text


def _binary(prefix: int, width: int) -> Decoder:
    from_bytes = int.from_bytes

    def binary(data: bytes, pos: int) -> tuple[str, int]:
        start = pos + prefix
        end = start + from_bytes(data[pos:start], "little")
        return b2a_base64(data[start:end].ljust(width, b"\0"), newline=False).decode("ascii"), end

    return binary


def _long(column: Column, convert: Callable[[bytes], str]) -> Decoder:
    prefix, from_bytes = column.a, int.from_bytes

    def long(data: bytes, pos: int) -> tuple[str, int]:
        start = pos + prefix
        end = start + from_bytes(data[pos:start], "little")
        return convert(data[start:end]), end

    return long


def _wkb(raw: bytes) -> str:
    """The server's form is SRID 4, then WKB."""
    if len(raw) < 4 + 5:
        raise ValueError("geometry too short")
    return b64encode(raw[4:]).decode("ascii")


_MAKERS: dict[int, Callable[[Column], Decoder]] = {
    t.FLOAT: _float,
    t.DOUBLE: _double,
    t.DECIMAL: _decimal,
    t.DATE: _date,
    **dict.fromkeys((t.TIME, t.DATETIME, t.TIMESTAMP), _temporal),
    t.YEAR: _year,
    t.BIT: _bit,
    t.ENUM: _enum,
    t.SET: _set,
    t.JSON: lambda column: _long(column, json_text),
    t.GEOMETRY: lambda column: _long(column, _wkb),
}
