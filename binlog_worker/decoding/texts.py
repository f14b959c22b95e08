"""Decoders of values that stand behind their length: text, bytes, JSON, geometry, vectors, addresses.

A CHAR comes without its trailing spaces, as in SELECT; a BINARY(n) comes without its trailing zero bytes, which are
part of it. The length has as many bytes as the longest value needs, also where that value is a compressed one.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from typing import Any

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.charsets import BINARY, is_utf8, text_decoder
from binlog_worker.decoding.column_compression import decompressed
from binlog_worker.decoding.floats import vector
from binlog_worker.decoding.json_text import json_text
from binlog_worker.decoding.network_addresses import inet4_text, inet6_text, uuid_text, whole
from binlog_worker.decoding.table_map import Column
from schemas.errors import UnsupportedColumn

Decoder = Callable[[bytes, int], tuple[Any, int]]
"""(event, position of a value) → the value, the position behind it."""

FULL_METADATA = "set binlog_row_metadata=FULL on the server; it holds for new connections and for new changes only"

_SHORT = frozenset((t.VARCHAR, t.STRING, t.COMPRESSED_VARCHAR, t.UUID, t.INET4, t.INET6, t.MARIADB_VECTOR, t.LOOKALIKE))
_LONG = frozenset((t.BLOB, t.JSON, t.GEOMETRY, t.VECTOR, t.COMPRESSED_BLOB))
_COMPRESSED = frozenset((t.COMPRESSED_VARCHAR, t.COMPRESSED_BLOB))
TEXTS = _COMPRESSED | {t.VARCHAR, t.STRING, t.BLOB}


def length_size(column: Column) -> int | None:
    """Bytes of the length in front of a value; None where there is none."""
    if column.kind in _SHORT:
        return 1 if column.a < 256 else 2
    return column.a if column.kind in _LONG else None


def converted(column: Column) -> Decoder:
    """The decoder of a column of `CONVERSIONS`."""
    return _behind_length(column, CONVERSIONS[column.kind])


def text(column: Column) -> Decoder:
    """CHAR, VARCHAR, TEXT and their binary and compressed forms. Raises UnsupportedColumn."""
    collation = column.collation
    if collation is None:
        raise column.unsupported("is logged without its character set", FULL_METADATA)
    if collation == BINARY:
        width = column.a if column.kind == t.STRING else None
        convert = base64_text if width is None else lambda raw: base64_text(whole(raw, width))
    elif is_utf8(collation) and column.kind not in _COMPRESSED:
        return _utf8(column)
    else:
        try:
            convert = text_decoder(collation)
        except UnsupportedColumn as error:
            raise column.unsupported(f"has a {error.message}", error.hint) from error
    if column.kind in _COMPRESSED:
        return _behind_length(column, lambda raw: convert(decompressed(raw)))
    return _behind_length(column, convert)


def base64_text(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


def wkb_text(raw: bytes) -> str:
    """The server's form is SRID 4, then WKB; of an empty value, which MariaDB has in columns that are not NULL, it is
    nothing."""
    if raw and len(raw) < 4 + 5:
        raise ValueError("geometry too short")
    return base64_text(raw[4:])


CONVERSIONS: dict[int, Callable[[bytes], Any]] = {
    t.JSON: json_text,
    t.GEOMETRY: wkb_text,
    t.VECTOR: vector,
    t.MARIADB_VECTOR: vector,
    t.UUID: uuid_text,
    t.INET4: inet4_text,
    t.INET6: inet6_text,
}


def _behind_length(column: Column, convert: Callable[[bytes], Any]) -> Decoder:
    prefix, from_bytes = length_size(column), int.from_bytes
    assert prefix is not None

    def behind_length(data: bytes, pos: int) -> tuple[Any, int]:
        start = pos + prefix
        end = start + from_bytes(data[pos:start], "little")
        return convert(data[start:end]), end

    return behind_length


def _utf8(column: Column) -> Decoder:
    prefix, from_bytes = length_size(column), int.from_bytes
    assert prefix is not None
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
