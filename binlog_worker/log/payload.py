"""The events inside a TRANSACTION_PAYLOAD, a transaction that MySQL compressed, unpacked one at a time.

Layout: MySQL source documentation "Transaction_payload_event" and its codec: fields, then one Zstandard frame, whose
blocks are walked here (RFC 8878, 3.1.1): the library does not say whether a frame was cut off or where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from typing import IO, BinaryIO, NamedTuple, cast

import zstandard

from binlog_worker import metrics
from binlog_worker.log import events
from binlog_worker.log.event_bodies import HEADER_SIZE, read_lenenc
from binlog_worker.log.events import EVENT_KINDS, HEADER, RawEvent
from binlog_worker.log.packets import SpilledEvent
from schemas.errors import CorruptBinlog, UnsupportedEvent

LARGEST_WINDOW = 1 << 27
"""Bytes that unpacking looks back, at most: those of the highest level, 22. The levels up to 19 take 8 MB."""

LARGEST_EVENT = 1 << 30
"""Bytes of one event: the highest max_allowed_packet, which is also the server's own limit."""

CHUNK = 128 * 1024
_SEGMENT = 1 << 31
_ZSTD, _NONE = 0, 255
_END, _SIZE, _COMPRESSION, _UNPACKED = range(4)
_OUTSIDE = frozenset((
    events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED, events.MARIADB_GTID, events.ROTATE, events.STOP,
    events.FORMAT_DESCRIPTION, events.HEARTBEAT, events.HEARTBEAT_V2, events.START_ENCRYPTION,
    events.TRANSACTION_PAYLOAD,
))  # fmt: skip
"""What is never inside: what stands before a transaction or between two, and a second payload."""

Read = Callable[[int], bytes]
"""So many unpacked bytes; fewer only at the end."""


def decompressor() -> zstandard.ZstdDecompressor:
    """Takes a while to make, and may be used for one payload after the other, in one thread."""
    return zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)


def inner_events(event: RawEvent, unpacker: zstandard.ZstdDecompressor) -> Iterator[RawEvent]:
    """Iterate it once. Memory: one event, a chunk, and the frame's window.

    The events have the payload's file, position and end. `first_row` counts on: it is half the event's place among the
    unpacked bytes, and a row takes two bytes or more, so no number comes twice. Counting rows would give numbers that
    depend on which tables are configured. Beyond 2 GB of unpacked bytes the position counts on as well, which never
    reaches the payload's end.

    Raises UnsupportedEvent (another compression), CorruptBinlog where sizes, frame or events do not fit.
    """
    body: BinaryIO = event.body if isinstance(event, SpilledEvent) else BytesIO(event.data)
    with closing(body):
        try:
            length = body.seek(0, 2)
            fields = _fields(event.data)
            if fields.start + fields.size != length:
                raise ValueError(f"a payload of {fields.size} bytes, {length - fields.start} are there")
            body.seek(fields.start)
            if fields.compression == _ZSTD:
                frame = _Frame(body, fields)
                stream = unpacker.stream_reader(cast("IO[bytes]", frame), closefd=False)
                yield from _split(event, fields.unpacked, stream.read, frame.check_end)
            elif fields.compression == _NONE:
                if fields.unpacked != fields.size:
                    raise ValueError(f"{fields.unpacked} bytes announced, {fields.size} are there")
                yield from _split(event, fields.unpacked, body.read, lambda: None)
            else:
                metrics.UNSUPPORTED.labels("TRANSACTION_PAYLOAD").inc()
                raise UnsupportedEvent(
                    f"TRANSACTION_PAYLOAD with compression {fields.compression}",
                    position=event.at,
                    hint="a server newer than this program? set binlog_transaction_compression=OFF on it",
                )
        except (ValueError, IndexError, zstandard.ZstdError) as error:
            raise CorruptBinlog(f"malformed TRANSACTION_PAYLOAD event: {error}", position=event.at) from error


class _Fields(NamedTuple):
    """Sizes in bytes, of the payload as it is and unpacked; `start` is its place in the event."""

    compression: int
    size: int
    unpacked: int
    start: int


def _fields(data: bytes) -> _Fields:
    """Fields of type, length and value, all three length-encoded integers, in any order up to type 0; unknown ones are
    passed over, as the server does."""
    found: dict[int, int] = {}
    pos = HEADER_SIZE
    while True:
        field, pos = read_lenenc(data, pos)
        if field == _END:
            break
        length, pos = read_lenenc(data, pos)
        if pos + length > len(data):
            raise ValueError(f"field {field} of {length} bytes")
        if field in (_SIZE, _COMPRESSION, _UNPACKED):
            found[field], end = read_lenenc(data, pos)
            if end != pos + length:
                raise ValueError(f"field {field} has {length} bytes, its value {end - pos}")
        pos += length
    if _SIZE not in found or _COMPRESSION not in found:
        raise ValueError("it says neither size nor compression" if not found else "size or compression is missing")
    return _Fields(found[_COMPRESSION], found[_SIZE], found.get(_UNPACKED, found[_SIZE]), pos)


class _Frame:
    """The compressed bytes of one frame, handed on block by block, in the end with its checksum."""

    def __init__(self, body: BinaryIO, fields: _Fields) -> None:
        """Raises ValueError or ZstdError before anything is allocated by what the frame says."""
        head = body.read(min(18, fields.size))
        if int.from_bytes(head[:4], "little") != zstandard.MAGIC_NUMBER:
            raise ValueError("no Zstandard frame")
        size = zstandard.frame_header_size(head)
        frame = zstandard.get_frame_parameters(head)
        if frame.window_size > LARGEST_WINDOW:
            raise ValueError(f"a window of {frame.window_size} bytes, {LARGEST_WINDOW} are the most")
        if frame.content_size not in (zstandard.CONTENTSIZE_UNKNOWN, fields.unpacked):
            raise ValueError(f"{fields.unpacked} bytes announced, the frame has {frame.content_size}")
        self._body, self._left = body, fields.size - size
        self._head = head[:size]
        self._has_checksum = bool(frame.has_checksum)
        self._ended = False
        body.seek(fields.start + size)

    def read(self, _: int) -> bytes:
        """The next block, of up to 128 KB, empty at the end; the decompressor asks for so much at a time."""
        if self._head:
            head, self._head = self._head, b""
            return head
        if self._ended:
            return b""
        head = self._take(3)
        word = int.from_bytes(head, "little")
        self._ended, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        checksum = 4 if self._ended and self._has_checksum else 0
        return head + self._take((1 if kind == 1 else size) + checksum)

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise ValueError(f"the frame is cut off: {size} bytes are wanted, {self._left} are left")
        self._left -= size
        return self._body.read(size)

    def check_end(self) -> None:
        if not self._ended:
            raise ValueError("the frame goes on behind the announced size")
        if self._left:
            raise ValueError(f"{self._left} bytes follow the frame")


def _pieces(read: Read, size: int) -> Iterator[bytes]:
    """Chunk by chunk, so that an event's own word on its size allocates nothing."""
    while size and (piece := read(min(size, CHUNK))):
        yield piece
        size -= len(piece)


def _split(event: RawEvent, unpacked: int, read: Read, check_end: Callable[[], None]) -> Iterator[RawEvent]:
    """Cuts the events out of the chunks; only one that lies across two of them is put together. The last one comes when
    all sizes have been found right."""
    file, position, end, make = event.file, event.position, event.end, tuple.__new__
    chunk, at, offset = b"", 0, 0
    if not unpacked:
        raise ValueError("nothing is inside")
    while offset < unpacked:
        have = len(chunk) - at
        if not have:
            chunk, at = read(CHUNK), 0
            have = len(chunk)
        if have < HEADER_SIZE:
            chunk, at = chunk[at:] + read(HEADER_SIZE - have), 0
            have = len(chunk)
            if have < HEADER_SIZE:
                raise ValueError(f"{unpacked} bytes announced, {offset + have} came")
        timestamp, kind, server_id, size, _, flags = HEADER.unpack_from(chunk, at)
        if not HEADER_SIZE <= size <= min(unpacked - offset, LARGEST_EVENT):
            raise ValueError(f"an event of {size} bytes, where {unpacked - offset} are left")
        if kind in _OUTSIDE:
            raise ValueError(f"a {EVENT_KINDS[kind].name} event inside of it")
        if size <= have:
            data = chunk[at : at + size]
            at += size
        else:
            data = b"".join((chunk[at:], *_pieces(read, size - have)))
            chunk, at = b"", 0
            if len(data) < size:
                raise ValueError(f"{unpacked} bytes announced, {offset + len(data)} came")
        place, low = position + offset // _SEGMENT, offset % _SEGMENT
        offset += size
        if offset == unpacked:
            if at < len(chunk) or read(1):
                raise ValueError(f"{unpacked} bytes announced, more came")
            check_end()
        yield make(RawEvent, (kind, timestamp, server_id, flags, file, place, end, data, low // 2))
