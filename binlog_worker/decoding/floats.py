"""FLOAT, DOUBLE and VECTOR: a single is written as the shortest number that reads back as the same four bytes.

VECTOR is single after single, little-endian (MySQL source documentation «Field_vector»; MariaDB the same). Neither
server stores infinities or NaN, and JSON has none: they are no values.
"""

from __future__ import annotations

import struct

from schemas.singles import finite, shortest_single

_SINGLE, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


def single(data: bytes, pos: int) -> tuple[float, int]:
    return shortest_single(_SINGLE.unpack_from(data, pos)[0]), pos + 4


def double(data: bytes, pos: int) -> tuple[float, int]:
    return finite(_DOUBLE.unpack_from(data, pos)[0]), pos + 8


def vector(raw: bytes) -> list[float]:
    """4n bytes → n numbers. Raises ValueError."""
    if len(raw) % 4:
        raise ValueError(f"a vector of {len(raw)} bytes")
    return [shortest_single(number) for number in struct.unpack(f"<{len(raw) // 4}f", raw)]
