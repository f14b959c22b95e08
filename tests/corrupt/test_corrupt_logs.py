"""Recorded logs with one thing wrong in them: which error says so, with what words, and where; all lines that come are
the right ones up to there. Checksums are put right again, unless they are what is wrong."""

# ruff: noqa: E501  one case a line reads better

from __future__ import annotations

from collections.abc import Callable

import pytest

from binlog_worker.log import events
from schemas.errors import (
    BadPosition,
    CorruptBinlog,
    IncidentInBinlog,
    LtvError,
    SourceRefused,
    SourceUnavailable,
    StatementInBinlog,
    UndecodableValue,
    UnsupportedEvent,
    UnsupportedRowImage,
)
from tests.corrupt.damage import Break, Damaged, as_kind, body, body_of, check, event_of, find, header, replaced
from tests.corrupt.recordings import LIVES, Recording, life, read_stream, right_lines
from tests.dump_connection import framed

GTIDS = (events.GTID, events.MARIADB_GTID)
TEXTS = (29, 160)
"""ROWS_QUERY, ANNOTATE_ROWS: harmless."""

WRITES, UPDATES, DELETES = (23, 30), (24, 31), (25, 32)


def cut(size: int) -> Break:
    """A packet that lacks the end of its event."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, WRITES, 2)
        return Damaged(replaced(recording, index, recording.events[index].raw[:-size]), index)

    return broken


def packet(change: Callable[[bytes], bytes]) -> Break:
    """Other bytes in the packet around an event: length 3, sequence 1, status 1, then the event."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, WRITES, 2)
        raws = [event.raw for event in recording.events]
        at = len(framed(raws[:index]))
        stream = recording.stream
        size = len(raws[index]) + 5
        return Damaged(stream[:at] + change(stream[at : at + size]) + stream[at + size :], index)

    return broken


def order(change: Callable[[list[bytes], int], None], before: int = 0) -> Break:
    """Other events in the stream."""

    def broken(recording: Recording) -> Damaged:
        index = find(recording, WRITES, 2) - before
        raws = [event.raw for event in recording.events]
        change(raws, index)
        return Damaged(framed(raws), index)

    return broken


def swap(raws: list[bytes], index: int) -> None:
    raws[index], raws[index + 1] = raws[index + 1], raws[index]


def without_map(recording: Recording) -> Damaged:
    index = find(recording, [events.TABLE_MAP])
    event = recording.events[index]
    raw = event_of(recording, event, body_of(recording, event), kind=28)
    return Damaged(replaced(recording, index, raw), index + 1)


def renamed_columns(inside: bytes) -> bytes:
    return inside.replace(b"amount", b"status")


def primary_key(inside: bytes) -> bytes:
    """Its only column is one that the table does not have."""
    at = inside.index(b"\x08\x01\x00", inside.index(b"amount"))
    return inside[: at + 2] + b"\x09" + inside[at + 3 :]


def precision(inside: bytes) -> bytes:
    return inside.replace(b"\x0c\x02", b"\x0c\x0d", 1)


def one_column_more(inside: bytes) -> bytes:
    """In a row event, behind its table id, flags and extra data: the count."""
    at = 10 if inside[8:10] == b"\2\0" else 8
    return inside[:at] + bytes((inside[at] + 1,)) + inside[at + 1 :]


def one_column_missing(inside: bytes) -> bytes:
    at = 11 if inside[8:10] == b"\2\0" else 9
    return inside[:at] + bytes((inside[at] & ~2,)) + inside[at + 1 :]


CORRUPT: dict[str, tuple[Break, type[LtvError], str]] = {
    # lengths
    "size too large": (header(WRITES, "I", 9, lambda size: size + 1, 2), CorruptBinlog, "in a packet of"),
    "size too small": (header(WRITES, "I", 9, lambda size: size - 1, 2), CorruptBinlog, "in a packet of"),
    "size 0": (header(WRITES, "I", 9, lambda _: 0, 2), CorruptBinlog, "event of 0 bytes in a packet of"),
    "size 18": (header(WRITES, "I", 9, lambda _: 18, 2), CorruptBinlog, "event of 18 bytes in a packet of"),
    "size 4 GB": (header(WRITES, "I", 9, lambda _: 0xFFFFFFFF, 2), CorruptBinlog, "event of 4294967295 bytes"),
    "cut by 1": (cut(1), CorruptBinlog, "in a packet of"),
    "cut by 4": (cut(4), CorruptBinlog, "in a packet of"),
    "cut by 30": (cut(30), CorruptBinlog, "in a packet of"),
    "packet too long": (packet(lambda raw: bytes((raw[0] + 1,)) + raw[1:]), CorruptBinlog, "in a packet of"),
    "packet far too long": (packet(lambda raw: b"\xfe\xff\xff" + raw[3:]), CorruptBinlog, "in a packet of 16777214"),
    "packet of 16 MB": (packet(lambda raw: b"\xff\xff\xff" + raw[3:]), CorruptBinlog, "in packets of more"),
    "packet too short": (packet(lambda raw: bytes((raw[0] - 1,)) + raw[1:]), CorruptBinlog, "in a packet of"),
    "packet of 0": (packet(lambda raw: bytes(3) + raw[3:]), CorruptBinlog, "in a packet of 0"),
    # the packets
    "unknown status": (packet(lambda raw: raw[:4] + b"\1" + raw[5:]), SourceRefused, "unexpected packet 0x01"),
    "error packet": (packet(lambda raw: b"\x09\0\0" + raw[3:4] + b"\xff\x28\x04#HY000"), SourceRefused, "error 1064"),
    # the order
    "swapped": (order(swap), CorruptBinlog, "was expected"),
    "left out": (order(lambda raws, index: raws.__delitem__(index)), CorruptBinlog, "was expected"),
    "sent twice": (order(lambda raws, index: raws.insert(index, raws[index - 1])), CorruptBinlog, "was expected"),
    "two left out": (order(lambda raws, index: raws.__delitem__(slice(index, index + 2)), 1), CorruptBinlog, "expected"),
    "end goes back": (header(WRITES, "I", 13, lambda end: end - 100, 2), CorruptBinlog, "was expected"),
    "end goes on": (header(WRITES, "I", 13, lambda end: end + 1, 2), CorruptBinlog, "was expected"),
    # types
    "unknown type": (as_kind(TEXTS, 200, number=1), UnsupportedEvent, "unknown binlog event type 0xC8"),
    "type 0": (as_kind(TEXTS, 0, number=1), UnsupportedEvent, "unknown binlog event type 0x00"),
    "PARTIAL_UPDATE_ROWS": (as_kind(UPDATES, 39), UnsupportedEvent, "PARTIAL_UPDATE_ROWS .* is not supported"),
    "rows of before 5.1": (as_kind(WRITES, 20), UnsupportedEvent, "PRE_GA_WRITE_ROWS"),
    "INCIDENT": (as_kind(TEXTS, 26, of=b"\1\0\4lost", number=1), IncidentInBinlog, "lost changes: incident 1 lost"),
    "statement": (as_kind(TEXTS, 2, of=bytes(13) + b"\0UPDATE shop.orders SET id = 1", number=1),
                  StatementInBinlog, "UPDATE was logged as a statement"),
    # bodies
    "GTID cut off": (body(GTIDS, lambda raw: raw[:12], 3), CorruptBinlog, "malformed (MARIADB_)?GTID event"),
    "QUERY cut off": (body((2,), lambda raw: raw[:12], 2), CorruptBinlog, "malformed QUERY event"),
    "QUERY of a longer database": (body((2,), lambda raw: raw[:8] + b"\xff" + raw[9:], 2), CorruptBinlog, "the database name"),
    "XID cut off": (body((16,), lambda raw: raw[:7], 2), CorruptBinlog, "malformed XID event"),
    "ROTATE to nowhere": (body((4,), lambda raw: raw[:8], 1), CorruptBinlog, "malformed ROTATE event: not a binlog file"),
    "ROTATE to no log": (body((4,), lambda raw: raw[:8] + b"relay", 1), CorruptBinlog, "not a binlog file name: 'relay'"),
    "ROTATE far away": (body((4,), lambda raw: b"\xff" * 8 + raw[8:], 1), CorruptBinlog, "no place of a log"),
    "format of another version": (body((15,), lambda raw: b"\3" + raw[1:], 1), UnsupportedEvent, "binlog format version 3"),
    "XA_PREPARE of another one": (body((38,), lambda raw: raw[:-1] + b"z"), BadPosition, "which did not begin"),
    "XA_PREPARE of a long name": (body((38,), lambda raw: raw[:5] + b"\x41" + raw[6:]), CorruptBinlog, "an xid of 65"),
    "XA_PREPARE missing": (as_kind((38,), 28, seen=1), CorruptBinlog, "an XA transaction has no XA_PREPARE"),
    # tables
    "TABLE_MAP cut off": (body((19,), lambda raw: raw[:20]), CorruptBinlog, "malformed TABLE_MAP event"),
    "TABLE_MAP of no columns": (body((19,), lambda raw: raw[:22] + b"\0" + raw[23:]), CorruptBinlog, "0 columns"),
    "two columns of one name": (body((19,), renamed_columns), CorruptBinlog, "two columns of one name"),
    "key of a missing column": (body((19,), primary_key), CorruptBinlog, "a primary key of 1 columns"),
    "DECIMAL(12,13)": (body((19,), precision), CorruptBinlog, "metadata that no type has"),
    "name without an end": (body((19,), lambda raw: raw[:13] + b"x" + raw[14:]), CorruptBinlog, "a name does not end"),
    # rows
    "rows without TABLE_MAP": (without_map, CorruptBinlog, "without a TABLE_MAP"),
    "rows of another table": (body(WRITES, lambda raw: b"\x99" + raw[1:]), CorruptBinlog, "table id .* without a TABLE_MAP"),
    "row cut by 1": (body(WRITES, lambda raw: raw[:-1]), CorruptBinlog, "row cut off"),
    "row cut by 20": (body(WRITES, lambda raw: raw[:-20]), CorruptBinlog, "row cut off|malformed row event"),
    "row of 1 byte more": (body(WRITES, lambda raw: raw + b"\0"), CorruptBinlog, "row cut off|malformed row event"),
    "row of 300 bytes more": (body(WRITES, lambda raw: raw + bytes(300)), UndecodableValue, "column order_date"),
    "update without its end": (body(UPDATES, lambda raw: raw[: len(raw) // 2]), CorruptBinlog, "row cut off"),
    "rows cut in the head": (body(WRITES, lambda raw: raw[:9]), CorruptBinlog, "malformed row|without room"),
    "a column more in the rows": (body(WRITES, one_column_more), CorruptBinlog, "5 columns, TABLE_MAP has 4"),
    "a column less in the images": (body(WRITES, one_column_missing), UnsupportedRowImage, "without all columns: order_date"),
    "no text": (body(WRITES, lambda raw: raw[:-4] + b"\xff\xfe\xfd\xfc"), UndecodableValue, r"column status \(varchar\)"),
    "a date of month 13": (
        body(DELETES, lambda raw: raw.replace(b"\x99\xab\xda\xa0\0", b"\x99\xff\xff\xff\xff"), 1), UndecodableValue, "order_date"),
}  # fmt: skip


@pytest.mark.parametrize("ahead", [True, False], ids=["ordinary path", "general path"])
@pytest.mark.parametrize("name", CORRUPT)
@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_named(flavor: str, checksum: str, name: str, ahead: bool) -> None:
    broken, error, words = CORRUPT[name]
    recording = life(flavor, checksum)
    check(recording, broken(recording), error, words, ahead)


@pytest.mark.parametrize("ahead", [True, False], ids=["ordinary path", "general path"])
@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_an_unknown_type_that_may_be_ignored(flavor: str, checksum: str, ahead: bool) -> None:
    """It changes nothing. That it is counted and said: see the unit tests of events."""
    recording = life(flavor, checksum)
    broken = as_kind(TEXTS, 200, flags=events.FLAG_IGNORABLE, number=1)(recording)
    outcome = read_stream(recording, broken.stream, ahead=ahead)
    assert outcome.in_order() == right_lines(recording)
    assert type(outcome.error) is SourceUnavailable


@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_rows_outside_of_any_transaction(flavor: str, checksum: str) -> None:
    """Behind the end of the one that their TABLE_MAP is in."""
    recording = life(flavor, checksum)
    rows, end = find(recording, WRITES), find(recording, (events.XID,))
    raws = [event.raw for event in recording.events]
    late = recording.events[end]._replace(start=recording.events[end].start + len(raws[end]))
    found = event_of(recording, late, body_of(recording, recording.events[rows]), kind=recording.events[rows].kind)
    outcome = read_stream(recording, framed([*raws[: end + 1], found]))
    with pytest.raises(CorruptBinlog, match=f"row event outside of any transaction .*{late.file}:{late.start}"):
        raise outcome.error or AssertionError
    assert len(outcome.lines) == 1


@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_cut_streams(flavor: str, checksum: str) -> None:
    """Between two packets, or in one: the connection is lost, and what came before it is right."""
    recording, seen = life(flavor, checksum), set()
    for at in range(0, len(recording.stream), 61):
        outcome = read_stream(recording, recording.stream[:at])
        assert type(outcome.error) is SourceUnavailable, at
        lines = outcome.in_order()
        assert lines == right_lines(recording)[: len(lines)], at
        seen.add(len(lines))
    assert len(seen) > 10


@pytest.mark.parametrize("statement", ["XA START X'62',X'',1", "XA COMMIT X'62',X'',1", "XA ROLLBACK X'62',X'',1"])
def test_xa_statements_inside_of_a_transaction(statement: str) -> None:
    """Instead of its XA END."""
    recording = life("mysql", "crc32")
    index = next(index for index, event in enumerate(recording.events) if b"XA END" in event.raw)
    inside = body_of(recording, recording.events[index])
    raw = event_of(recording, recording.events[index], inside[: inside.index(b"XA END")] + statement.encode())
    check(recording, Damaged(replaced(recording, index, raw), index), CorruptBinlog, "has no XA_PREPARE", True)
