"""Pure parsers of the events that begin a transaction: GTIDs of MySQL, plain, anonymous and tagged, and of MariaDB.

Layouts: MySQL source documentation "Gtid_event", its library mysql::serialization (readme) for tagged ones; MariaDB
knowledge base "GTID_EVENT". `data` is header and body without the checksum.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from binlog_worker.log.event_bodies import HEADER_SIZE, read_lenenc
from binlog_worker.xa.xids import mariadb_prepared_xid
from schemas.errors import UnsupportedEvent

ANONYMOUS_GTID = 34


class Gtid(NamedTuple):
    """MySQL. `text` is uuid:number or uuid:tag:number, empty when anonymous. Times in microseconds, 0: not logged."""

    text: str
    last_committed: int
    sequence_number: int
    original_commit_us: int
    immediate_commit_us: int
    transaction_length: int


class MariadbGtid(NamedTuple):
    """`text` is domain-server-sequence. A standalone group has no terminating COMMIT or XID event. `prepared_xid` is
    that of an XA transaction whose rows follow, before it is known that they are committed; else empty."""

    text: str
    flags: int
    prepared_xid: str = ""

    @property
    def standalone(self) -> bool:
        return bool(self.flags & 1)


@lru_cache(maxsize=256)
def _uuid(sid: bytes) -> str:
    return str(UUID(bytes=sid))


_HEAD = struct.Struct("<16sq")
_CLOCK = struct.Struct("<Bqq")
_HAS_ORIGINAL = 1 << 55


def parse_gtid(data: bytes) -> Gtid:
    """Plain and anonymous, MySQL 5.6 to 9: flags 1, uuid 16, number 8, clock type 1 (always 2), last committed 8,
    sequence number 8, immediate commit 7 (highest bit: original commit 7 follows), transaction length
    (length-encoded)."""
    sid, number = _HEAD.unpack_from(data, HEADER_SIZE + 1)
    text = "" if data[4] == ANONYMOUS_GTID else f"{_uuid(sid)}:{_transaction(number)}"
    pos, end = HEADER_SIZE + 25, len(data)
    if end < pos + 17 or data[pos] != 2:
        return Gtid(text, 0, 0, 0, 0, 0)
    _, last_committed, sequence_number = _CLOCK.unpack_from(data, pos)
    pos += 17
    if end < pos + 7:
        return Gtid(text, last_committed, sequence_number, 0, 0, 0)
    immediate = original = int.from_bytes(data[pos : pos + 7], "little")
    pos += 7
    if immediate & _HAS_ORIGINAL:
        immediate ^= _HAS_ORIGINAL
        original = int.from_bytes(data[pos : pos + 7], "little")
        pos += 7
    length = read_lenenc(data, pos)[0] if pos < end else 0
    return Gtid(text, last_committed, sequence_number, original, immediate, length)


def _varlen(data: bytes, pos: int) -> tuple[int, int]:
    """Unsigned integer: as many one bits at the low end of its first byte as further bytes follow."""
    first, extra = data[pos], 0
    while extra < 8 and first >> extra & 1:
        extra += 1
    raw = data[pos : pos + extra + 1]
    if len(raw) != extra + 1:
        raise ValueError("number cut off")
    shift = extra + 1 if extra < 8 else 8
    return int.from_bytes(raw, "little") >> shift, pos + extra + 1


def _transaction(number: int) -> int:
    """Raises ValueError where no transaction has such a number."""
    if not 0 < number < 1 << 63:
        raise ValueError(f"transaction number {number}")
    return number


_NAME = re.compile("[a-z_][a-z0-9_]{0,31}")
"""Of a tag: MySQL manual "GTID Format and Storage"."""

_SID, _TAG, _SIGNED, _LAST = 1, 3, (2, 4, 5), 11
_NUMBER, _COMMITTED, _SEQUENCE, _IMMEDIATE, _ORIGINAL, _LENGTH = 2, 4, 5, 6, 7, 8


def parse_gtid_tagged(data: bytes) -> Gtid:
    """MySQL 8.3 and later: version, size, last field that may not be ignored, then (field, value) in ascending order.

    Signed numbers keep their sign in the lowest bit. The uuid is sixteen such numbers; a field left out has its
    default.
    """
    version, pos = _varlen(data, HEADER_SIZE)
    _, pos = _varlen(data, pos)
    mandatory, pos = _varlen(data, pos)
    if version != 1:
        raise UnsupportedEvent(f"GTID_TAGGED of serialization version {version}")
    sid, tag = bytearray(), ""
    fields: dict[int, int] = {}
    while pos < len(data):
        field, pos = _varlen(data, pos)
        if field == _SID:
            for _ in range(16):
                byte, pos = _varlen(data, pos)
                sid.append(byte)
        elif field == _TAG:
            size, pos = _varlen(data, pos)
            tag = data[pos : pos + size].decode("ascii")
            if tag and not _NAME.fullmatch(tag):
                raise ValueError(f"tag {tag!r}")
            pos += size
        elif field <= _LAST:
            value, pos = _varlen(data, pos)
            fields[field] = (value >> 1) ^ -(value & 1) if field in _SIGNED else value
        elif field < mandatory:
            raise UnsupportedEvent(f"GTID_TAGGED with unknown field {field}")
        else:
            break
    uuid, number, immediate = _uuid(bytes(sid)), _transaction(fields[_NUMBER]), fields.get(_IMMEDIATE, 0)
    if immediate >= _HAS_ORIGINAL:
        raise ValueError(f"committed at {immediate}")
    return Gtid(
        f"{uuid}:{tag}:{number}" if tag else f"{uuid}:{number}",
        fields.get(_COMMITTED, 0),
        fields.get(_SEQUENCE, 0),
        fields.get(_ORIGINAL, immediate),
        immediate,
        fields.get(_LENGTH, 0),
    )


_MARIADB = struct.Struct("<QIB")


def parse_mariadb_gtid(data: bytes) -> MariadbGtid:
    """Body: sequence 8, domain 4, flags 1, then an xid in places (see `xids`)."""
    sequence, domain, flags = _MARIADB.unpack_from(data, HEADER_SIZE)
    text = f"{domain}-{int.from_bytes(data[5:9], 'little')}-{sequence}"
    return MariadbGtid(text, flags, mariadb_prepared_xid(data, flags))
