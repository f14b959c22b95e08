"""The server's answer to a query, packet by packet: what stands before the rows, the rows as they come, and its end.

Layouts: MySQL source documentation «Text Resultset», «OK_Packet», «ERR_Packet», «EOF_Packet»; MariaDB the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from pipeline.batch.binary_arrays import Places
from pipeline.batch.packets import HEADER, LONGEST, Rows, WrongNumber, joined_rows, packet_places
from schemas.errors import LtvError, SourceRefused, SourceUnavailable

BUFFER_BYTES = 4 * 1024 * 1024
"""So much is received before it is split. A row that has more makes the buffer grow for a while."""

_LONGEST_END = 1024
"""Bytes at most of the packet that ends a result: its text has 512."""
_EOF, _ERR = 0xFE, 0xFF
_EOF_BYTES = 9
"""An EOF packet has less; a row that begins with this byte has a value of 16 MB or more."""
_MORE_RESULTS = 0x08


class Stream(Protocol):
    """See `schemas.result_stream.ResultStream`."""

    ends_with_ok: bool

    def receive_into(self, room: memoryview) -> int: ...
    def refusal(self, packet: bytes) -> LtvError: ...
    def finish(self) -> None: ...


def malformed(what: str) -> SourceUnavailable:
    return SourceUnavailable(f"the server's answer is malformed: {what}", hint="something between us and it broke it")


class Answer:
    """First `columns`, then `rows`, both once. The buffer is used again and again."""

    def __init__(self, stream: Stream, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._stream = stream
        self._size = buffer_bytes
        self._buffer = bytearray(buffer_bytes)
        self._used = self._have = 0
        self._number = 1

    @property
    def buffer_size(self) -> int:
        return len(self._buffer)

    def columns(self) -> int:
        """The number of columns; passes over their definitions. Raises what an ERR packet says."""
        count, size = _length(self._packet())
        if not count or size:
            self._stream.finish()
            raise SourceRefused("a query has no result")
        for _ in range(count):
            self._packet()
        if not self._stream.ends_with_ok and self._packet()[:1] != bytes((_EOF,)):
            raise malformed("no end of the column definitions")
        return count

    def rows(self) -> Iterator[Rows]:
        """Those that have come, until all have. They are good until the next are asked for."""
        wait, ended = not self._may_end(), False
        while not ended:
            if wait:
                self._fill()
            wait = True
            data = np.frombuffer(self._buffer, np.uint8)[self._used : self._have]
            places = packet_places(data, len(data))
            ended = self._ends(places)
            if ended:
                places = places[:-1]
            try:
                rows, packets, behind = joined_rows(data, places, self._number)
            except WrongNumber as error:
                raise malformed(str(error)) from error
            self._used += behind
            self._number = self._number + packets & 0xFF
            if len(rows.starts):
                yield rows

    def _ends(self, places: Places) -> bool:
        """Whether the last packet is not one of a row. Raises what an ERR packet says."""
        if len(places) < 2 or (len(places) > 2 and places[-2] - places[-3] == HEADER + LONGEST):
            return False
        packet = bytes(self._buffer[self._used + int(places[-2]) + HEADER : self._used + int(places[-1])])
        if packet[:1] == bytes((_ERR,)):
            raise self._stream.refusal(packet)
        if packet[:1] != bytes((_EOF,)) or len(packet) >= (LONGEST if self._stream.ends_with_ok else _EOF_BYTES):
            return False
        if self._used + int(places[-1]) != self._have or _status(packet, self._stream.ends_with_ok) & _MORE_RESULTS:
            raise malformed("more than one result")
        self._stream.finish()
        return True

    def _may_end(self) -> bool:
        """Whether what was received ends like an answer. If not, it goes on; if so, the packets have to be split."""
        last = self._buffer[max(self._used, self._have - _LONGEST_END) : self._have]
        for mark in (_EOF, _ERR):
            at = last.rfind(mark)
            while at >= HEADER:
                if int.from_bytes(last[at - 4 : at - 1], "little") == len(last) - at:
                    return True
                at = last.rfind(mark, 0, at)
        return False

    def _packet(self) -> bytes:
        """The payload of the next one, which is no row. Raises what an ERR packet says."""
        while True:
            have = self._have - self._used
            size = int.from_bytes(self._buffer[self._used : self._used + 3], "little") if have >= HEADER else 0
            if have >= HEADER + max(1, size):
                break
            self._make_room()
            self._receive()
        start = self._used + HEADER
        packet = bytes(self._buffer[start : start + size])
        if packet[:1] == bytes((_ERR,)):
            raise self._stream.refusal(packet)
        if self._buffer[start - 1] != self._number:
            raise malformed(f"packet {self._buffer[start - 1]} instead of {self._number}")
        self._number, self._used = self._number + 1 & 0xFF, start + size
        return packet

    def _fill(self) -> None:
        """Receives until the buffer is full, or the answer may have ended; at least something."""
        self._make_room()
        self._receive()
        while self._have < len(self._buffer) and not self._may_end():
            self._receive()

    def _make_room(self) -> None:
        left = self._have - self._used
        size = len(self._buffer)
        if self._used or left == size:
            if left > size // 2:
                size *= 2
            elif left < self._size // 2:
                size = self._size
            kept = memoryview(self._buffer)[self._used : self._have]
            buffer = self._buffer if size == len(self._buffer) else bytearray(size)
            buffer[:left] = kept
            self._buffer, self._used, self._have = buffer, 0, left

    def _receive(self) -> None:
        self._have += self._stream.receive_into(memoryview(self._buffer)[self._have :])


def _length(data: bytes) -> tuple[int, int]:
    """A length-encoded number of up to three bytes, and how many bytes follow it; 0 where it is none."""
    if data[0] < 0xFB:
        return data[0], len(data) - 1
    return (int.from_bytes(data[1:3], "little"), len(data) - 3) if data[0] == 0xFC else (0, 0)


def _status(packet: bytes, is_ok: bool) -> int:
    """The server's status flags in an EOF or OK packet: behind the warnings, or behind two length-encoded numbers."""
    at = 3
    if is_ok:
        at = 1
        for _ in range(2):
            at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[at], 1)
    return int.from_bytes(packet[at : at + 2], "little")
