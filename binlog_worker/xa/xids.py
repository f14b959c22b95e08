"""XA transactions as the log names them: in statements, in XA_PREPARE events and in MariaDB's GTID events. Pure.

Layouts: MySQL source documentation "XA_prepare_event"; MariaDB knowledge base "XA_PREPARE_LOG_EVENT" and "GTID_EVENT".
An xid's text is that of the servers' own statements, `X'gtrid',X'bqual',formatID`, so that it can be given to
`XA ROLLBACK` as it is.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from binlog_worker.log.event_bodies import HEADER_SIZE

_LONGEST = 64
"""Bytes of gtrid and of bqual."""

_STATEMENT = re.compile(
    r"XA (START|END|COMMIT|ROLLBACK) (X'(?:[0-9a-f]{2})*',X'(?:[0-9a-f]{2})*',[0-9]{1,20})( ONE PHASE)?"
)
_PREPARE = struct.Struct("<BIII")
_PREPARED_XA, _GROUP_COMMIT = 64, 2


class XaStatement(NamedTuple):
    """`verb` is START, END, COMMIT or ROLLBACK."""

    verb: str
    xid: str


class XaPrepare(NamedTuple):
    """The end of a transaction that is prepared; with `one_phase` it is committed by the same event."""

    xid: str
    one_phase: bool


def xid_text(format_id: int, gtrid: bytes, bqual: bytes) -> str:
    return f"X'{gtrid.hex()}',X'{bqual.hex()}',{format_id}"


def parse_xa_statement(sql: str) -> XaStatement | None:
    """None where it is not in the one form that servers write."""
    match = _STATEMENT.fullmatch(sql)
    return None if match is None else XaStatement(match[1], match[2])


def parse_xa_prepare(data: bytes) -> XaPrepare:
    """Body: one phase 1, formatID 4, length of gtrid 4, of bqual 4, both. Raises ValueError or struct.error."""
    one_phase, format_id, gtrid, bqual = _PREPARE.unpack_from(data, HEADER_SIZE)
    return XaPrepare(_xid(data, HEADER_SIZE + _PREPARE.size, format_id, gtrid, bqual), bool(one_phase))


def mariadb_prepared_xid(data: bytes, flags: int) -> str:
    """Of a MARIADB_GTID event that begins a transaction to be prepared; empty where it begins another one.

    Behind its flags stand the number of a group commit (8 bytes), if it has the flag for it, then formatID 4, lengths
    of gtrid and bqual 1 each, both. Raises ValueError or IndexError.
    """
    if not flags & _PREPARED_XA:
        return ""
    pos = HEADER_SIZE + 13 + (8 if flags & _GROUP_COMMIT else 0)
    return _xid(data, pos + 6, int.from_bytes(data[pos : pos + 4], "little"), data[pos + 4], data[pos + 5])


def _xid(data: bytes, pos: int, format_id: int, gtrid: int, bqual: int) -> str:
    if gtrid > _LONGEST or bqual > _LONGEST or pos + gtrid + bqual > len(data):
        raise ValueError(f"an xid of {gtrid} and {bqual} bytes")
    return xid_text(format_id, data[pos : pos + gtrid], data[pos + gtrid : pos + gtrid + bqual])
