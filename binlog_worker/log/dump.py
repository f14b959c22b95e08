"""The dump connection: asks a server for its binlog from a position on and splits the stream into `RawEvent`s.

Protocol: MySQL source documentation "Replication Protocol" (COM_REGISTER_SLAVE, COM_BINLOG_DUMP) and "Packets"; MariaDB
knowledge base "Replication Protocol". The socket is read in large pieces and packets are cut out in place.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pymysql

from binlog_worker.log.dump_errors import START_HINT, dump_error
from binlog_worker.log.event_bodies import HEADER_SIZE, FormatDescription, Rotate
from binlog_worker.log.events import (
    FLAG_ARTIFICIAL,
    FORMAT_DESCRIPTION,
    HEARTBEAT,
    HEARTBEAT_V2,
    ROTATE,
    START_ENCRYPTION,
    TRANSACTION_PAYLOAD,
    RawEvent,
    parse,
)
from binlog_worker.log.packets import Spill, SpilledEvent
from schemas.errors import BadPosition, CorruptBinlog, HalfOpenConnection, LtvError, SourceRefused, SourceUnavailable

RECEIVE_BYTES = 256 * 1024
NET_WRITE_TIMEOUT_S = 600
"""So long the server waits for us to read on, as while the sink is slow; then it ends the dump, and we ask again."""
MAX_PACKET = 0xFFFFFF
MAX_DUMP_POSITION = 0xFFFFFFFF
CRC_RESIDUE = 0x2144DF1C
"""CRC32 over any bytes followed by their own little-endian CRC32."""

UNREGISTERED = 0
"""The server_id of a reader that the server does not list, and for which it throws out no other."""

_COM_BINLOG_DUMP, _COM_REGISTER_SLAVE = 0x12, 0x15
_SEND_ANNOTATE_ROWS = 0x02
_NOT_IN_FILE = frozenset((HEARTBEAT, HEARTBEAT_V2))
_AT_FILE_START = frozenset((ROTATE, FORMAT_DESCRIPTION, START_ENCRYPTION))
_PACKET = struct.Struct("<IBIBIIIH")
"""Length 3 and sequence 1, status 1, then the event header."""

Connect = Callable[[], Any]
"""Makes a logged-in pymysql Connection. `Any`, because the protocol below queries is not in its public types."""


class Dump:
    """Iterates the events of one server from (file, position) on, for ever; an error or `close()` ends it.

    `position` must be the start of an event, best of a transaction: rows are not decoded without their TABLE_MAP.
    Events that are not in the file (heartbeats, the FORMAT_DESCRIPTION and ROTATE sent first) come too. Iterate it
    once. Times are seconds: nothing for `read_timeout` raises HalfOpenConnection, so `heartbeat` must be well below it.
    """

    def __init__(
        self,
        connect: Connect,
        server_id: int,
        file: str,
        position: int,
        *,
        heartbeat: float = 10.0,
        read_timeout: float = 30.0,
    ) -> None:
        self.file = file
        self.position = position
        self._target = position
        self._first = (file, position if position <= MAX_DUMP_POSITION else 4)
        self._read_timeout = read_timeout
        self._closed = False
        self._buffer = b""
        self._used = 0
        self._checksum: bool | None = None
        self._connection: Any = connect()
        try:
            self._socket = self._start(server_id, heartbeat)
        except BaseException:
            self._connection._force_close()
            raise

    def _start(self, server_id: int, heartbeat: float) -> socket.socket:
        connection = self._connection
        mariadb = "mariadb" in str(connection.get_server_info()).lower()
        nanoseconds = int(heartbeat * 1e9)
        settings = [
            "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32'",
            f"SET @master_heartbeat_period={nanoseconds}, @source_heartbeat_period={nanoseconds}",
            f"SET SESSION net_write_timeout={NET_WRITE_TIMEOUT_S}",
        ]
        if mariadb:
            settings.append("SET @mariadb_slave_capability=4")
        flags = _SEND_ANNOTATE_ROWS if mariadb else 0
        register = struct.pack("<IBBBHII", server_id, 0, 0, 0, 0, 0, 0)
        try:
            with connection.cursor() as cursor:
                for setting in settings:
                    cursor.execute(setting)
            if server_id != UNREGISTERED:
                connection._execute_command(_COM_REGISTER_SLAVE, register)
                connection._read_ok_packet()
            request = struct.pack("<IHI", self._first[1], flags, server_id) + self.file.encode("utf-8")
            connection._execute_command(_COM_BINLOG_DUMP, request)
        except pymysql.err.MySQLError as error:
            errno, text = (*error.args, "")[:2] if error.args and isinstance(error.args[0], int) else (0, str(error))
            raise dump_error(errno, str(text), self.at) from error
        except OSError as error:
            raise SourceUnavailable(
                f"connection lost while asking for the binlog: {error}", position=self.at
            ) from error
        sock: socket.socket | None = connection._sock
        if sock is None:
            raise SourceUnavailable("connection closed while asking for the binlog", position=self.at)
        sock.settimeout(self._read_timeout)
        self.position = self._first[1]
        return sock

    @property
    def at(self) -> str:
        return f"{self.file}:{self.position}"

    @property
    def _at_start(self) -> bool:
        """No event of the log came yet, and it was not asked for from the beginning of a file."""
        return (self.file, self.position) == self._first and self.position > 4

    def _broken(self, message: str, hint: str | None = None) -> LtvError:
        if self._at_start:
            return BadPosition(message, position=self.at, hint=START_HINT)
        return CorruptBinlog(message, position=self.at, hint=hint)

    def pending(self) -> bool:
        """Whether an event, or a part of one, can be read without waiting."""
        have = len(self._buffer) - self._used
        if have >= 4 and have >= 4 + int.from_bytes(self._buffer[self._used : self._used + 3], "little"):
            return True
        if self._closed:
            return False
        buffered = getattr(self._socket, "pending", None)
        if buffered is not None and buffered():
            return True
        try:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            return True

    def ahead(self) -> tuple[bytes, int, bool | None]:
        """What was received already: the buffer, where in it the next packet begins, and whether events end with a
        checksum (None: the log has not said yet). To be used between two events, with `skip`."""
        return self._buffer, self._used, self._checksum

    def skip(self, used: int, position: int) -> None:
        """The packets before `used` are dealt with; the next event begins at `position` of the same file."""
        self._used, self.position = used, position

    def close(self) -> None:
        """Cuts the connection at once, without a word to the server. Safe from a signal handler or another thread,
        where it makes a waiting reader stop as if the log had ended; may be called twice."""
        self._closed = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._connection._force_close()

    def __iter__(self) -> Iterator[RawEvent]:
        try:
            if self._target > MAX_DUMP_POSITION:
                return self._from_target()
            return self._events()
        except LtvError:
            self.close()
            raise

    def _from_target(self) -> Iterator[RawEvent]:
        """A dump request holds 32 bits of position: above 4 GB the file is read from its start, and skipped."""
        file, target = self.file, self._target
        for event in self._events():
            if event.position < target and event.kind not in _AT_FILE_START:
                if event.kind in _NOT_IN_FILE or event.end > target:
                    why = "inside an event" if event.end > target else "behind the end of the file"
                    raise BadPosition(f"the position is {why}", position=f"{file}:{target}", hint=START_HINT)
            else:
                yield event
            if event.kind == ROTATE and event.end > event.position and event.end <= target:
                raise BadPosition("the position is behind the end of the file", position=f"{file}:{target}")
            if event.end == target or self.file != file:
                break
        yield from self._events()

    def _receive(self, wanted: int) -> None:
        """Grows the buffer to at least `wanted` unread bytes; joins large packets once, not piece by piece."""
        pieces = [self._buffer[self._used :]]
        have = len(pieces[0])
        while have < wanted:
            try:
                piece = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError as error:
                raise HalfOpenConnection(
                    f"no event and no heartbeat for {self._read_timeout:g} s", position=self.at
                ) from error
            except (OSError, ValueError) as error:
                if self._closed:
                    raise _Closed from error
                raise SourceUnavailable(f"connection lost: {error}", position=self.at) from error
            if not piece:
                if self._closed:
                    raise _Closed
                raise SourceUnavailable("the server closed the connection", position=self.at)
            pieces.append(piece)
            have += len(piece)
        self._buffer = pieces[0] + pieces[1] if len(pieces) == 2 else b"".join(pieces)
        self._used = 0

    def _pieces(self, expected: int) -> Iterator[bytes]:
        """The event in packets of 16 MB, 2**24 - 1 bytes up to a shorter one, as it comes; less the status byte."""
        self._used += 5
        size, left = MAX_PACKET, MAX_PACKET - 1
        total = left
        while total <= expected:
            while left:
                if self._used == len(self._buffer):
                    self._receive(1)
                piece = self._buffer[self._used : self._used + left]
                self._used += len(piece)
                left -= len(piece)
                yield piece
            if size < MAX_PACKET:
                return
            if len(self._buffer) - self._used < 4:
                self._receive(4)
            size = left = int.from_bytes(self._buffer[self._used : self._used + 3], "little")
            total += size
            self._used += 4
        raise self._broken(f"event of {expected} bytes in packets of more")

    def _events(self) -> Iterator[RawEvent]:
        unpack, file, position = _PACKET.unpack_from, self.file, self.position
        make = tuple.__new__
        try:
            while not self._closed:
                buffer, used = self._buffer, self._used
                have = len(buffer) - used
                if have < 24:
                    self._receive(4 if have < 4 else min(24, 4 + int.from_bytes(buffer[used : used + 3], "little")))
                    buffer, used = self._buffer, self._used
                    have = len(buffer) - used
                    if have < 24:
                        if have >= 4 + int.from_bytes(buffer[used : used + 3], "little"):
                            self._no_event(buffer[used + 4 :])
                        continue
                head, status, timestamp, kind, server_id, size, log_pos, flags = unpack(buffer, used)
                length = head & 0xFFFFFF
                if length == MAX_PACKET:
                    if kind == TRANSACTION_PAYLOAD and not status:
                        spilled = self._spilled_event(timestamp, server_id, size, log_pos, flags)
                        self.position = spilled.end
                        yield spilled
                        file, position = self.file, self.position
                        continue
                    raw = b"".join(self._pieces(size))
                    length = len(raw) + 1
                else:
                    if have < length + 4:
                        if size != length - 1 and not status:  # what follows may never come
                            raise self._broken(f"event of {size} bytes in a packet of {length}")
                        self._receive(length + 4)
                        buffer, used = self._buffer, self._used
                    raw = buffer[used + 5 : used + 4 + length]
                    self._used = used + 4 + length
                if status:
                    self._no_event(bytes((status,)) + raw)
                if size != length - 1:
                    raise self._broken(f"event of {size} bytes in a packet of {length}")
                if self._checksum and kind != FORMAT_DESCRIPTION:
                    if crc32(raw) != CRC_RESIDUE:
                        raise self._broken(f"checksum of event type 0x{kind:02X} is wrong")
                    data = raw[:-4]
                else:
                    data = self._unchecked(kind, flags, raw)
                end = position + size
                if log_pos != end & 0xFFFFFFFF or log_pos == 0 or kind in _NOT_IN_FILE:
                    end = self._unusual_end(kind, flags, size, log_pos, position)
                event = make(RawEvent, (kind, timestamp, server_id, flags, file, position, end, data, 0))
                position = end
                if kind == ROTATE:
                    rotate = parse(event)
                    assert isinstance(rotate, Rotate)
                    file, position = rotate
                    self.file = file
                self.position = position
                yield event
                file, position = self.file, self.position  # `skip` may have moved on
        except _Closed:
            return

    def _spilled_event(self, timestamp: int, server_id: int, size: int, log_pos: int, flags: int) -> SpilledEvent:
        """A compressed transaction in packets of 16 MB, kept on disk: incompressible rows would fill the memory."""
        with Spill(self.at) as spill:
            spill.fill(self._pieces(size))
            if size != spill.length:
                raise self._broken(f"event of {size} bytes in packets of {spill.length + 1}")
            if self._checksum:
                if spill.checksum != CRC_RESIDUE:
                    raise self._broken(f"checksum of event type 0x{TRANSACTION_PAYLOAD:02X} is wrong")
                spill.cut_checksum()
            body = spill.keep()
        end = self.position + size
        if log_pos != end & 0xFFFFFFFF:
            end = self._unusual_end(TRANSACTION_PAYLOAD, flags, size, log_pos, self.position)
        event = SpilledEvent(
            TRANSACTION_PAYLOAD, timestamp, server_id, flags, self.file, self.position, end, spill.head
        )
        event.body = body
        return event

    def _unusual_end(self, kind: int, flags: int, size: int, log_pos: int, position: int) -> int:
        """Where an event ends whose header does not simply say so: at its start if it is not in the file. Those are
        heartbeats, artificial events, and what stands at a file's start but is sent again for a start behind it."""
        end = position + size
        if kind in _NOT_IN_FILE or (flags & FLAG_ARTIFICIAL) or (log_pos == 0 and kind in _AT_FILE_START):
            return position
        if log_pos and end & 0xFFFFFFFF != log_pos:  # MariaDB 11.7 has 0 within a transaction
            raise self._broken(
                f"event of {size} bytes ends at {log_pos} (modulo 2**32), {end} was expected",
                "the server left out events, or the connection is broken",
            )
        return end

    def _unchecked(self, kind: int, flags: int, raw: bytes) -> bytes:
        """Cuts the checksum off an event whose log has none, or is not known yet; FORMAT_DESCRIPTION always has one.

        Artificial events carry a checksum when the session asked for one, even if their file does not: looked at, not
        known.
        """
        if kind == FORMAT_DESCRIPTION:
            data = raw[:-4]
            description = parse(RawEvent(kind, 0, 0, flags, self.file, self.position, self.position, data))
            assert isinstance(description, FormatDescription)
            if description.checksum:
                if crc32(raw) != CRC_RESIDUE and crc32(_not_in_use(raw)) != CRC_RESIDUE:
                    raise CorruptBinlog("checksum of FORMAT_DESCRIPTION is wrong", position=self.at)
                self._checksum = True
            elif crc32(raw[:-5] + b"\1" + raw[-4:]) == CRC_RESIDUE:
                raise CorruptBinlog("FORMAT_DESCRIPTION without checksums has one", position=self.at)
            else:
                self._checksum = False
            return data
        if (kind in _NOT_IN_FILE or kind == ROTATE) and len(raw) > HEADER_SIZE + 4 and crc32(raw) == CRC_RESIDUE:
            return raw[:-4]
        return raw

    def _no_event(self, payload: bytes) -> None:
        """An ERR or EOF packet in place of an event. Always raises."""
        if payload[:1] == b"\xff" and len(payload) >= 3:
            errno = int.from_bytes(payload[1:3], "little")
            text = payload[9:] if payload[3:4] == b"#" else payload[3:]
            raise dump_error(errno, text.decode("utf-8", "backslashreplace"), self.at, at_start=self._at_start)
        if payload[:1] == b"\xfe" and len(payload) < 9:
            raise SourceUnavailable("the server ended the dump: it is shutting down", position=self.at)
        raise SourceRefused(f"unexpected packet 0x{payload[:1].hex()} in the binlog dump", position=self.at)


class _Closed(Exception):
    """`close()` was called while the reader waited."""


def _not_in_use(raw: bytes) -> bytes:
    """The event as it was when its checksum was made: the in-use flag of an open log is not part of it."""
    flags = int.from_bytes(raw[17:19], "little") & ~1
    return raw[:17] + flags.to_bytes(2, "little") + raw[19:]
