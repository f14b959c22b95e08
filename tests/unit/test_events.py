"""Bodies of binlog events, from bytes of real servers and from hand-made ones; every event code is decided."""

# ruff: noqa: E501  hexadecimal bodies

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import pytest

from binlog_worker import metrics
from binlog_worker.log import events
from binlog_worker.log.dump import CRC_RESIDUE
from binlog_worker.log.dump_errors import dump_error
from binlog_worker.log.event_bodies import client_collation, is_begin, parse_heartbeat_v2
from binlog_worker.log.events import EVENT_KINDS, HEADER, Query, RawEvent, parse
from schemas.errors import (
    BadPosition,
    CorruptBinlog,
    DuplicateServerId,
    IncidentInBinlog,
    PurgedBinlog,
    SourceRefused,
    SourceUnavailable,
    TruncatedBinlog,
    UnsupportedEvent,
)


def event(kind: int, body: bytes, server_id: int = 7, log_pos: int = 500) -> RawEvent:
    header = HEADER.pack(1_700_000_000, kind, server_id, 19 + len(body), log_pos, 0)
    return RawEvent(kind, 1_700_000_000, server_id, 0, "mysql-bin.000003", 400, log_pos, header + body)


def query(sql: bytes, status: bytes = b"", db: bytes = b"shop") -> bytes:
    return struct.pack("<IIBHH", 11, 2, len(db), 0, len(status)) + status + db + b"\0" + sql


def test_every_code_has_exactly_one_verdict() -> None:
    for code, kind in EVENT_KINDS.items():
        verdicts = [kind.parser is not None, kind.harmless is not None, kind.refused is not None, kind.packed]
        rows = code == events.TABLE_MAP or code in events.ROWS
        assert sum(verdicts) == (0 if rows else 1), kind
    assert set(EVENT_KINDS) >= {*range(1, 43), *range(160, 172)}


@pytest.mark.parametrize("code", [code for code, kind in EVENT_KINDS.items() if kind.refused])
def test_refused_by_name_and_position(code: int) -> None:
    with pytest.raises(UnsupportedEvent, match=f"{EVENT_KINDS[code].name} .*mysql-bin.000003:400") as raised:
        parse(event(code, b"\0" * 20))
    assert raised.value.hint


@pytest.mark.parametrize("code", [code for code, kind in EVENT_KINDS.items() if kind.packed])
def test_compressed_events_do_not_pass_for_harmless(code: int) -> None:
    with pytest.raises(UnsupportedEvent, match=f"{EVENT_KINDS[code].name} .*was not unpacked.*mysql-bin.000003:400"):
        parse(event(code, b"\0" * 20))


@pytest.mark.parametrize("code", [0, 43, 99, 172, 255])
def test_unknown_code_is_refused_and_counted(code: int) -> None:
    before = counted(metrics.UNSUPPORTED, f"0x{code:02X}")
    with pytest.raises(UnsupportedEvent, match=f"0x{code:02X}"):
        parse(event(code, b""))
    assert counted(metrics.UNSUPPORTED, f"0x{code:02X}") == before + 1


def counted(counter: Any, event: str) -> float:
    return float(counter.labels(event)._value.get())


def test_what_is_not_understood_of_a_known_event_is_counted_by_its_name() -> None:
    refused = [code for code, kind in EVENT_KINDS.items() if kind.refused]
    for code, body in (
        (refused[0], b""),
        (42, bytes((2, 20, 60, 26 << 1, 0))),
        (15, struct.pack("<H50sIB", 3, b"", 0, 19)),
    ):
        before = counted(metrics.UNSUPPORTED, EVENT_KINDS[code].name)
        with pytest.raises(UnsupportedEvent):
            parse(event(code, body + bytes(41) if code == 15 else body))
        assert counted(metrics.UNSUPPORTED, EVENT_KINDS[code].name) == before + 1


def test_an_unknown_event_is_ignored_where_the_server_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Counted, and said once."""
    unknown = event(77, b"what comes after us")
    before = counted(metrics.IGNORED, "0x4D")
    for _ in range(3):
        assert parse(unknown._replace(flags=0x80 | 0x08)) is None
    assert counted(metrics.IGNORED, "0x4D") == before + 3
    assert [record.levelname for record in caplog.records if getattr(record, "event", "") == "0x4D"] == ["WARNING"]
    refused = next(code for code, kind in EVENT_KINDS.items() if kind.refused)
    with pytest.raises(UnsupportedEvent):
        parse(event(refused, b"")._replace(flags=0x80))


@pytest.mark.parametrize("code", [code for code, kind in EVENT_KINDS.items() if kind.harmless])
def test_harmless_is_none(code: int) -> None:
    assert parse(event(code, b"\xff" * 9)) is None


def test_rotate_past_four_gigabytes() -> None:
    assert parse(event(4, (1 << 33).to_bytes(8, "little") + b"mysql-bin.000012")) == ("mysql-bin.000012", 1 << 33)


def test_format_description() -> None:
    body = struct.pack("<H50sIB", 4, b"10.11.19-MariaDB-log", 1_795_413_582, 19) + bytes(40) + b"\x01"
    assert parse(event(15, body)) == ("10.11.19-MariaDB-log", 1_795_413_582, bytes(40), True)
    with pytest.raises(UnsupportedEvent):
        parse(event(15, struct.pack("<H50sIB", 3, b"5.0", 0, 19) + bytes(40) + b"\x00"))


@pytest.mark.parametrize("name", ["", "mysql-bin", "mysql-bin.", "mysql-bin.00001x", "mysql-bin.99999999999"])
def test_rotate_to_what_is_no_log(name: str) -> None:
    with pytest.raises(CorruptBinlog, match="malformed ROTATE event: no"):
        parse(event(4, (4).to_bytes(8, "little") + name.encode()))


def test_rotate_to_a_position_that_no_file_has() -> None:
    with pytest.raises(CorruptBinlog, match="no place of a log"):
        parse(event(4, bytes(7) + b"\x80" + b"mysql-bin.000012"))


SID = bytes.fromhex("f916e27de70111f18e0d02fc00000001")
UUID = "f916e27d-e701-11f1-8e0d-02fc00000001"
CLOCK = b"\x02" + struct.pack("<qq", 5, 6)


def seven(value: int) -> bytes:
    return value.to_bytes(7, "little")


def test_gtid_of_every_age() -> None:
    head = b"\0" + SID + (77).to_bytes(8, "little")
    assert parse(event(33, head)) == (f"{UUID}:77", 0, 0, 0, 0, 0)
    assert parse(event(33, head + CLOCK)) == (f"{UUID}:77", 5, 6, 0, 0, 0)
    immediate = 1_795_413_113_212_992
    assert parse(event(33, head + CLOCK + seven(immediate) + b"\xfc\x00\x01")) == (
        f"{UUID}:77",
        5,
        6,
        immediate,
        immediate,
        256,
    )
    both = head + CLOCK + seven(immediate | 1 << 55) + seven(123) + b"\x09" + bytes(4)
    assert parse(event(33, both)) == (f"{UUID}:77", 5, 6, 123, immediate, 9)
    assert parse(event(34, both)) == ("", 5, 6, 123, immediate, 9)


TAGGED = {
    "0278000002022502dcf0090230f90322bd03ad02210244445a6851032204d903060c6161626263630800 0a040c7fcfdeef6a062e0610450312c3020b": (
        "896e7882-18fe-11ef-ab88-22222d34d411:aabbcc:123", 0, 1, 1739454959050447, 1739454959050447, 209,
    ),
    "027800000002aaaaaaaa88886666444422222222222204 73201b06147365636f6e6474657374 08c10e0ad10e0c7f23354861bd260610590412a3ff0a": (
        "55555555-4444-3333-2222-111111111111:secondtest:111111", 472, 474, 1731444683060515, 1731444683060515, 278,
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", TAGGED)
def test_tagged_gtid_as_mysql_writes_it(body: str) -> None:
    assert parse(event(42, bytes.fromhex(body))) == TAGGED[body]


def test_tagged_gtid_refuses_a_field_it_must_not_ignore() -> None:
    with pytest.raises(UnsupportedEvent):
        parse(event(42, bytes((2, 20, 60, 26 << 1, 0))))
    with pytest.raises(CorruptBinlog):
        parse(event(42, bytes((2, 20, 0))))


def varlen(*numbers: int) -> bytes:
    """Each below 128, as mysql::serialization has them."""
    return bytes(number << 1 for number in numbers)


@pytest.mark.parametrize("number", [0, -1, -(1 << 63)])
def test_numbers_that_no_transaction_has(number: int) -> None:
    with pytest.raises(CorruptBinlog, match=f"transaction number {number}"):
        parse(event(33, b"\0" + SID + number.to_bytes(8, "little", signed=True)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (varlen(2, 2 * 5, 3, 2) + b'a"' + varlen(6, 1), "tag"),
        (varlen(2, 0), "transaction number 0"),
        (varlen(2, 2 * 5, 6) + b"\xff" + bytes(7) + b"\1", "committed at"),
    ],
)
def test_tagged_gtid_that_is_none(fields: bytes, words: str) -> None:
    """Nothing that is not a tag gets into a line of JSON."""
    with pytest.raises(CorruptBinlog, match=f"malformed GTID_TAGGED event: {words}"):
        parse(event(42, varlen(1, 60, 0, 1, *[7] * 16) + fields))


def test_mariadb_gtid() -> None:
    found = parse(event(162, struct.pack("<QIB", 77, 3, 1 | 32) + bytes(6), server_id=9))
    assert isinstance(found, events.MariadbGtid)
    assert (found.text, found.standalone, found.prepared_xid) == ("3-9-77", True, "")


XA_OF_MARIADB = {
    "050000000000000000000000 4c 07000000 03 02 6127627100 01ff": "X'612762',X'7100',7",
    "030000000000000000000000 4e 1300000000000000 01000000 02 01 673162 01ff": "X'6731',X'62',1",
    "060000000000000000000000 8d 07000000 03 02 6127627100": "",
    "090000000000000000000000 0c 000000000000": "",
}


@pytest.mark.parametrize("body", XA_OF_MARIADB)
def test_mariadb_gtid_names_a_transaction_to_be_prepared(body: str) -> None:
    found = parse(event(162, bytes.fromhex(body)))
    assert isinstance(found, events.MariadbGtid)
    assert found.prepared_xid == XA_OF_MARIADB[body]


PREPARES = {
    "00 07000000 03000000 02000000 6127627100": ("X'612762',X'7100',7", False),
    "01 01000000 01000000 00000000 6f": ("X'6f',X'',1", True),
    "00 ffffffff 02000000 00000000 6e66": ("X'6e66',X'',4294967295", False),
}


@pytest.mark.parametrize("body", PREPARES)
def test_xa_prepare(body: str) -> None:
    assert parse(event(38, bytes.fromhex(body))) == PREPARES[body]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (38, "00 07000000 03000000 03000000 6127627100"),
        (38, "00 07000000 41000000 00000000" + "61" * 65),
        (162, "050000000000000000000000 4c 07000000 03 03 6127627100"),
        (162, "050000000000000000000000 4c 07000000 41 00" + "61" * 65),
    ],
)
def test_xids_that_do_not_fit_are_corrupt(kind: int, body: str) -> None:
    with pytest.raises(CorruptBinlog, match="an xid of"):
        parse(event(kind, bytes.fromhex(body)))


def test_query_in_the_client_character_set() -> None:
    assert parse(event(2, query(b"BEGIN"))) == Query(11, 2, 0, "shop", "BEGIN")
    latin1 = b"\x00\x00\x00\x00\x00\x01" + bytes(8) + b"\x06\x03std" + b"\x04\x08\x00\x08\x00\x08\x00"
    found = parse(event(2, query("DROP TABLE größe".encode("cp1252"), latin1)))
    assert isinstance(found, Query) and found.sql == "DROP TABLE größe"
    assert parse(event(18, query(b"", b"")[:13] + bytes(13) + b"shop\0LOAD DATA")) == Query(
        11, 2, 0, "shop", "LOAD DATA"
    )


def test_a_query_of_a_client_without_character_set() -> None:
    """`SET NAMES binary`: names are in UTF-8, comments in whatever they are."""
    status = b"\x04\x3f\x00\x3f\x00\x3f\x00"
    found = parse(event(2, query("DROP TABLE größe /*".encode() + b"\xff*/", status)))
    assert isinstance(found, Query) and found.sql == "DROP TABLE größe /*\\xff*/"


def test_a_query_that_only_ends_like_begin() -> None:
    short = event(2, b"BEGIN").data
    assert not is_begin(short, 0, len(short))
    whole = event(2, query(b"BEGIN")).data
    assert is_begin(whole, 0, len(whole))


def test_character_set_is_found_behind_newer_variables() -> None:
    charset = b"\x04\x21\x00\x21\x00\x21\x00"
    before = [
        b"\x83\x02" + bytes(8),
        b"\x82\x01",
        b"\x82\x04" + bytes(8),
        b"\x80" + bytes(3),
        b"\x0b\x01u\x01h",
        b"\x0c\x02a\0b\0",
        b"\x0c\xfe",
    ]
    for variables in before:
        assert client_collation(variables + charset) == 33
    assert client_collation(b"\x07\0\0") is None
    with pytest.raises(ValueError, match="200"):
        client_collation(b"\xc8" + charset)


def test_heartbeats() -> None:
    assert parse(event(27, b"mysql-bin.000003")) == ("mysql-bin.000003", 500)
    body = b"\x01\x10mysql-bin.000003" + b"\x02\x09\xfe" + (1 << 40).to_bytes(8, "little") + b"\x00"
    assert parse_heartbeat_v2(bytes(19) + body) == ("mysql-bin.000003", 1 << 40)


def test_incident_stops() -> None:
    with pytest.raises(IncidentInBinlog, match=r"lost some.*mysql-bin.000003:400"):
        parse(event(26, b"\x01\x00\x09lost some"))


@pytest.mark.parametrize("kind", [2, 4, 15, 33, 38, 42, 162])
@pytest.mark.parametrize("size", range(12))
def test_cut_off_bodies_are_corrupt_not_read(kind: int, size: int) -> None:
    try:
        parse(event(kind, (b"\xff" * 40)[:size]))
    except (CorruptBinlog, UnsupportedEvent) as error:
        assert error.position == "mysql-bin.000003:400"
    else:
        assert kind == 4 and size > 8


def test_checksum_residue() -> None:
    raw = event(16, bytes(8)).data
    assert crc32(raw + crc32(raw).to_bytes(4, "little")) == CRC_RESIDUE


DUMP_ERRORS = [
    (1236, "Could not find first log file name in binary log index file", PurgedBinlog),
    (1236, "Cannot replicate because the source purged required binary logs.", PurgedBinlog),
    (1789, "anything", PurgedBinlog),
    (
        1236,
        "Client requested master to start replication from impossible position; the first event 'x' at 5",
        BadPosition,
    ),
    (1236, "Client requested source to start replication from position > file size", BadPosition),
    (1236, "Client requested source to start replication from position < 4", BadPosition),
    (
        1236,
        "A replica with the same server_uuid/server_id as this replica has connected to the source;",
        DuplicateServerId,
    ),
    (1236, "A slave with the same server_uuid/server_id as this slave has connected to the master;", DuplicateServerId),
    (4052, "A slave with the same server_uuid/server_id is already connected;", DuplicateServerId),
    (1236, "binlog truncated in the middle of event; consider out of disk space on master;", TruncatedBinlog),
    (1236, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source;", SourceRefused),
    (1236, "Binary log is not open", SourceRefused),
    (1236, "something new", SourceRefused),
    (1227, "Access denied; you need the REPLICATION SLAVE privilege", SourceRefused),
    (1053, "Server shutdown in progress", SourceUnavailable),
    (1317, "Query execution was interrupted", SourceUnavailable),
]


@pytest.mark.parametrize(("errno", "text", "kind"), DUMP_ERRORS)
def test_dump_errors_are_told_apart(errno: int, text: str, kind: type[Exception]) -> None:
    error = dump_error(errno, text, "mysql-bin.000003:400")
    assert type(error) is kind
    assert text in str(error) and str(errno) in str(error) and "mysql-bin.000003:400" in str(error)


def test_a_broken_event_at_the_very_start_is_a_bad_position() -> None:
    assert type(dump_error(1236, "binlog truncated in the middle of event;", at_start=True)) is BadPosition
    assert type(dump_error(1236, "log event entry exceeded max_allowed_packet;", at_start=True)) is BadPosition
