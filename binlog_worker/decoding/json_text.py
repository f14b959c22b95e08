"""MySQL's binary JSON → the text the server prints for it, byte for byte.

Layout: MySQL source documentation "JSON binary format" (json_binary.h); printing: Json_wrapper::to_string. A number
without fraction stays distinguishable from an integer ("1.0"), exponents have no plus sign, members are in stored
order.
"""

from __future__ import annotations

import base64
import struct

from binlog_worker.decoding.temporal import date_text, datetime_text, time_text
from schemas.singles import finite

_LITERALS = {0: "null", 1: "true", 2: "false"}
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = 5, 6, 7, 8, 9, 10, 11, 12, 15
_INTEGERS = {
    _INT16: (2, True),
    _UINT16: (2, False),
    _INT32: (4, True),
    _UINT32: (4, False),
    _INT64: (8, True),
    _UINT64: (8, False),
}
_INLINE_SMALL = frozenset((_LITERAL, _INT16, _UINT16))
_INLINE_LARGE = _INLINE_SMALL | {_INT32, _UINT32}
_DECIMAL, _TIMESTAMP, _DATE, _TIME, _DATETIME = 246, 7, 10, 11, 12

_ESCAPES = {chr(code): f"\\u{code:04x}" for code in range(0x20)}
_ESCAPES |= {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
MAX_DEPTH = 100
"""The server's own limit on nesting."""

_LONGEST_LENGTH = 5
"""Bytes of a length in front of a text."""


def json_text(data: bytes) -> str:
    """Text of a JSON column's value (type byte and value; empty stands for the JSON null). Raises ValueError."""
    if not data:
        return "null"
    try:
        return _Document(data).text()
    except (IndexError, struct.error) as error:
        raise ValueError("malformed binary JSON") from error


class _Document:
    """Printed once. No two values share bytes: so nothing is longer than the document, wherever its offsets lead."""

    def __init__(self, data: bytes) -> None:
        self._data, self._left = data, len(data)
        self._out: list[str] = []

    def text(self) -> str:
        self._value(self._data[0], 1, 0)
        return "".join(self._out)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("malformed binary JSON: values overlap")

    def _value(self, kind: int, pos: int, depth: int) -> None:
        data, write = self._data, self._out.append
        if depth > MAX_DEPTH:
            raise ValueError("JSON nested too deeply")
        if kind <= _LARGE_ARRAY:
            self._container(kind, pos, depth)
        elif kind == _LITERAL:
            write(_literal(data[pos]))
        elif kind in _INTEGERS:
            size, signed = _INTEGERS[kind]
            write(str(int.from_bytes(_slice(data, pos, size), "little", signed=signed)))
        elif kind == _DOUBLE:
            write(double_text(finite(struct.unpack_from("<d", data, pos)[0])))
        elif kind == _STRING:
            write(_quoted(self._take(pos).decode("utf-8")))
        elif kind == _OPAQUE:
            write(_opaque(data[pos], self._take(pos + 1)))
        else:
            raise ValueError(f"binary JSON of unknown type {kind}")

    def _container(self, kind: int, start: int, depth: int) -> None:
        """Count, size, then keys (offset, length 2) of an object, then values (type 1, offset or the value itself).
        Offsets count from `start`; counts, sizes and offsets have 2 bytes in a small container, 4 in a large one."""
        data, write, is_object = self._data, self._out.append, kind in (_SMALL_OBJECT, _LARGE_OBJECT)
        width, inline = (4, _INLINE_LARGE) if kind in (_LARGE_OBJECT, _LARGE_ARRAY) else (2, _INLINE_SMALL)
        count = _number(data, start, width)
        keys = start + 2 * width
        values = keys + (count * (width + 2) if is_object else 0)
        self._spend(values + count * (width + 1) - start)
        write("{" if is_object else "[")
        for index in range(count):
            if index:
                write(", ")
            if is_object:
                entry = keys + index * (width + 2)
                size = _number(data, entry + width, 2)
                self._spend(size)
                write(_quoted(_slice(data, start + _number(data, entry, width), size).decode("utf-8")))
                write(": ")
            entry = values + index * (width + 1)
            member = data[entry]
            at = entry + 1 if member in inline else start + _number(data, entry + 1, width)
            self._value(member, at, depth + 1)
        write("}" if is_object else "]")

    def _take(self, pos: int) -> bytes:
        """Bytes behind their length: 7 bits a byte, lowest first, the highest bit says that more follow."""
        size = 0
        for shift in range(0, 7 * _LONGEST_LENGTH, 7):
            byte = self._data[pos]
            pos += 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                self._spend(size)
                return _slice(self._data, pos, size)
        raise ValueError("malformed binary JSON: a length without an end")


def _number(data: bytes, pos: int, width: int) -> int:
    return int.from_bytes(_slice(data, pos, width), "little")


def _slice(data: bytes, pos: int, size: int) -> bytes:
    found = data[pos : pos + size]
    if len(found) != size:
        raise ValueError("malformed binary JSON")
    return found


def _literal(code: int) -> str:
    if code not in _LITERALS:
        raise ValueError(f"binary JSON with unknown literal {code}")
    return _LITERALS[code]


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPE_TABLE)}"'


def double_text(number: float) -> str:
    """As the server's my_gcvt: plain digits while the decimal point falls within 15 digits, else an exponent like
    1e15."""
    sign = "-" if number < 0 or str(number) == "-0.0" else ""
    digits, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = digits.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    significant = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(significant)
    significant = significant.rstrip("0")
    if not significant:
        return f"{sign}0.0"
    if -14 <= point <= 15:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{significant}"
        if len(significant) <= point:
            return f"{sign}{significant}{'0' * (point - len(significant))}.0"
        return f"{sign}{significant[:point]}.{significant[point:]}"
    mantissa = significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "")
    return f"{sign}{mantissa}e{point - 1}"


def _opaque(kind: int, raw: bytes) -> str:
    """A value of an SQL type that JSON lacks: DECIMAL as a number, temporal ones as text, all others in base64."""
    if kind == _DECIMAL:
        from binlog_worker.decoding.decimals import decimal_text

        return decimal_text(raw[2:], raw[0], raw[1])
    if kind in (_DATE, _DATETIME, _TIMESTAMP, _TIME):
        packed = int.from_bytes(_slice(raw, 0, 8), "little", signed=True)
        if kind == _TIME:
            return f'"{time_text(packed)}"'
        text = datetime_text(packed >> 24, packed & 0xFFFFFF)
        return f'"{date_text(packed >> 24 >> 17)}"' if kind == _DATE else f'"{text.replace("T", " ")}"'
    encoded = base64.encodebytes(raw).decode("ascii").rstrip("\n").replace("\n", "\\n")
    return f'"base64:type{kind}:{encoded}"'
