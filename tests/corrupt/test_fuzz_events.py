"""Events other than rows, compressed ones, statements and whole streams with wrong bytes in them: an error of our tree,
or what is read is right."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest

from binlog_worker.changes import iso_utc
from binlog_worker.ddl.statements import Kind, classify
from binlog_worker.decoding.rows import decode_rows
from binlog_worker.log import events
from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.events import EVENT_KINDS, Gtid, MariadbGtid, Query, RawEvent, Rotate, parse
from binlog_worker.position.gtids import parse_gtids
from schemas.errors import SourceUnavailable
from schemas.sequence import binlog_number, format_sequence, parse_sequence, sequence_prefix
from tests.corrupt import every_type, life
from tests.corrupt.checked_rows import all_tables, check_rows, tables_of
from tests.corrupt.damage import FIRST, before, event_of, moved, packed, record_start, unpacked
from tests.corrupt.fuzzing import Attempt, bodies, fuzz
from tests.corrupt.mutation import Mutator, Source, recordings, sources
from tests.corrupt.recordings import (
    Line,
    a_reader,
    is_prefix,
    past_logs,
    read,
    right_lines,
    seen_schemas,
)
from tests.dump_connection import framed
from tests.unit.test_events import TAGGED, query

pytestmark = pytest.mark.usefixtures("bounded")

PARSED = sorted(kind for kind in sources() if EVENT_KINDS[kind].parser is not None)
PACKED = sorted(kind for kind in sources() if EVENT_KINDS[kind].packed)
CONFIGURED = [(life.DATABASE, "orders"), (life.DATABASE, "items")]

UUID_TEXT = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GTID_TEXT = re.compile(rf"({UUID_TEXT}:([a-z_][a-z0-9_]{{0,31}}:)?[1-9]\d{{0,18}})?")
MARIADB_TEXT = re.compile(r"\d{1,10}-\d{1,10}-\d{1,20}")


def check_parsed(event: RawEvent) -> None:
    found = parse(event)
    if isinstance(found, Query):
        assert classify(found.sql, found.db, CONFIGURED).kind in Kind
    elif isinstance(found, Gtid):
        assert GTID_TEXT.fullmatch(found.text)
        iso_utc(found.immediate_commit_us), iso_utc(found.original_commit_us)
        parse_gtids("", "mysql").add(found.text or f"{UUID(int=0)}:1")
    elif isinstance(found, MariadbGtid):
        assert MARIADB_TEXT.fullmatch(found.text)
        parse_gtids("", "mariadb").add(found.text)
    elif isinstance(found, Rotate):
        format_sequence(1, binlog_number(found.file)[1], found.position, 0)


def other_sources() -> Iterator[Source]:
    """Of kinds that are in no recording."""
    some = sources()[events.QUERY][0]
    yield from (some._replace(kind=events.GTID_TAGGED, body=bytes.fromhex(body)) for body in TAGGED)
    query = next(source.body for source in sources()[events.QUERY] if b"ALTER" in source.body)
    yield some._replace(kind=18, body=query[:13] + bytes(13) + query[13:])
    file = some.recording.begin.file.encode()
    yield some._replace(kind=events.HEARTBEAT_V2, body=b"\1" + bytes((len(file),)) + file + b"\2\1\x09\0")
    yield some._replace(kind=26, body=b"\1\0\4lost")


def test_other_events() -> None:
    """GTIDs, statements, XA, rotations: whatever has a parser."""
    kinds = {kind: sources()[kind] for kind in PARSED}
    for source in other_sources():
        kinds.setdefault(source.kind, []).append(source)

    def attempt(chance: Mutator) -> Attempt:
        source = chance.choice(kinds[chance.choice(list(kinds))])
        body = chance.mutated(source.body, [other.body for other in kinds[source.kind]])
        return source, body, lambda: check_parsed(source.event(body))

    fuzz(0.2, "events", attempt)


def repacked(chance: Mutator, source: Source) -> bytes:
    """With wrong bytes in what is compressed."""
    if source.kind == events.TRANSACTION_PAYLOAD:
        return packed(chance.mutated(unpacked(source.body)))
    head = record_start(source.body)
    inside = chance.mutated(zlib.decompress(source.body[head + 1 + (source.body[head] & 7) :]))
    return source.body[:head] + b"\x82" + len(inside).to_bytes(2, "big") + zlib.compress(inside)


def test_compressed_events() -> None:
    def attempt(chance: Mutator) -> Attempt:
        source = chance.choice(sources()[chance.choice(PACKED)])
        plain = chance.random() < 0.5
        body = chance.mutated(source.body, bodies(source.kind)) if plain else repacked(chance, source)

        def look() -> None:
            tables = all_tables(source.recording.flavor)
            tables.by_id.update(tables_of(source.recording).by_id)
            for event in PlainEvents([source.event(body)]):
                if event.kind == events.TABLE_MAP:
                    tables.remember(event)
                elif event.kind in events.ROWS:
                    check_rows(decode_rows(event, tables))
                else:
                    check_parsed(event)

        return source, body, look

    fuzz(0.1, "compressed", attempt)


FOLLOWING = 6


def test_streams() -> None:
    """By way of the dump and the reader, on both of its paths; what was before the event comes as it is."""
    chosen = [source for kind in sources() for source in sources()[kind] if source.recording in recordings()[:4]]
    chosen = [source for source in chosen if source.place >= FIRST]

    def attempt(chance: Mutator) -> Attempt:
        source = chance.choice(chosen)
        recording, event = source.recording, source.recording.events[source.place]
        body = chance.mutated(source.body, bodies(source.kind))
        flavor, checksum = recording.flavor, "crc32" if recording.checksum else "none"

        def look() -> None:
            place, raws = before(recording, source.place)
            raw = event_of(recording, event, body)
            following = recording.events[source.place + 1 : source.place + 1 + FOLLOWING]
            raws += [raw, *moved(recording, following, len(raw) - len(event.raw))]
            outcomes = []
            for ahead in (True, False):
                schemas, past = seen_schemas(flavor, checksum), past_logs(flavor, checksum)
                reader = a_reader(flavor, place, schemas=schemas, past=past)
                outcomes.append(read(reader, flavor, framed(raws), ahead=ahead))
            one, other = (outcome.in_order() for outcome in outcomes)
            assert one == other
            assert [type(outcome.error) for outcome in outcomes] == 2 * [type(outcomes[0].error)]
            here = f"{sequence_prefix(1, binlog_number(event.file)[1], event.start)}"
            assert is_prefix([line for line in one if line.sequence < here], right_lines(recording))
            for line in one:
                check_line(line)
            error = outcomes[0].error
            assert error is not None
            if not isinstance(error, SourceUnavailable):
                raise error

        return source, body, look

    fuzz(0.03, "streams", attempt)


def check_line(line: Line) -> None:
    found = orjson.loads(line.line)
    assert "reload" in found or found["op"] in "cudt"
    parse_sequence(line.sequence)


STATEMENTS = [
    *(sql.removeprefix(life.SECOND_SESSION).removeprefix(life.COMPRESSED) for sql in life.SQL),
    *every_type.TABLES["mysql"],
    'SET STATEMENT max_statement_time=1 FOR DROP TABLE IF EXISTS `shop`.`orders`, items /* all "of" it\'s */;',
    "ALTER TABLE shop.orders ADD COLUMN (x INT DEFAULT 1, `y``z` ENUM('a','it''s','\\\\'))",
    "ALTER TABLE other EXCHANGE PARTITION p WITH TABLE orders, COMMENT = 'b', RENAME TO items",
    "CREATE OR REPLACE TABLE items (a INT AS (b + 1)) AS SELECT 1 -- behind\nFROM orders # more",
    "RENAME TABLE shop.orders TO shop.old, shop.new TO shop.orders",
]
CODE = b"`\"'\\\\;,.()/*!-# \n"


def test_statements() -> None:
    """Also long ones of what is said in few bytes again and again: the time that it takes is bounded."""
    source = sources()[events.QUERY][0]

    def attempt(chance: Mutator) -> Attempt:
        sql = chance.mutated(chance.choice(STATEMENTS).encode(), [other.encode() for other in STATEMENTS])
        if chance.random() < 0.2:
            at = chance.randrange(len(sql) + 1)
            piece = sql[at : at + 8] if chance.random() < 0.5 else bytes(chance.choices(CODE, k=chance.randrange(1, 5)))
            sql = sql[:at] + piece * chance.choice((10, 200, 2_000)) + sql[at:]
        body = query(sql)
        return source, body, lambda: check_parsed(source.event(body))

    fuzz(0.05, "statements", attempt)
