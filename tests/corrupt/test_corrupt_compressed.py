"""Compressed transactions and events of recorded logs with one thing wrong in them: named, bounded, no wrong row."""

# ruff: noqa: E501  one case a line reads better

from __future__ import annotations

import resource
import zlib

import pytest
import zstandard

from binlog_worker.log import events
from binlog_worker.log.events import HEADER
from schemas.errors import CorruptBinlog, IncidentInBinlog, LtvError, UndecodableValue, UnsupportedEvent
from tests.corrupt.damage import (
    Body,
    Break,
    body,
    bomb,
    check,
    frame_of,
    packed,
    payload,
    record_start,
    unpacked,
    with_field,
)
from tests.corrupt.recordings import CHECKSUMS, life, read_stream

PAYLOAD, COMPRESSED_WRITES = (events.TRANSACTION_PAYLOAD,), (166,)


def of_payload(change: Body) -> Break:
    return body(PAYLOAD, change)


def of_unpacked(change: Body) -> Break:
    """With what is inside changed and packed again."""
    return body(PAYLOAD, lambda raw: packed(change(unpacked(raw))))


def first_rows(inside: bytes) -> int:
    """Where the first row event begins."""
    pos = 0
    while inside[pos + 4] not in events.ROWS:
        pos += int.from_bytes(inside[pos + 9 : pos + 13], "little")
    return pos


def longer_rows(inside: bytes) -> bytes:
    pos = first_rows(inside)
    size = int.from_bytes(inside[pos + 9 : pos + 13], "little")
    head = with_field(inside[pos : pos + HEADER.size], "I", 9, size + 1)
    return inside[:pos] + head + inside[pos + HEADER.size : pos + size] + b"\0" + inside[pos + size :]


def with_incident(inside: bytes) -> bytes:
    lost = b"\1\0\4lost"
    return HEADER.pack(0, 26, 1, HEADER.size + len(lost), 0, 0) + lost + inside


def other_size(inside: bytes, size: int) -> bytes:
    return with_field(inside, "I", first_rows(inside) + 9, size)


def of_unknown_size(raw: bytes) -> bytes:
    """A frame that does not say how much is in it, of more than is announced."""
    inside = unpacked(raw)
    whole = zstandard.ZstdCompressor(write_content_size=False).compress(inside + bytes(1_000))
    return payload(whole, announced=len(inside))


PAYLOADS: dict[str, tuple[Break, type[LtvError], str]] = {
    "no frame": (of_payload(lambda raw: payload(b"garbage" * 9, announced=63)), CorruptBinlog, "no Zstandard frame"),
    "garbage in the frame": (
        of_payload(lambda raw: payload(frame_of(raw)[:20] + b"\xff" * 40 + frame_of(raw)[60:], announced=len(unpacked(raw)))),
        CorruptBinlog, "malformed TRANSACTION_PAYLOAD"),
    "frame cut off": (
        of_payload(lambda raw: payload(frame_of(raw)[:-9], announced=len(unpacked(raw)))), CorruptBinlog, "cut off"),
    "less announced": (
        of_payload(lambda raw: payload(frame_of(raw), announced=100)), CorruptBinlog, "100 bytes announced, the frame has"),
    "far more announced": (
        of_payload(lambda raw: payload(frame_of(raw), announced=1 << 60)), CorruptBinlog, "bytes announced, the frame has"),
    "more in it": (of_payload(of_unknown_size), CorruptBinlog, "more came|an event of 0 bytes"),
    "other size": (of_payload(lambda raw: payload(frame_of(raw), size=9)), CorruptBinlog, "a payload of 9 bytes"),
    "body cut off": (of_payload(lambda raw: raw[: len(raw) // 2]), CorruptBinlog, "malformed TRANSACTION_PAYLOAD"),
    "no fields": (of_payload(lambda raw: b""), CorruptBinlog, "malformed TRANSACTION_PAYLOAD"),
    "another compression": (
        of_payload(lambda raw: payload(frame_of(raw)).replace(b"\2\1\0", b"\2\1\7", 1)), UnsupportedEvent, "compression 7"),
    "bomb of 2.6 GB": (of_payload(lambda raw: payload(bomb(20_000), announced=4_000)), CorruptBinlog, "an event of 0 bytes"),
    "bomb as announced": (
        of_payload(lambda raw: payload(bomb(20_000), announced=20_000 << 17)), CorruptBinlog, "an event of 0 bytes"),
    "event without a size": (of_unpacked(lambda inside: other_size(inside, 0)), CorruptBinlog, "an event of 0 bytes"),
    "event of 4 GB": (of_unpacked(lambda inside: other_size(inside, 0xFFFFFFFF)), CorruptBinlog, "an event of 4294967295"),
    "event one byte longer": (
        of_unpacked(lambda inside: other_size(inside, 1 + len(inside) - first_rows(inside))), CorruptBinlog, "an event of"),
    "row longer": (of_unpacked(longer_rows), CorruptBinlog, "row cut off|malformed row event"),
    "INCIDENT inside": (of_unpacked(with_incident), IncidentInBinlog, "incident 1 lost"),
}  # fmt: skip


@pytest.mark.parametrize("ahead", [True, False], ids=["ordinary path", "general path"])
@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_payload(checksum: str, name: str, ahead: bool) -> None:
    broken, error, words = PAYLOADS[name]
    recording = life("mysql", checksum)
    check(recording, broken(recording), error, words, ahead)


def of_record(change: Body) -> Break:
    """From the record on."""
    return body(COMPRESSED_WRITES, lambda raw: raw[: record_start(raw)] + change(raw[record_start(raw) :]))


def of_images(change: Body) -> Break:
    """With the row images changed and packed again."""

    def repacked(raw: bytes) -> bytes:
        images = change(zlib.decompress(raw[record_start(raw) + 1 + (raw[record_start(raw)] & 7) :]))
        return raw[: record_start(raw)] + b"\x82" + len(images).to_bytes(2, "big") + zlib.compress(images)

    return body(COMPRESSED_WRITES, repacked)


ROWS: dict[str, tuple[Break, type[LtvError], str]] = {
    "another algorithm": (of_record(lambda raw: b"\x91" + raw[1:]), CorruptBinlog, "unknown compression 0x91"),
    "length of no bytes": (of_record(lambda raw: b"\x80" + raw[1:]), CorruptBinlog, "unknown compression 0x80"),
    "one more announced": (of_record(lambda raw: bytes((raw[0], raw[1] + 1)) + raw[2:]), CorruptBinlog, "bytes announced"),
    "one less announced": (of_record(lambda raw: bytes((raw[0], raw[1] - 1)) + raw[2:]), CorruptBinlog, "bytes announced"),
    "4 GB announced": (
        of_record(lambda raw: b"\x84\xff\xff\xff\xff" + raw[2:]), CorruptBinlog, "cannot be 4294967295 compressed ones"),
    "garbage": (of_record(lambda raw: raw[:2] + b"\xff" * 40), CorruptBinlog, "malformed WRITE_ROWS_COMPRESSED_V1"),
    "stream cut off": (of_record(lambda raw: raw[:-7]), CorruptBinlog, "bytes announced"),
    "stream of nothing": (of_record(lambda raw: raw[:2]), CorruptBinlog, "cannot be"),
    "behind the stream": (of_record(lambda raw: raw + b"more"), CorruptBinlog, "4 follow the stream"),
    "nothing at all": (body(COMPRESSED_WRITES, lambda raw: raw[:5]), CorruptBinlog, "malformed WRITE_ROWS_COMPRESSED_V1"),
    "bomb": (
        of_record(lambda raw: b"\x84" + (1 << 20).to_bytes(4, "big") + zlib.compress(bytes(1 << 26))),
        CorruptBinlog, "1048576 bytes announced, more came"),
    "row longer": (of_images(lambda images: images + b"\0"), CorruptBinlog, "row cut off|malformed row event"),
    "row shorter": (of_images(lambda images: images[:-1]), CorruptBinlog, "row cut off"),
    "no text": (of_images(lambda images: images[:-4] + b"\xff\xfe\xfd\xfc"), UndecodableValue, "column note"),
}  # fmt: skip


@pytest.mark.parametrize("ahead", [True, False], ids=["ordinary path", "general path"])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_compressed_rows(checksum: str, name: str, ahead: bool) -> None:
    broken, error, words = ROWS[name]
    recording = life("mariadb", checksum)
    check(recording, broken(recording), error, words, ahead)


def test_bombs_take_no_memory() -> None:
    """2.6 GB in 80 KB, and 64 MB in 64 KB where 1 MB is announced."""
    stretched = {"bomb of 2.6 GB": PAYLOADS, "bomb as announced": PAYLOADS, "bomb": ROWS}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, table in stretched.items():
        recording = life("mysql" if table is PAYLOADS else "mariadb", "crc32")
        assert read_stream(recording, table[name][0](recording).stream).error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
