"""The recorded logs beside this file, packet by packet as a server sent them, and what comes of reading such a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.ddl.statement_changes import Reload
from binlog_worker.log import events
from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import HEADER, RawEvent
from binlog_worker.position.gtids import parse_gtids
from binlog_worker.reader import Reader
from binlog_worker.sinks.packer import PackedSchema
from binlog_worker.xa.prepared import PreparedTransactions
from schemas.checkpoint import Place
from schemas.config import ShopConfig
from schemas.config_file import parse_config
from schemas.errors import LtvError, SourceUnavailable
from tests.dump_connection import DumpConnection
from tests.past_logs import RecordedLogs

FOLDER = Path(__file__).parent
FLAVORS = ("mariadb", "mysql")
CHECKSUMS = ("crc32", "none")
LIFE, TYPES = "{}-{}.packets", "{}-types.packets"

GTIDS = frozenset((events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED, events.MARIADB_GTID))


def cut_out(stream: bytes) -> Iterator[bytes]:
    """The inverse of `framed`."""
    pos = 0
    while pos < len(stream):
        end = pos + 4 + int.from_bytes(stream[pos : pos + 3], "little")
        yield stream[pos + 5 : end]
        pos = end


def with_checksum(raw: bytes) -> bytes:
    """With the four bytes at its end put right."""
    return raw[:-4] + crc32(raw[:-4]).to_bytes(4, "little")


class Recorded(NamedTuple):
    """An event as sent. `start` is its position in `file` (that where it stands in the stream, if it is not in the
    file); `transaction` is 0 outside of any, else their number counted from 1."""

    kind: int
    raw: bytes
    file: str
    start: int
    transaction: int


class Recording:
    """One file of packets."""

    def __init__(self, flavor: str, checksum: str, name: str = LIFE) -> None:
        self.flavor, self.checksum = flavor, checksum == "crc32"
        self.stream = (FOLDER / name.format(flavor, checksum)).read_bytes()
        self.events = list(self._placed(cut_out(self.stream)))
        first = self.events[0]
        self.begin = Place(first.raw[27:-4].decode(), int.from_bytes(first.raw[19:27], "little"))

    @staticmethod
    def _placed(raws: Iterable[bytes]) -> Iterator[Recorded]:
        file, start, transaction, begun = "", 0, 0, False
        for raw in raws:
            _, kind, _, size, end, flags = HEADER.unpack_from(raw)
            logged = end and not flags & events.FLAG_ARTIFICIAL and kind != events.HEARTBEAT
            if kind in GTIDS:
                transaction, begun = transaction + 1, True
            elif kind in (events.ROTATE, events.FORMAT_DESCRIPTION, events.HEARTBEAT):
                begun = False
            yield Recorded(kind, raw, file, end - size if logged else start, transaction * begun)
            start = end if logged else start
            if kind == events.ROTATE:
                name = raw[27:-4] if crc32(raw) == 0x2144DF1C else raw[27:]
                file, start = name.decode(), int.from_bytes(raw[19:27], "little")

    def __str__(self) -> str:
        return f"{self.flavor}-{'crc32' if self.checksum else 'none'}"


LIVES = [(flavor, checksum) for flavor in FLAVORS for checksum in CHECKSUMS]


@cache
def life(flavor: str, checksum: str) -> Recording:
    return Recording(flavor, checksum)


class Line(NamedTuple):
    """A change event, or that a table must be loaded again. `line` lacks the time at which it was made."""

    table: str
    sequence: str
    committed_at: str
    line: bytes
    schema: bytes


def is_prefix(lines: Sequence[Line], whole: Sequence[Line]) -> bool:
    """Whether they are the first ones of `whole` from some place on."""
    if not lines:
        return True
    first = whole.index(lines[0])
    return whole[first : first + len(lines)] == lines


class Outcome(NamedTuple):
    """`error` is what ended it; a server that has nothing more to send closes the connection."""

    lines: list[Line]
    error: LtvError | None
    place: Place

    def in_order(self) -> list[Line]:
        """Of the log: what is received at once is grouped by tables, each of which is in order."""
        for table in {line.table for line in self.lines}:
            sequences = [line.sequence for line in self.lines if line.table == table]
            assert sequences == sorted(set(sequences))
        return sorted(self.lines, key=lambda line: line.sequence)


@cache
def shop() -> ShopConfig:
    return parse_config(
        "time_zone: UTC\ncurrency: EUR\nmirror: [shop.items]\ntables: {orders: {name: shop.orders, columns:"
        " {id: id, customer_id: note, ordered_at: order_date, amount: amount, status: status}}}\n"
    )


def a_reader(
    flavor: str, begin: Place, *, schemas: Mapping[str, PackedSchema] | None = None, past: RecordedLogs | None = None
) -> Reader:
    prepared = PreparedTransactions(begin, past or RecordedLogs())
    writer = ChangeWriter(Origin(flavor, "shop", 1))
    return Reader(shop(), writer, begin, schemas or {}, prepared, gtids=parse_gtids("", flavor))


def lines_of(made: Iterable[Any]) -> Iterator[Line]:
    for change in made:
        if isinstance(change, Reload):
            yield Line(change.table, change.sequence, change.committed_at, _timeless(change.line), b"")
            continue
        schema = change.schema
        for index, line in enumerate(change.lines):
            sequence, committed_at = change.sequence(index), change.committed(index)
            yield Line(schema.schema.table, sequence, committed_at, _timeless(line), schema.line)


def _timeless(line: bytes) -> bytes:
    return line[: line.rindex(b',"ts_ms":')] + b"}"


def read(reader: Reader, flavor: str, stream: bytes, *, ahead: bool = True) -> Outcome:
    """The loop of `Tail`, less the sink, over one connection. What is not of our error tree is raised."""
    place = reader.restart()
    dump = Dump(
        lambda: DumpConnection.holding(stream, flavor), 7, place.file, place.position, heartbeat=1, read_timeout=5
    )
    lines: list[Line] = []
    log = PlainEvents(dump)
    try:
        for event in log:
            lines += lines_of(reader.feed(event))
            if ahead and not log.unpacking:
                lines += lines_of(reader.read_ahead(dump))
    except LtvError as error:
        return Outcome(lines, error, reader.place)
    finally:
        dump.close()
    return Outcome(lines, None, reader.place)


@cache
def past_logs(flavor: str, checksum: str) -> RecordedLogs:
    """What `life` has in each file, for the rows of XA transactions that began below where a reader does."""
    recording, files = life(flavor, checksum), dict[str, list[RawEvent]]()
    connection = DumpConnection.holding(recording.stream, flavor)
    dump = Dump(lambda: connection, 7, *recording.begin[:2], heartbeat=1, read_timeout=5)
    with contextlib.suppress(SourceUnavailable), contextlib.closing(dump):
        for event in PlainEvents(dump):
            if event.end > event.position:
                files.setdefault(event.file, []).append(event)
    return RecordedLogs(files)


@cache
def seen_schemas(flavor: str, checksum: str) -> Mapping[str, PackedSchema]:
    """Of the tables in `life`, as a reader knows them in the end."""
    recording = life(flavor, checksum)
    reader = a_reader(flavor, recording.begin)
    read(reader, flavor, recording.stream)
    return reader._schemas


def read_stream(recording: Recording, stream: bytes, *, ahead: bool = True) -> Outcome:
    """By a reader that begins where the recording does."""
    return read(a_reader(recording.flavor, recording.begin), recording.flavor, stream, ahead=ahead)


@cache
def right_lines(recording: Recording) -> Sequence[Line]:
    """What comes of it when nothing is wrong."""
    return read_stream(recording, recording.stream).in_order()
