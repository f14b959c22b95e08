"""The dump connection against a socket that plays the server: positions above 4 GB, large packets, damage, ends."""

from __future__ import annotations

import contextlib
import random
import struct
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from binlog_worker.log.dump import Dump
from binlog_worker.log.events import HEADER
from binlog_worker.log.packets import HEAD_BYTES, SpilledEvent
from schemas.errors import (
    BadPosition,
    CorruptBinlog,
    DuplicateServerId,
    HalfOpenConnection,
    LtvError,
    SourceUnavailable,
    Terminal,
    UnsupportedEvent,
)
from tests.dump_connection import DumpConnection

FILE = "mysql-bin.000003"


@pytest.fixture
def connection() -> Iterator[DumpConnection]:
    found = DumpConnection()
    yield found
    found._sock.close()
    found.server.close()


def event(kind: int, body: bytes, end: int, *, flags: int = 0, damage: bool = False) -> bytes:
    raw = HEADER.pack(0, kind, 1, 19 + len(body) + 4, end & 0xFFFFFFFF, flags) + body
    raw += (crc32(raw) ^ damage).to_bytes(4, "little")
    return packets(b"\0" + raw)


def packets(payload: bytes) -> bytes:
    out, number = b"", 1
    while True:
        part, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
        out += len(part).to_bytes(3, "little") + bytes((number,)) + part
        number = (number + 1) % 256
        if len(part) < 0xFFFFFF:
            return out


def beginning(position: int) -> bytes:
    """The artificial ROTATE and FORMAT_DESCRIPTION that a server sends first."""
    description = struct.pack("<H50sIB", 4, b"9.7.4", 0, 19) + bytes(40) + b"\x01"
    rotate = event(4, position.to_bytes(8, "little") + FILE.encode(), 0, flags=0x20)
    return rotate + event(15, description, 0 if position > 4 else 4 + 19 + len(description) + 4)


DESCRIBED = 4 + 19 + 98 + 4


def dump(connection: DumpConnection, position: int = 500, **options: Any) -> Dump:
    return Dump(lambda: connection, 7, FILE, position, **{"read_timeout": 2.0, **options})


def ends(found: Dump) -> list[tuple[int, int, int]]:
    """Kind, start and end of the events in the log until the server closes the connection."""
    seen = []
    with pytest.raises(SourceUnavailable):
        for item in found:
            if item.end > item.position:
                seen.append((item.kind, item.position, item.end))
    return seen


def test_request_names_file_and_position(connection: DumpConnection) -> None:
    dump(connection, 500)
    (register, _), (command, body) = connection.sent
    assert (register, command, body) == (0x15, 0x12, struct.pack("<IHI", 500, 0, 7) + FILE.encode())


def test_positions_and_rotation(connection: DumpConnection) -> None:
    next_file = (4).to_bytes(8, "little") + b"mysql-bin.000004"
    connection.server.sendall(beginning(500) + event(16, bytes(8), 531) + event(27, FILE.encode(), 531))
    connection.server.sendall(event(4, next_file, 531 + 47))
    connection.server.close()
    found = dump(connection)
    assert ends(found) == [(16, 500, 531), (4, 531, 578)]
    assert found.at == "mysql-bin.000004:4"


def test_positions_pass_four_gigabytes(connection: DumpConnection) -> None:
    start = (1 << 32) - 40
    connection.server.sendall(beginning(start) + event(16, bytes(8), start + 31) + event(16, bytes(8), start + 62))
    connection.server.close()
    assert ends(dump(connection, start)) == [(16, start, start + 31), (16, start + 31, start + 62)]


def test_start_above_four_gigabytes_reads_from_the_beginning(connection: DumpConnection) -> None:
    """The server writes one event of 4 GB less a little; only its header is true here, so it is sent as several."""
    chunk = 15_000_000
    count = (1 << 32) // chunk + 1
    target = DESCRIBED + count * chunk

    def serve() -> None:
        connection.server.sendall(beginning(4))
        body, position = bytes(chunk - 23), DESCRIBED
        for _ in range(3):
            position += chunk
            connection.server.sendall(event(29, body, position))
        connection.server.sendall(event(27, FILE.encode(), position))

    thread = threading.Thread(target=serve)
    thread.start()
    found = dump(connection, target)
    assert connection.sent[-1][1][:4] == (4).to_bytes(4, "little")
    with pytest.raises(BadPosition, match=f"behind the end of the file.*{FILE}:{target}"):
        list(found)
    thread.join()


def test_packet_of_more_than_sixteen_megabytes(connection: DumpConnection) -> None:
    body = b"x" * 40_000_000
    whole = beginning(500) + event(29, body, 500 + 23 + len(body)) + event(16, bytes(8), 500 + 23 + len(body) + 31)
    thread = threading.Thread(target=lambda: (connection.server.sendall(whole), connection.server.close()))
    thread.start()
    sizes = []
    with pytest.raises(SourceUnavailable):
        for item in dump(connection):
            sizes.append(len(item.data))
    thread.join()
    assert sizes[2:] == [19 + len(body), 27]


@contextlib.contextmanager
def serving(connection: DumpConnection, stream: bytes) -> Iterator[None]:
    """Sends all of it and closes, beside the reader: it is more than the socket holds."""

    def send() -> None:
        with contextlib.suppress(OSError):
            connection.server.sendall(stream)
        connection.server.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        connection._sock.close()
        thread.join(10)
    assert not thread.is_alive()


def spilled(size: int, **options: Any) -> bytes:
    """A compressed transaction of `size` bytes after the start, and an XID behind it."""
    return (
        beginning(500)
        + event(40, random.Random(size).randbytes(size - 23), 500 + size, **options)
        + event(16, bytes(8), 531 + size)
    )


@pytest.mark.parametrize("size", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0x1FFFFFC, 0x1FFFFFD, 0x1FFFFFE, 40_000_000])
def test_a_large_compressed_transaction_is_kept_on_disk(connection: DumpConnection, size: int) -> None:
    """Sizes around one packet, two, and many: the payload is the event and a status byte."""
    seen = []
    with serving(connection, spilled(size)), pytest.raises(SourceUnavailable):
        for item in dump(connection):
            seen.append(item)
    found, behind = seen[2:]
    body = random.Random(size).randbytes(size - 23)
    assert (found.kind, found.position, found.end) == (40, 500, 500 + size)
    assert (behind.kind, behind.position) == (16, 500 + size)
    assert isinstance(found, SpilledEvent)
    assert found.data == HEADER.pack(0, 40, 1, size, 500 + size, 0) + body[: HEAD_BYTES - 19]
    assert found.body.seek(0) == 0
    assert found.body.read() == found.data[:19] + body
    found.body.close()


def test_a_smaller_one_is_not(connection: DumpConnection) -> None:
    with serving(connection, spilled(0xFFFFFD)):
        events = iter(dump(connection))
        found = [next(events) for _ in range(3)][2]
    assert not isinstance(found, SpilledEvent) and len(found.data) == 0xFFFFFD - 4


def test_memory_does_not_grow_with_a_compressed_transaction(connection: DumpConnection) -> None:
    stream = spilled(60_000_000)
    found = dump(connection)
    tracemalloc.start()
    try:
        with serving(connection, stream), pytest.raises(SourceUnavailable):
            for item in found:
                if isinstance(item, SpilledEvent):
                    item.body.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_nothing_comes_of_a_large_one_whose_checksum_is_wrong(connection: DumpConnection) -> None:
    seen = []
    with (
        serving(connection, spilled(40_000_000, damage=True)),
        pytest.raises(BadPosition, match=f"checksum of event type 0x28 is wrong.*{FILE}:500"),
    ):
        for item in dump(connection):
            seen.append(item.kind)
    assert seen == [4, 15]


def test_sizes_of_a_large_one_that_do_not_fit(connection: DumpConnection) -> None:
    body = bytes(20_000_000)
    for difference in (-1, 1, -6_000_000):
        found = DumpConnection()
        raw = HEADER.pack(0, 40, 1, 19 + len(body) + difference, 0, 0) + body
        words = f"event of {19 + len(body) + difference} bytes in packets of"
        with serving(found, beginning(500) + packets(b"\0" + raw)), pytest.raises(BadPosition, match=words):
            list(dump(found))


def test_no_room_for_a_large_one(connection: DumpConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with (
        serving(connection, spilled(0x1000000)),
        pytest.raises(Terminal, match=f"cannot be kept on disk.*{FILE}:500") as raised,
    ):
        list(dump(connection))
    assert raised.value.hint and str(tmp_path) in raised.value.hint and "TMPDIR" in raised.value.hint


@pytest.mark.parametrize("where", [0, 1])
def test_wrong_checksum_names_the_place(connection: DumpConnection, where: int) -> None:
    position = 500 + 31 * where
    connection.server.sendall(
        beginning(500) + event(16, bytes(8), 531, damage=not where) + event(16, bytes(8), 562, damage=True)
    )
    with pytest.raises(CorruptBinlog if where else BadPosition, match=f"checksum.*{FILE}:{position}"):
        list(dump(connection))


def test_event_left_out_is_noticed(connection: DumpConnection) -> None:
    connection.server.sendall(beginning(500) + event(16, bytes(8), 531) + event(16, bytes(8), 700))
    with pytest.raises(CorruptBinlog, match=f"562 was expected.*{FILE}:531"):
        list(dump(connection))


def test_log_without_checksums(connection: DumpConnection) -> None:
    description = struct.pack("<H50sIB", 4, b"9.7.4", 0, 19) + bytes(40) + b"\x00"
    plain = HEADER.pack(0, 16, 1, 27, 527, 0) + bytes(8)
    first = event(4, (500).to_bytes(8, "little") + FILE.encode(), 0, flags=0x20) + event(15, description, 0)
    connection.server.sendall(first + packets(b"\0" + plain))
    connection.server.close()
    assert ends(dump(connection)) == [(16, 500, 527)]


REFUSALS = [
    (b"\xff" + (1236).to_bytes(2, "little") + b"#HY000A replica ... has connected to the source;", DuplicateServerId),
    (b"\xff" + (1053).to_bytes(2, "little") + b"#08S01Server shutdown in progress", SourceUnavailable),
    (b"\xfe\0\0\0\0", SourceUnavailable),
]


@pytest.mark.parametrize(("payload", "kind"), REFUSALS)
def test_error_and_end_packets(connection: DumpConnection, payload: bytes, kind: type[LtvError]) -> None:
    connection.server.sendall(beginning(500) + packets(payload))
    with pytest.raises(kind) as raised:
        list(dump(connection))
    assert type(raised.value) is kind and raised.value.position == f"{FILE}:500"


def test_old_binlog_format_is_refused(connection: DumpConnection) -> None:
    old = struct.pack("<H50sIB", 3, b"5.0", 0, 19) + bytes(40) + b"\x00"
    connection.server.sendall(event(15, old, 0))
    with pytest.raises(UnsupportedEvent):
        list(dump(connection))


def test_silence_is_a_half_open_connection(connection: DumpConnection) -> None:
    connection.server.sendall(beginning(500)[:30])
    with pytest.raises(HalfOpenConnection, match=r"0\.05 s"):
        list(dump(connection, read_timeout=0.05))


def test_every_split_of_the_stream_gives_the_same_events(connection: DumpConnection) -> None:
    stream = beginning(500) + event(16, bytes(8), 531) + event(3, b"", 554)
    thread = threading.Thread(
        target=lambda: ([connection.server.send(bytes((byte,))) for byte in stream], connection.server.close())
    )
    thread.start()
    assert ends(dump(connection)) == [(16, 500, 531), (3, 531, 554)]
    thread.join()


def test_pending(connection: DumpConnection) -> None:
    found = dump(connection)
    assert not found.pending()
    connection.server.sendall(beginning(500) + event(16, bytes(8), 531))
    assert found.pending()
    events = iter(found)
    next(events)
    next(events)
    assert found.pending(), "buffered, not on the socket"
    next(events)
    assert not found.pending()


def test_close_ends_a_waiting_reader(connection: DumpConnection) -> None:
    found = dump(connection, read_timeout=30.0)
    connection.server.sendall(beginning(500))
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(item.kind for item in found))
    reader.start()
    while found.pending():
        pass
    found.close()
    found.close()
    reader.join(5)
    assert not reader.is_alive()
