"""Values of MariaDB's COMPRESSED columns → the bytes that were stored (MariaDB source, `field_comp.cc`).

An empty value is empty. Else the first byte says how: zero, and the bytes follow as they are; or a method (the upper
four bits; 8, zlib, is the only one), whether the stream lacks zlib's own frame (bit 3) and how many bytes (bits 0 to
2) hold the original length, big-endian, before the stream.
"""

from __future__ import annotations

import zlib

_PLAIN, _ZLIB = 0, 8


def decompressed(raw: bytes) -> bytes:
    """Raises ValueError, also where the length is not the one announced."""
    if not raw:
        return raw
    head = raw[0]
    if head == _PLAIN:
        return raw[1:]
    if head >> 4 != _ZLIB:
        raise ValueError(f"compressed by the unknown method {head >> 4}")
    start = 1 + (head & 7)
    size = int.from_bytes(raw[1:start], "big")
    stream = zlib.decompressobj(-zlib.MAX_WBITS if head & 8 else zlib.MAX_WBITS)
    try:
        found = stream.decompress(raw[start:], size + 1)
    except zlib.error as error:
        raise ValueError(f"cannot be decompressed: {error}") from error
    if len(found) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"does not decompress to {size} bytes")
    return found
