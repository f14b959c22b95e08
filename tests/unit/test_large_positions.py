"""Logs of more than 4 GB: the headers of events hold 32 bits of their end, the reader keeps the true position.

A server begins a new file between two transactions, so what lies above 4 GB is the rest of one large transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import pytest

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.log import dump as dump_module
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import FLAG_ARTIFICIAL, FORMAT_DESCRIPTION, HEADER, ROTATE, XID, RawEvent
from binlog_worker.reader import Reader
from binlog_worker.sinks.packer import Changes, SingleChanges
from binlog_worker.xa.prepared import PreparedTransactions
from schemas.checkpoint import Place
from schemas.errors import BadPosition, SourceUnavailable
from schemas.sequence import parse_sequence
from tests.builders import shop
from tests.dump_connection import DumpConnection, framed
from tests.past_logs import RecordedLogs
from tests.written_log import ITEMS, WrittenLog

FOUR_GB = 1 << 32
FLAVORS = ["mariadb", "mysql"]


def raw(kind: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(0, kind, 1, 19 + len(body), 0, flags) + body


def beginning(file: str, position: int) -> list[bytes]:
    """What a server sends first for a start in the middle of a log without checksums."""
    description = struct.pack("<H50sIB", 4, b"9.7.4", 0, 19) + bytes(40) + b"\0" + bytes(4)
    rotate = raw(ROTATE, position.to_bytes(8, "little") + file.encode(), FLAG_ARTIFICIAL)
    return [rotate, raw(FORMAT_DESCRIPTION, description)]


def server_of(flavor: str, log: Iterable[bytes]) -> DumpConnection:
    return DumpConnection.holding(framed(log), flavor)


def asked(server: DumpConnection) -> int:
    """The position that the dump was asked for."""
    return int.from_bytes(server.sent[-1][1][:4], "little")


def read(reader: Reader, server: DumpConnection, ahead: bool) -> list[Changes | SingleChanges]:
    """As `Tail` does, until the server closes the connection."""
    place, made = reader.restart(), []
    dump = Dump(lambda: server, 7, place.file, place.position)
    with pytest.raises(SourceUnavailable):
        for event in dump:
            made += reader.feed(event)
            if ahead:
                made += reader.read_ahead(dump)
    return made


def a_reader(flavor: str, place: Place) -> Reader:
    config = shop(mirror=["shop.items"])
    writer = ChangeWriter(Origin(flavor, "shop", 1))
    return Reader(config, writer, place, {}, PreparedTransactions(place, RecordedLogs()))


def sequences(made: Iterable[Changes | SingleChanges]) -> list[tuple[int, int]]:
    """Position and row number of every change."""
    found = [parse_sequence(changes.sequence(index)) for changes in made for index in range(len(changes.lines))]
    return [(one.position, one.row) for one in found]


def row_events(log: WrittenLog) -> list[RawEvent]:
    return [event for event in log.files[log.file] if event.kind == 23]


@pytest.fixture(params=FLAVORS)
def log(request: pytest.FixtureRequest) -> WrittenLog:
    """A transaction that begins below 4 GB; its third row event begins there exactly, the fourth lies above."""
    found = WrittenLog(request.param)
    lengths = WrittenLog(request.param)
    lengths.ordinary((ITEMS, [1, 2]), (ITEMS, [3, 4]), (ITEMS, [5, 6]), (ITEMS, [7, 8]))
    found.position = FOUR_GB - row_events(lengths)[2].position + lengths.files[lengths.file][0].position
    found.ordinary((ITEMS, [1, 2]), (ITEMS, [3, 4]), (ITEMS, [5, 6]), (ITEMS, [7, 8]))
    found.ordinary((ITEMS, [9]))
    return found


@pytest.mark.parametrize("ahead", [False, True], ids=["event by event", "ahead"])
def test_every_change_has_its_true_position(log: WrittenLog, ahead: bool) -> None:
    written = log.files[log.file]
    begin = written[0].position
    rows = [event.position for event in row_events(log)]
    assert rows[1] < FOUR_GB == rows[2] < rows[3]
    reader = a_reader(log.flavor, Place(log.file, begin))
    made = read(reader, server_of(log.flavor, [*beginning(log.file, begin), *(event.data for event in written)]), ahead)
    assert sequences(made) == [*((position, row) for position in rows[:4] for row in (0, 2)), (rows[4], 0)]
    assert reader.place == Place(log.file, written[-1].end) and written[-1].end > FOUR_GB
    assert written[-1].kind == XID


@pytest.mark.parametrize("ahead", [False, True], ids=["event by event", "ahead"])
@pytest.mark.parametrize("done", range(4))
def test_a_restart_inside_of_it(log: WrittenLog, done: int, ahead: bool) -> None:
    """The dump begins where the transaction does, below 4 GB; the row event up to which it is done may be above."""
    written = log.files[log.file]
    rows = [event.position for event in row_events(log)]
    place = Place(log.file, written[0].position, rows[done], 0)
    server = server_of(log.flavor, [*beginning(log.file, place.position), *(event.data for event in written)])
    made = read(a_reader(log.flavor, place), server, ahead)
    assert asked(server) == place.position
    every = [*((position, row) for position in rows[:4] for row in (0, 2)), (rows[4], 0)]
    assert sequences(made) == [one for one in every if one > (rows[done], 0)]


def placed(log: WrittenLog) -> list[Any]:
    """A whole file, whose FORMAT_DESCRIPTION stands in the log."""
    description = beginning(log.file, 4)[1][19:-4]
    log.add(FORMAT_DESCRIPTION, description + bytes(4))
    log.ordinary((ITEMS, [1]))
    log.ordinary((ITEMS, [2]))
    return [beginning(log.file, 4)[0], *(event.data for event in log.files[log.file])]


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_start_above_what_a_request_can_say(flavor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read from its beginning, and everything below the place is passed over; 4 GB are 200 bytes here."""
    log = WrittenLog(flavor)
    sent = placed(log)
    begin = next(event for event in reversed(log.files[log.file]) if event.kind in (33, 162)).position
    monkeypatch.setattr(dump_module, "MAX_DUMP_POSITION", begin - 1)
    server = server_of(flavor, sent)
    reader = a_reader(flavor, Place(log.file, begin))
    made = read(reader, server, ahead=True)
    assert asked(server) == 4
    assert sequences(made) == [(row_events(log)[1].position, 0)]
    assert reader.place == Place(log.file, log.position)
    dump = Dump(lambda: server_of(flavor, sent), 7, log.file, begin + 1)
    with pytest.raises(BadPosition, match=f"inside an event.*{log.file}:{begin + 1}"):
        list(dump)
