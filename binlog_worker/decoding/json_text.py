"""MySQL's binary JSON → the text the server prints for it, byte for byte.

Layout: MySQL source documentation "JSON binary format" (json_binary.h); printing: Json_wrapper::to_string. A number
without fraction stays distinguishable from an integer ("1.0"), exponents have no plus sign, members are in stored
order.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from binlog_worker.decoding.temporal import date_text, datetime_text, time_text

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


def json_text(data: bytes) -> str:
    """Text of a JSON column's value (type byte and value; empty stands for the JSON null). Raises ValueError."""
    if not data:
        return "null"
    try:
        return "".join(_value(data[0], data, 1, 0))
    except (IndexError, struct.error) as error:
        raise ValueError("malformed binary JSON") from error


def _value(kind: int, data: bytes, pos: int, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError("JSON nested too deeply")
    if kind <= _LARGE_ARRAY:
        yield from _container(kind, data, pos, depth)
    elif kind == _LITERAL:
        yield _literal(data[pos])
    elif kind in _INTEGERS:
        size, signed = _INTEGERS[kind]
        if pos + size > len(data):
            raise ValueError("malformed binary JSON")
        yield str(int.from_bytes(data[pos : pos + size], "little", signed=signed))
    elif kind == _DOUBLE:
        yield double_text(struct.unpack_from("<d", data, pos)[0])
    elif kind == _STRING:
        yield _quoted(_take(data, pos).decode("utf-8"))
    elif kind == _OPAQUE:
        yield _opaque(data[pos], _take(data, pos + 1))
    else:
        raise ValueError(f"binary JSON of unknown type {kind}")


def _container(kind: int, data: bytes, start: int, depth: int) -> Iterator[str]:
    """Count, size, then keys (offset, length 2) of an object, then values (type 1, offset or the value itself). Offsets
    count from `start`; counts, sizes and offsets have 2 bytes in a small container, 4 in a large one."""
    is_object = kind in (_SMALL_OBJECT, _LARGE_OBJECT)
    large = kind in (_LARGE_OBJECT, _LARGE_ARRAY)
    width, inline = (4, _INLINE_LARGE) if large else (2, _INLINE_SMALL)
    count = _number(data, start, width)
    keys = start + 2 * width
    values = keys + (count * (width + 2) if is_object else 0)
    yield "{" if is_object else "["
    for index in range(count):
        if index:
            yield ", "
        if is_object:
            entry = keys + index * (width + 2)
            at = start + _number(data, entry, width)
            size = _number(data, entry + width, 2)
            yield _quoted(_slice(data, at, size).decode("utf-8"))
            yield ": "
        entry = values + index * (width + 1)
        member = data[entry]
        at = entry + 1 if member in inline else start + _number(data, entry + 1, width)
        yield from _value(member, data, at, depth + 1)
    yield "}" if is_object else "]"


def _number(data: bytes, pos: int, width: int) -> int:
    return int.from_bytes(_slice(data, pos, width), "little")


def _slice(data: bytes, pos: int, size: int) -> bytes:
    found = data[pos : pos + size]
    if len(found) != size:
        raise ValueError("malformed binary JSON")
    return found


def _take(data: bytes, pos: int) -> bytes:
    """Bytes behind their length: 7 bits a byte, lowest first, the highest bit says that more follow."""
    size = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return _slice(data, pos, size)


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
