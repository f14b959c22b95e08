"""Raw events of transactions that are not committed yet: in memory up to a budget that all share, then in temporary
files without a name. What neither takes is forgotten: the server's log still has it."""

from __future__ import annotations

import logging
import struct
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from binlog_worker.log.events import RawEvent

log = logging.getLogger(__name__)

BUDGET_BYTES = 8_000_000
MOST_FILES = 64
_EVENT_BYTES = 300
"""What an event takes in memory besides its data."""

_RECORD = struct.Struct("<BIIHQQI")
"""kind, timestamp, server_id, flags, position, first row, bytes of the data that follows."""


class Spool:
    """Keeps kind, timestamp, server_id, flags, position, first row and data of each event, in order, per key."""

    def __init__(self, budget: int = BUDGET_BYTES, most_files: int = MOST_FILES) -> None:
        self._budget, self._most_files = budget, most_files
        self._memory: dict[str, list[RawEvent]] = {}
        self._sizes: dict[str, int] = {}
        self._used = 0
        self._files: dict[str, BinaryIO] = {}

    def begin(self, key: str) -> None:
        """What was kept under the key is dropped."""
        self.drop(key)
        self._memory[key], self._sizes[key] = [], 0

    def add(self, key: str, event: RawEvent) -> None:
        file = self._files.get(key)
        if file is not None:
            try:
                _write(file, event)
            except OSError as error:
                self._forget(key, str(error))
            return
        events = self._memory.get(key)
        if events is None:
            return
        events.append(event)
        size = len(event.data) + _EVENT_BYTES
        self._sizes[key] += size
        self._used += size
        if self._used > self._budget:
            self._make_room()

    def read(self, key: str) -> Iterator[RawEvent] | None:
        """All events of a key, file empty and end 0; None where they are not here. One reader at a time."""
        file = self._files.get(key)
        if file is not None:
            return _events(file)
        events = self._memory.get(key)
        return None if events is None else iter(events)

    def drop(self, key: str) -> None:
        self._memory.pop(key, None)
        self._used -= self._sizes.pop(key, 0)
        file = self._files.pop(key, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        for key in [*self._memory, *self._files]:
            self.drop(key)

    def _make_room(self) -> None:
        """The largest leave memory, until a quarter of it is free."""
        for key in sorted(self._sizes, key=lambda key: self._sizes[key], reverse=True):
            if self._used <= self._budget * 3 // 4:
                return
            self._spill(key)

    def _spill(self, key: str) -> None:
        if len(self._files) >= self._most_files:
            self._forget(key, f"{self._most_files} are in files already")
            return
        events = self._memory[key]
        try:
            file = self._files[key] = tempfile.TemporaryFile(prefix="ltv-prepared-")  # noqa: SIM115 - `drop` closes it
            for event in events:
                _write(file, event)
        except OSError as error:
            self._forget(key, str(error))
        else:
            self._used -= self._sizes.pop(key)
            del self._memory[key]

    def _forget(self, key: str, why: str) -> None:
        self.drop(key)
        log.warning(
            "rows of a prepared transaction are not kept, they will be read again", extra={"xid": key, "why": why}
        )


def _write(file: BinaryIO, event: RawEvent) -> None:
    head = _RECORD.pack(
        event.kind, event.timestamp, event.server_id, event.flags, event.position, event.first_row, len(event.data)
    )
    file.write(head)
    file.write(event.data)


def _events(file: BinaryIO) -> Iterator[RawEvent]:
    file.seek(0)
    while head := file.read(_RECORD.size):
        kind, timestamp, server_id, flags, position, first_row, size = _RECORD.unpack(head)
        yield RawEvent(kind, timestamp, server_id, flags, "", position, 0, file.read(size), first_row)
