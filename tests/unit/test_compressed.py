"""Compressed events: as the servers write them, in every shape, and damaged in every way."""

# ruff: noqa: E501  hexadecimal events

from __future__ import annotations

import random
import time
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from binlog_worker.log import payload
from binlog_worker.log.compressed import PlainEvents, plain_event
from binlog_worker.log.events import EVENT_KINDS, HEADER, Query, RawEvent, parse
from binlog_worker.log.payload import decompressor, inner_events
from schemas.errors import CorruptBinlog, UnsupportedEvent

AT = "mysql-bin.000003"
QUERY, XID, TABLE_MAP, ROWS, PAYLOAD = 2, 16, 19, 30, 40
ZSTD, NONE = 0, 255
NAMES = {code: kind.name for code, kind in EVENT_KINDS.items()}


def event(kind: int, body: bytes) -> RawEvent:
    end = 400 + 23 + len(body)
    data = HEADER.pack(1_700_000_000, kind, 7, 23 + len(body), end, 0) + body
    return RawEvent(kind, 1_700_000_000, 7, 0, AT, 400, end, data)


def inner(kind: int, body: bytes, size: int | None = None) -> bytes:
    return HEADER.pack(1_700_000_001, kind, 7, 19 + len(body) if size is None else size, 0, 0) + body


def number(value: int) -> bytes:
    """A length-encoded integer."""
    for first, width in ((252, 2), (253, 3), (254, 8)):
        if 251 <= value < 256**width:
            return bytes((first,)) + value.to_bytes(width, "little")
    return bytes((value,))


def field(kind: int, value: int) -> bytes:
    return number(kind) + number(len(number(value))) + number(value)


def zstd(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


def packed(
    frame: bytes, unpacked: int, compression: int = ZSTD, more: bytes = b"", size: int | None = None
) -> RawEvent:
    size = len(frame) if size is None else size
    return event(PAYLOAD, field(2, compression) + field(3, unpacked) + field(1, size) + b"\0" + frame + more)


def transaction(inside: Iterable[bytes], **options: Any) -> RawEvent:
    data = b"".join(inside)
    return packed(zstd(data, **options), len(data))


def unpack(found: RawEvent) -> list[RawEvent]:
    return list(inner_events(found, decompressor()))


INSIDE = [inner(QUERY, b"BEGIN"), inner(TABLE_MAP, b"map"), inner(ROWS, bytes(range(200))), inner(XID, bytes(8))]
DATA = b"".join(INSIDE)

MYSQL = bytes.fromhex(
    "af04046b2801000000ca000000b98abd0100000201000303fc61020101a70028b52ffd606101ed040092471a26804bd201d00c66606770621331310a1deb00f5aa8cb558060a83182b062b9e5620446def2d53ff5fc961801cc5e5feb76576bb6f4226b169e0ae4ad9e49ebc75f06e0fa113e03d75aa17f30c83945945208fa831752bdc924d1404449aa18ef8be78edf87b5266151500a004e26c3608e3b3e9a9a94903fc81c52c35520478ba2dac0b9a810902c11e68037e1d616b6e23cb7a403c30f200bc"
)
"""BEGIN, INSERT of two rows, UPDATE of one, COMMIT; MySQL 9.7.4."""


def raw(data: bytes) -> RawEvent:
    timestamp, kind, server_id, size, end, flags = HEADER.unpack_from(data)
    return RawEvent(kind, timestamp, server_id, flags, AT, end - size, end, data)


def test_a_transaction_as_mysql_writes_it() -> None:
    outer = raw(MYSQL)
    found = unpack(outer)
    assert [NAMES[one.kind] for one in found] == [
        "QUERY", "TABLE_MAP", "WRITE_ROWS", "TABLE_MAP", "UPDATE_ROWS", "XID",
    ]  # fmt: skip
    begin = parse(found[0])
    assert isinstance(begin, Query) and begin.sql == "BEGIN"
    assert found[2].data.endswith(b"x" * 100 + b"\0" + (2).to_bytes(4, "little") + b"\x01\0y")
    assert {one[4:7] for one in found} == {(outer.file, outer.position, outer.end)}
    assert {(one.timestamp, one.server_id) for one in found} == {(outer.timestamp, outer.server_id)}
    assert sum(len(one.data) for one in found) == 0x0261


def test_first_rows_rise_faster_than_rows_can() -> None:
    """The smallest row is a bitmap and a value of a byte each."""
    rows = inner(ROWS, bytes(8) + b"\1\1" + bytes(2) * 1_000)
    found = unpack(transaction([rows, rows, rows]))
    assert [one.first_row for one in found] == [0, len(rows) // 2, len(rows)]
    assert found[1].first_row >= found[0].first_row + 1_000
    assert [len(one.data) for one in found] == [len(rows)] * 3


def test_positions_rise_where_rows_would_outgrow_their_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "_SEGMENT", 1_000)
    found = unpack(transaction([inner(ROWS, bytes(381)) for _ in range(6)]))
    assert [(one.position, one.first_row) for one in found] == [
        (400, 0), (400, 200), (400, 400), (401, 100), (401, 300), (402, 0),
    ]  # fmt: skip
    assert {one.end for one in found} == {found[0].end}


SHAPES: list[dict[str, Any]] = [
    {"level": 1},
    {"level": 22},
    {"level": 3, "write_checksum": True},
    {"level": 3, "write_content_size": False},
]


@pytest.mark.parametrize("options", SHAPES)
@pytest.mark.parametrize("chunk", [19, 20, 64, 1_000, 128 * 1024])
def test_every_frame_and_chunk_gives_the_same_events(
    options: dict[str, Any], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "CHUNK", chunk)
    source = random.Random(5)
    inside = [inner(ROWS, source.randbytes(source.choice((0, 1, 30, 250, 3_000)))) for _ in range(300)]
    assert [one.data for one in unpack(transaction(inside, **options))] == inside


def test_blocks_of_every_kind() -> None:
    """Raw, one byte repeated, and compressed blocks, over many of them."""
    inside = [
        inner(ROWS, random.Random(1).randbytes(400_000)),
        inner(ROWS, bytes(900_000)),
        inner(ROWS, b"ab" * 300_000),
    ]
    assert [one.data for one in unpack(transaction(inside))] == inside


def test_a_frame_that_ends_with_an_empty_block() -> None:
    compress = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frame = compress.compress(DATA) + compress.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) + compress.flush()
    assert frame[-3:] == b"\x01\0\0"
    assert [one.data for one in unpack(packed(frame, len(DATA)))] == INSIDE
    with pytest.raises(CorruptBinlog, match="cut off"):
        unpack(packed(frame[:-3], len(DATA)))


def test_without_compression() -> None:
    assert [one.data for one in unpack(packed(DATA, len(DATA), NONE))] == INSIDE
    bare = event(PAYLOAD, field(2, NONE) + field(1, len(DATA)) + b"\0" + DATA)
    assert [one.data for one in unpack(bare)] == INSIDE, "as MySQL would write it"


def test_fields_in_any_order_and_unknown_ones() -> None:
    frame = zstd(DATA)
    body = field(1, len(frame)) + field(77, 5) + number(300) + number(3) + b"abc" + field(3, len(DATA)) + field(2, 0)
    assert [one.data for one in unpack(event(PAYLOAD, body + b"\0" + frame))] == INSIDE


def test_unknown_compression_is_named() -> None:
    with pytest.raises(UnsupportedEvent, match=f"compression 7.*{AT}:400") as raised:
        unpack(packed(DATA, len(DATA), 7))
    assert raised.value.hint


FRAME = zstd(DATA)
CHECKED = bytearray(zstd(DATA, write_checksum=True))
CHECKED[60] ^= 4
ZEROS = b"\x02\x00\x10\x00"  # a block of 128 KB of one byte
ZEROS_FRAME = b"\x28\xb5\x2f\xfd\x00\x38"  # a window of 128 KB, no content size

DAMAGE: dict[str, tuple[RawEvent, str]] = {
    "no fields": (event(PAYLOAD, b""), "index out of range"),
    "no end of the fields": (event(PAYLOAD, field(2, 0)), "index out of range"),
    "no size": (event(PAYLOAD, field(2, 0) + b"\0" + FRAME), "size or compression is missing"),
    "no field": (event(PAYLOAD, b"\0" + FRAME), "neither size nor compression"),
    "field longer than its value": (event(PAYLOAD, b"\x02\x02\x00\x00" + b"\0" + FRAME), "field 2 has 2 bytes"),
    "field behind the end": (event(PAYLOAD, b"\x09\xfc\xff\xff" + b"\0" + FRAME), "field 9 of 65535 bytes"),
    "larger payload announced": (packed(FRAME, len(DATA), size=len(FRAME) + 1), "are there"),
    "smaller payload announced": (packed(FRAME, len(DATA), size=len(FRAME) - 1), "are there"),
    "behind the payload": (packed(FRAME, len(DATA), more=b"x"), "are there"),
    "empty": (packed(b"", 0), "no Zstandard frame"),
    "empty, plain": (packed(b"", 0, NONE), "nothing is inside"),
    "no frame": (packed(b"\x28\xb5\x2f\xfe" + FRAME[4:], len(DATA)), "no Zstandard frame"),
    "skippable frame": (packed(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + FRAME, len(DATA)), "no Zstandard frame"),
    "frame header cut off": (packed(FRAME[:5], len(DATA)), "need 7 bytes"),
    "frame cut off": (packed(FRAME[:-1], len(DATA)), "cut off: .* are left"),
    "frame checksum": (packed(zstd(DATA, write_checksum=True)[:-4] + b"abcd", len(DATA)), "checksum"),
    "behind the frame": (packed(FRAME + b"x", len(DATA)), "1 bytes follow the frame"),
    "two frames": (packed(zstd(DATA[:91]) + zstd(DATA[91:]), len(DATA)), "the frame has 91"),
    "two frames of unknown size": (
        packed(zstd(DATA, write_content_size=False) + zstd(DATA), len(DATA)), "follow the frame",
    ),
    "more announced": (packed(FRAME, len(DATA) + 1), f"{len(DATA) + 1} bytes announced, the frame has {len(DATA)}"),
    "more announced, unknown": (packed(zstd(DATA, write_content_size=False), len(DATA) + 30), "came"),
    "less announced, unknown": (packed(zstd(DATA, write_content_size=False), len(DATA) - 27), "more came"),
    "more announced, plain": (packed(DATA, len(DATA) + 1, NONE), "are there"),
    "a dictionary of its own": (packed(FRAME[:4] + bytes((FRAME[4] | 1, 7)) + FRAME[5:], len(DATA)), "rror"),
    "window too large": (packed(ZEROS_FRAME[:5] + b"\x90" + ZEROS, 1 << 17), "a window of 268435456 bytes"),
    "frame in one segment too large": (
        packed(b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + ZEROS, 1 << 40), "a window of 1099511627776",
    ),
    "reserved block": (packed(ZEROS_FRAME + b"\x07\0\0", 100), "came|rror"),
    "event without a size": (transaction([inner(ROWS, b"", size=0)]), "an event of 0 bytes"),
    "event smaller than its header": (transaction([inner(ROWS, b"abc", size=18)]), "an event of 18 bytes"),
    "event behind the end": (transaction([inner(ROWS, b"abc", size=23)]), "an event of 23 bytes, where 22"),
    "second event behind the end": (transaction([*INSIDE, inner(ROWS, b"", size=20)]), "20 bytes, where 19"),
    "event cut off": (transaction([*INSIDE, inner(ROWS, b"")[:-1]]), "came"),
    "event of more than a gigabyte": (packed(ZEROS_FRAME + ZEROS, 1 << 33), "an event of 0 bytes"),
    "flipped": (packed(bytes(CHECKED), len(DATA)), "checksum"),
    "flipped in the block's head": (packed(FRAME[:10] + bytes((FRAME[10] ^ 0xFC,)) + FRAME[11:], len(DATA)), "rror"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_with_its_place(name: str) -> None:
    broken, words = DAMAGE[name]
    with pytest.raises(CorruptBinlog, match=f"malformed TRANSACTION_PAYLOAD event: .*{words}.*{AT}:400"):
        unpack(broken)


@pytest.mark.parametrize("kind", sorted(payload._OUTSIDE))
def test_what_is_never_inside(kind: int) -> None:
    with pytest.raises(CorruptBinlog, match=f"a {NAMES[kind]} event inside"):
        unpack(transaction([inner(QUERY, b"BEGIN"), inner(kind, bytes(30))]))


def test_the_last_event_waits_for_the_checks() -> None:
    """COMMIT does not come from a payload that turns out to be wrong behind it."""
    seen = []
    with pytest.raises(CorruptBinlog, match="follow the frame"):
        for one in inner_events(packed(FRAME + b"x", len(DATA)), decompressor()):
            seen.append(one.kind)
    assert seen == [QUERY, TABLE_MAP, ROWS]


def rle(blocks: int) -> bytes:
    """A frame of `blocks` times 128 KB of zeros, four bytes each."""
    return ZEROS_FRAME + ZEROS * (blocks - 1) + b"\x03" + ZEROS[1:]


def test_bombs_cost_neither_time_nor_memory() -> None:
    begin = bytes((len(INSIDE[0]) << 3, 0, 0)) + INSIDE[0]  # a raw block, not the last one
    bomb = ZEROS_FRAME + begin + ZEROS * 400_000
    liar = zstd(inner(ROWS, bytes(1_000), size=1 << 30), write_content_size=False)
    tracemalloc.start()
    began = time.monotonic()
    try:
        for broken, words in (
            (packed(bomb, len(INSIDE[0])), "more came"),
            (packed(bomb, 1 << 36), "an event of 0 bytes"),
            (packed(rle(300_000), 300_000 << 17), "an event of 0 bytes"),
            (packed(liar, 1 << 31), "announced, 1019 came"),
        ):
            with pytest.raises(CorruptBinlog, match=words):
                unpack(broken)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
        assert time.monotonic() - began < 2
    finally:
        tracemalloc.stop()


def test_one_event_is_held_at_a_time() -> None:
    """64 incompressible events of a megabyte."""
    found = transaction(inner(ROWS, random.Random(number).randbytes(1_000_000)) for number in range(64))
    assert len(found.data) > 64_000_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in inner_events(found, decompressor()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 64
    assert peak < 5_000_000, "the event, its pieces, the one before it"


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_mutated_payloads_give_events_or_our_errors(data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from([MYSQL, packed(DATA, len(DATA), NONE).data])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(19, len(mutated) - 1))
        action = data.draw(st.sampled_from(["flip", "cut", "add", "drop"]))
        if action == "flip":
            mutated[place] ^= 1 << data.draw(st.integers(0, 7))
        elif action == "cut":
            del mutated[place + 1 :]
        elif action == "add":
            mutated.insert(place, data.draw(st.integers(0, 255)))
        elif len(mutated) > 20:
            del mutated[place]
    outer = raw(MYSQL)._replace(data=bytes(mutated))
    try:
        found = unpack(outer)
    except (CorruptBinlog, UnsupportedEvent) as error:
        assert error.position == outer.at
    else:
        assert all(len(one.data) >= 19 and one.end == outer.end for one in found)


MARIADB = {
    "af04046ba501000000930000000c03000000000500000000000000010000230000000000010100002054000000000603737464042d002d002d008109000000000000007a008143789c730e72750c7155087174f2715528d1c84c51c8cc2b512828cacc4d2caa54c84eadd4512853284b2c4ace482cd2303430d0d45128072b49494d4b2ccd295130d50400c711151a": (
        QUERY, b"\0z\0CREATE TABLE t(id int primary key, v varchar(100), w int default 5)",
    ),
    "af04046ba60100000040000000000400000000120000000000010003078135789cfbc1c8c0c020c7508117b002d5fc6002128c0c9520360002f510a6": (
        23, b"\x12\0\0\0\0\0\1\0\3\7\xf8\1\0\0\0\x1e\0" + b"x" * 30 + b"\5\0\0\0\xf8\2\0\0\0\1\0y\5\0\0\0",
    ),
    "af04046ba7010000004c0000000805000000001200000000000100030707814f789cfbc1c8c0c020c7508117b002d5fce006124c0c5555600e13906064a804b379902400f79114a3": (
        24,
        b"\3\7\7\xf8\1\0\0\0\x1e\0" + b"x" * 30 + b"\5\0\0\0\xf8\x0b\0\0\0\2\0zz\5\0\0\0"
        b"\xf8\2\0\0\0\1\0y\5\0\0\0\xf8\x0c\0\0\0\2\0zz\5\0\0\0",
    ),
    "af04046ba80100000036000000f6050000000012000000000001000307810d789cfbc1cdc0c0c0c45055c50aa401128b01ff": (
        25, b"\3\7\xf8\x0b\0\0\0\2\0zz\5\0\0\0",
    ),
}  # fmt: skip
"""Events of MariaDB 10.11 with log_bin_compress_min_len=10 → the plain type, and how the plain event ends."""


@pytest.mark.parametrize("data", MARIADB)
def test_events_as_mariadb_writes_them(data: str) -> None:
    found, (kind, ending) = raw(bytes.fromhex(data)), MARIADB[data]
    plain = plain_event(found)
    assert (plain.kind, plain.data[4]) == (kind, kind)
    assert plain.data.endswith(ending)
    assert plain.data[9:13] == len(plain.data).to_bytes(4, "little")
    assert plain[1:7] == found[1:7]
    if kind == QUERY:
        query = parse(plain)
        assert isinstance(query, Query) and query.db == "z" and query.sql.startswith("CREATE TABLE t(id")


def record(text: bytes, length: int | None = None, head: int | None = None) -> bytes:
    """What MariaDB has in place of a statement or of rows."""
    length = len(text) if length is None else length
    width = max(1, (length.bit_length() + 7) // 8)
    return bytes((0x80 | width if head is None else head,)) + length.to_bytes(width, "big") + zlib.compress(text)


def deletion(packed_rows: bytes) -> RawEvent:
    return event(168, bytes(8) + b"\3\7" + packed_rows)


IMAGE = b"\xf8" + bytes(range(250)) * 4


def test_lengths_of_every_width() -> None:
    for size in (1, 255, 256, 70_000, 17_000_000):
        rows = bytes(size)
        assert plain_event(deletion(record(rows))).data[29:] == rows
    padded = b"\x84" + len(IMAGE).to_bytes(4, "big") + zlib.compress(IMAGE)
    assert plain_event(deletion(padded)).data[29:] == IMAGE


def test_rows_of_version_2() -> None:
    """MariaDB knows them, and writes version 1."""
    for kind, plain in ((169, 30), (170, 31), (171, 32)):
        head = bytes(8) + b"\5\0abc" + b"\3\7" + (b"\7" if kind == 170 else b"")
        found = plain_event(event(kind, head + record(IMAGE)))
        assert (found.kind, found.data[19:]) == (plain, head + IMAGE)


RECORD = record(IMAGE)
MARIADB_DAMAGE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "out of range"),
    "not marked as compressed": (record(IMAGE, head=0x02), "unknown compression 0x02"),
    "another algorithm": (record(IMAGE, head=0x92), "unknown compression 0x92"),
    "no width": (record(IMAGE, head=0x80), "unknown compression 0x80"),
    "width of five": (record(IMAGE, head=0x85), "unknown compression 0x85"),
    "length zero": (record(IMAGE, 0), "cannot be 0"),
    "only a length": (RECORD[:3], "0 bytes cannot be"),
    "less announced": (record(IMAGE, len(IMAGE) - 1), "more came"),
    "more announced": (record(IMAGE, len(IMAGE) + 1), f"{len(IMAGE)} came"),
    "more announced than can be": (record(IMAGE, 0xFFFFFFFF), "cannot be 4294967295"),
    "cut off": (RECORD[:-1], f"{len(IMAGE)} came"),
    "cut off early": (RECORD[:20], "came"),
    "behind the stream": (RECORD + b"x", "1 follow"),
    "flipped": (RECORD[:8] + bytes((RECORD[8] ^ 1,)) + RECORD[9:], "rror"),
    "checksum": (RECORD[:-1] + bytes((RECORD[-1] ^ 1,)), "rror"),
    "bomb": (record(bytes(50_000_000), 900_000), "more came"),
}


@pytest.mark.parametrize("name", MARIADB_DAMAGE)
def test_damage_in_mariadb_events(name: str) -> None:
    rows, words = MARIADB_DAMAGE[name]
    broken = deletion(rows)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptBinlog, match=f"malformed DELETE_ROWS_COMPRESSED_V1 event: .*{words}.*{AT}:400"):
            plain_event(broken)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", range(165, 172))
@pytest.mark.parametrize("size", range(14))
def test_mariadb_events_cut_off_in_their_head(kind: int, size: int) -> None:
    with pytest.raises(CorruptBinlog, match=f"malformed {NAMES[kind]} event"):
        plain_event(event(kind, (b"\xff" * 40)[:size]))


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(sorted(MARIADB)), st.lists(st.tuples(st.integers(19, 1 << 16), st.integers(1, 255)), min_size=1))
def test_mutated_mariadb_events_give_events_or_our_errors(data: str, flips: list[tuple[int, int]]) -> None:
    mutated = bytearray.fromhex(data)
    for place, bits in flips:
        mutated[19 + place % (len(mutated) - 19)] ^= bits
    try:
        plain_event(raw(bytes(mutated)))
    except CorruptBinlog as error:
        assert error.position


def test_a_log_with_and_without_compressed_events() -> None:
    plain = [event(XID, bytes(8)), event(27, AT.encode())]
    log = [plain[0], raw(MYSQL), plain[1], deletion(RECORD), raw(MYSQL)]
    found = PlainEvents(log)
    seen: list[tuple[int, bool]] = [(one.kind, found.unpacking) for one in found]
    inside = [(kind, True) for kind in (QUERY, TABLE_MAP, ROWS, TABLE_MAP, 31, XID)]
    assert seen == [(XID, False), *inside, (27, False), (25, False), *inside]
    passed: Iterator[RawEvent] = iter(PlainEvents(plain))
    assert next(passed) is plain[0]
