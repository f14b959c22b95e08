"""What may be wrong with a recorded log: changes to the bytes of one of its events, or to the packets around them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pytest
import zstandard

from binlog_worker.log import events
from binlog_worker.log.events import FLAG_ARTIFICIAL, HEADER
from schemas.checkpoint import Place
from schemas.errors import LtvError
from tests.corrupt.recordings import Recorded, Recording, read_stream, right_lines, with_checksum
from tests.dump_connection import framed

BODY = HEADER.size
CHECKSUM_BYTES = 4

FIRST = 2
"""Events that are sent before any of the log's own: ROTATE and FORMAT_DESCRIPTION."""

Body = Callable[[bytes], bytes]
"""Body of an event → another one."""


def find(recording: Recording, kinds: Iterable[int], number: int = 0) -> int:
    """Index of the `number`th event of some kinds."""
    wanted = set(kinds)
    return [index for index, event in enumerate(recording.events) if event.kind in wanted][number]


def body_of(recording: Recording, event: Recorded) -> bytes:
    return event.raw[BODY:-CHECKSUM_BYTES] if recording.checksum else event.raw[BODY:]


def event_of(
    recording: Recording, event: Recorded, body: bytes, *, kind: int | None = None, flags: int | None = None
) -> bytes:
    """The event with another body, or of another kind: size, end and checksum fit."""
    timestamp, old_kind, server_id, _, end, old_flags = HEADER.unpack_from(event.raw)
    size = BODY + len(body) + CHECKSUM_BYTES * recording.checksum
    flags = old_flags if flags is None else flags
    end = end and (event.start + size) & 0xFFFFFFFF
    header = HEADER.pack(timestamp, old_kind if kind is None else kind, server_id, size, end, flags)
    return sealed(recording, header + body + bytes(CHECKSUM_BYTES) * recording.checksum)


def sealed(recording: Recording, raw: bytes) -> bytes:
    return with_checksum(raw) if recording.checksum else raw


def replaced(recording: Recording, index: int, *raws: bytes) -> bytes:
    """The stream with other events in place of one."""
    found = [event.raw for event in recording.events]
    return framed([*found[:index], *raws, *found[index + 1 :]])


def with_field(raw: bytes, code: str, at: int, value: int) -> bytes:
    return raw[:at] + struct.pack("<" + code, value) + raw[at + struct.calcsize("<" + code) :]


def rotate_to(place: Place) -> bytes:
    body = place.position.to_bytes(8, "little") + place.file.encode()
    return with_checksum(HEADER.pack(0, events.ROTATE, 1, 23 + len(body), 0, FLAG_ARTIFICIAL) + body + bytes(4))


def before(recording: Recording, index: int) -> tuple[Place, list[bytes]]:
    """Where a dump is to start that gets to an event soonest, but not with it; and what is sent then before it."""
    found, first = recording.events, max(index - 1, FIRST)
    while first > FIRST and (not found[first].transaction or found[first - 1].transaction == found[first].transaction):
        first -= 1
    place = Place(found[first].file, found[first].start)
    return place, [rotate_to(place), found[1].raw, *(one.raw for one in found[first:index])]


def payload(inside: bytes, *, announced: int | None = None, size: int | None = None) -> bytes:
    """Body of a TRANSACTION_PAYLOAD: compression 0, size unpacked, size, end, then `inside`."""
    unpacked = b"" if announced is None else b"\3\x09\xfe" + announced.to_bytes(8, "little")
    length = len(inside) if size is None else size
    return b"\2\1\0" + unpacked + b"\1\x09\xfe" + length.to_bytes(8, "little") + b"\0" + inside


def frame_of(body: bytes) -> bytes:
    """The Zstandard frame inside of a TRANSACTION_PAYLOAD's body."""
    return body[body.index(b"\x28\xb5\x2f\xfd") :]


def unpacked(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(frame_of(body))


def bomb(blocks: int) -> bytes:
    """A frame of so many blocks of four bytes, each of which stands for 128 KB."""
    block = (0 | 1 << 1 | 131_072 << 3).to_bytes(3, "little") + b"\0"
    last = (1 | 1 << 1 | 131_072 << 3).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (blocks - 1) + last


def moved(recording: Recording, following: Iterable[Recorded], by: int) -> Iterator[bytes]:
    """Events as they stand behind one that is longer `by` some bytes; those of another file stay."""
    file = ""
    for event in following:
        end = int.from_bytes(event.raw[13:17], "little")
        file = file or event.file
        raw = with_field(event.raw, "I", 13, (end + by) & 0xFFFFFFFF) if end and event.file == file else event.raw
        yield raw if raw is event.raw else sealed(recording, raw)


def record_start(raw: bytes) -> int:
    """In the body of an event that MariaDB compressed: where the record in front of the zlib stream begins, a byte, and
    the length in as many bytes as it says."""
    stream = raw.index(b"\x78\x9c")
    return next(at for at in (stream - 2, stream - 3) if raw[at] == 0x80 | (stream - 1 - at))


def packed(inside: bytes) -> bytes:
    """Body of a TRANSACTION_PAYLOAD."""
    return payload(zstandard.ZstdCompressor(level=1).compress(inside), announced=len(inside))


class Damaged(NamedTuple):
    """A stream, and which of its events is wrong."""

    stream: bytes
    place: int


Break = Callable[[Recording], Damaged]


def body(kinds: tuple[int, ...], change: Body, number: int = 0) -> Break:
    """Another body in the `number`th event of some kinds; its size, end and checksum fit."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, kinds, number)
        event = recording.events[index]
        return Damaged(replaced(recording, index, event_of(recording, event, change(body_of(recording, event)))), index)

    return broken


def header(kinds: tuple[int, ...], code: str, at: int, change: Callable[[int], int], number: int = 0) -> Break:
    """Another number in the header."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, kinds, number)
        raw = recording.events[index].raw
        size = {"B": 1, "H": 2, "I": 4}[code]
        wrong = change(int.from_bytes(raw[at : at + size], "little"))
        return Damaged(replaced(recording, index, sealed(recording, with_field(raw, code, at, wrong))), index)

    return broken


def as_kind(
    kinds: tuple[int, ...], kind: int, *, flags: int = 0, of: bytes | None = None, number: int = 0, seen: int = 0
) -> Break:
    """Of another type, and perhaps with another body; what is wrong is `seen` so many events later."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, kinds, number)
        event = recording.events[index]
        inside = body_of(recording, event) if of is None else of
        raw = event_of(recording, event, inside, kind=kind, flags=flags)
        return Damaged(replaced(recording, index, raw), index + seen)

    return broken


def check(recording: Recording, damaged: Damaged, error: type[LtvError], words: str, ahead: bool) -> None:
    """That it ends with this error, which says where, and all lines before it are right."""
    outcome = read_stream(recording, damaged.stream, ahead=ahead)
    event = recording.events[damaged.place]
    with pytest.raises(error, match=f"(?s)(?:{words}).*position {event.file}:{event.start}\\)"):
        raise outcome.error or AssertionError
    lines = outcome.in_order()
    assert lines == right_lines(recording)[: len(lines)]
