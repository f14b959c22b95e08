"""MariaDB's UUID, INET4 and INET6 → the text that SELECT prints.

In the binlog they are bytes of fixed length in the order of their text, without trailing zero bytes (MariaDB source,
`sql_type_fixedbin.h`: `pack`).
"""

from __future__ import annotations

import struct

_GROUPS = struct.Struct(">8H")


def uuid_text(raw: bytes) -> str:
    """At most 16 bytes. Raises ValueError."""
    digits = whole(raw, 16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def inet4_text(raw: bytes) -> str:
    """At most 4 bytes. Raises ValueError."""
    return ".".join(map(str, whole(raw, 4)))


def inet6_text(raw: bytes) -> str:
    """At most 16 bytes. Raises ValueError.

    `::` stands for the first of the longest runs of zero groups, be it a single one (RFC 5952 wants two); what begins
    with six zero groups, or five and ffff, ends like an IPv4 address.
    """
    raw = whole(raw, 16)
    groups = _GROUPS.unpack(raw)
    start = length = run = 0
    for index, group in enumerate(groups):
        run = 0 if group else run + 1
        if run > length:
            start, length = index - run + 1, run
    if not start and (length == 6 or (length == 5 and groups[5] == 0xFFFF)):
        return f"{'::' if length == 6 else '::ffff:'}{inet4_text(raw[12:])}"
    texts = [f"{group:x}" for group in groups]
    if not length:
        return ":".join(texts)
    return f"{':'.join(texts[:start])}::{':'.join(texts[start + length :])}"


def whole(raw: bytes, size: int) -> bytes:
    """With the zero bytes at its end that the binlog leaves out. Raises ValueError."""
    if len(raw) > size:
        raise ValueError(f"{len(raw)} bytes instead of {size}")
    return raw.ljust(size, b"\0")
