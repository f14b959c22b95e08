"""A binlog written by hand, as MySQL or MariaDB would: transactions on shop.items (id) and on a table nobody wants."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from binlog_worker.log import events
from binlog_worker.log.event_bodies import HEADER_SIZE
from binlog_worker.log.events import HEADER, RawEvent

SID = bytes(range(16))
ITEMS, UNWANTED = "items", "unwanted"
_NUMBERS = {ITEMS: 7, UNWANTED: 8}
_NO_CLOCK_UNTIL = 1_700_000_000


class WrittenLog:
    """`files`: name → events, the one that is written last. `flavor` as in `schemas.source.Server`."""

    def __init__(self, flavor: str) -> None:
        self.flavor = flavor
        self.files: dict[str, list[RawEvent]] = {}
        self._transactions = 0
        self._next_file()

    def _next_file(self) -> None:
        self.file, self.position = f"b.{len(self.files) + 1:06d}", 4
        self.files[self.file] = []

    def add(self, kind: int, body: bytes) -> RawEvent:
        size = HEADER_SIZE + len(body)
        end = self.position + size
        header = HEADER.pack(_NO_CLOCK_UNTIL, kind, 1, size, end & 0xFFFFFFFF, 0)
        event = RawEvent(kind, _NO_CLOCK_UNTIL, 1, 0, self.file, self.position, end, header + body)
        self.files[self.file].append(event)
        self.position = end
        return event

    def query(self, sql: str) -> RawEvent:
        return self.add(events.QUERY, struct.pack("<IIBHH", 1, 0, 4, 0, 0) + b"shop\0" + sql.encode())

    def rotate(self) -> None:
        name = f"b.{len(self.files) + 1:06d}"
        self.add(events.ROTATE, (4).to_bytes(8, "little") + name.encode())
        self._next_file()

    def _gtid(self, flags: int, xid: bytes = b"") -> None:
        self._transactions += 1
        if self.flavor == "mysql":
            self.add(events.GTID, b"\1" + SID + self._transactions.to_bytes(8, "little"))
        else:
            self.add(events.MARIADB_GTID, struct.pack("<QIB", self._transactions, 0, flags) + (xid or bytes(6)))

    def rows(self, table: str, ids: Iterable[int]) -> None:
        number = _NUMBERS[table].to_bytes(6, "little")
        name = bytes((len(table),)) + table.encode()
        metadata = b"\1\1\0" + b"\4\3\2id" + b"\x08\1\0"  # signed; the name; the primary key
        self.add(events.TABLE_MAP, number + b"\1\0\4shop\0" + name + b"\0\1\3\0\0" + metadata)
        images = b"".join(b"\xfe" + row.to_bytes(4, "little") for row in ids)
        self.add(events.WRITE_V1, number + b"\1\0\1\xff" + images)

    def ordinary(self, *statements: tuple[str, Iterable[int]]) -> None:
        """A transaction; each statement is a table, and the rows that it inserts."""
        self._gtid(0)
        if self.flavor == "mysql":
            self.query("BEGIN")
        for table, ids in statements:
            self.rows(table, ids)
        self.add(events.XID, bytes(8))

    def prepare(self, name: str, *statements: tuple[str, Iterable[int]], one_phase: bool = False) -> None:
        """XA START to XA PREPARE; MariaDB logs what is committed in one phase as an ordinary transaction."""
        if one_phase and self.flavor == "mariadb":
            self.ordinary(*statements)
            return
        gtrid = name.encode()
        self._gtid(0x40, struct.pack("<IBB", 1, len(gtrid), 0) + gtrid)
        if self.flavor == "mysql":
            self.query(f"XA START {xid(name)}")
        for table, ids in statements:
            self.rows(table, ids)
        self.query(f"XA END {xid(name)}")
        self.add(events.XA_PREPARE, struct.pack("<BIII", one_phase, 1, len(gtrid), 0) + gtrid)

    def end(self, name: str, how: str) -> RawEvent:
        """XA COMMIT or XA ROLLBACK."""
        gtrid = name.encode()
        self._gtid(0x81, struct.pack("<IBB", 1, len(gtrid), 0) + gtrid)
        return self.query(f"XA {how} {xid(name)}")

    def after(self, file: str, position: int) -> list[RawEvent]:
        return [
            event
            for name, written in self.files.items()
            for event in written
            if name > file or (name == file and event.position >= position)
        ]


def xid(name: str) -> str:
    return f"X'{name.encode().hex()}',X'',1"
