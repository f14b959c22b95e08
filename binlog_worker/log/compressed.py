"""Compressed events, replaced by the plain ones that they stand for: MySQL's TRANSACTION_PAYLOAD and what MariaDB
writes with log_bin_compress.

Layout of the latter: MariaDB knowledge base "Compressing Events to Reduce Size of the Binary Log", and log_event.cc:
the plain event, but for its statement or rows a record of one byte (1, algorithm 3 bits, 0, width 3 bits), the plain
length in so many bytes, high byte first, and a zlib stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from binlog_worker.log import events
from binlog_worker.log.event_bodies import HEADER_SIZE, read_lenenc
from binlog_worker.log.events import EVENT_KINDS, QUERY_COMPRESSED, TRANSACTION_PAYLOAD, RawEvent
from binlog_worker.log.payload import LARGEST_EVENT, decompressor, inner_events
from schemas.errors import CorruptBinlog

_PLAIN = {
    QUERY_COMPRESSED: events.QUERY,
    166: events.WRITE_V1,
    167: events.UPDATE_V1,
    168: events.DELETE_V1,
    169: events.WRITE_V2,
    170: events.UPDATE_V2,
    171: events.DELETE_V2,
}
_PACKED = frozenset((TRANSACTION_PAYLOAD, *_PLAIN))
_UPDATES = frozenset((events.UPDATE_V1, events.UPDATE_V2))

LARGEST_RATIO = 1_032
"""Of the plain length to the compressed one: zlib, "Technical Details", "Maximum Compression Factor"."""


class PlainEvents:
    """The same log as its server would have written it without compression; but the events of a compressed transaction
    share its position. Iterate it once; raises what `log`, `plain_event` and `inner_events` raise."""

    def __init__(self, log: Iterable[RawEvent]) -> None:
        self._log = log
        self.unpacking = False
        """Whether the newest event is one of several inside of one of the log's."""

    def __iter__(self) -> Iterator[RawEvent]:
        unpacker = decompressor()
        for event in self._log:
            if event.kind not in _PACKED:
                yield event
            elif event.kind == TRANSACTION_PAYLOAD:
                self.unpacking = True
                yield from inner_events(event, unpacker)
                self.unpacking = False
            else:
                yield plain_event(event)


def plain_event(event: RawEvent) -> RawEvent:
    """The plain event of one that MariaDB compressed. Raises CorruptBinlog."""
    data, kind = event.data, _PLAIN[event.kind]
    try:
        start = _query_text(data) if kind == events.QUERY else _rows(data, kind)
        text = _unpack(data, start)
    except (ValueError, IndexError, zlib.error) as error:
        name = EVENT_KINDS[event.kind].name
        raise CorruptBinlog(f"malformed {name} event: {error}", position=event.at) from error
    size = (start + len(text)).to_bytes(4, "little")
    plain = b"".join((data[:4], bytes((kind,)), data[5:9], size, data[13:start], text))
    return event._replace(kind=kind, data=plain)


def _query_text(data: bytes) -> int:
    """Where the statement begins: see `event_bodies.parse_query`."""
    body = HEADER_SIZE
    return body + 13 + int.from_bytes(data[body + 11 : body + 13], "little") + data[body + 8] + 1


def _rows(data: bytes, kind: int) -> int:
    """Where the row images begin: see `rows`."""
    pos = HEADER_SIZE + 8
    if kind >= events.WRITE_V2:
        pos += int.from_bytes(data[pos : pos + 2], "little")
    columns, pos = read_lenenc(data, pos)
    return pos + (columns + 7) // 8 * (2 if kind in _UPDATES else 1)


def _unpack(data: bytes, start: int) -> bytes:
    """Raises ValueError, IndexError, zlib.error."""
    head = data[start]
    width = head & 7
    if head & 0xF8 != 0x80 or not 1 <= width <= 4:
        raise ValueError(f"unknown compression 0x{head:02X}")
    start += 1 + width
    length = int.from_bytes(data[start - width : start], "big")
    packed = len(data) - start
    if packed <= 0 or not 0 < length <= min(packed * LARGEST_RATIO, LARGEST_EVENT):
        raise ValueError(f"{packed} bytes cannot be {length} compressed ones")
    stream = zlib.decompressobj()
    text = stream.decompress(memoryview(data)[start:], length)
    rest = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
    if len(text) != length or rest or not stream.eof or stream.unused_data:
        came = "more" if rest else len(text)
        raise ValueError(f"{length} bytes announced, {came} came, {len(stream.unused_data)} follow the stream")
    return text
