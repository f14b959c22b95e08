"""Events that are not understood, in the log of real servers: the worker stops with a named error and counters, what
was before has left, and a start behind it goes on; only what the server itself calls ignorable is passed by."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from worker_shop import Shop, Topic, orders

import binlog_worker.run as worker
from binlog_worker import metrics
from binlog_worker.log.dump import Dump
from schemas.errors import IncidentInBinlog, LtvError, UnsupportedEvent

MARK = b"/* what only a newer server knows */"
UNKNOWN, INCIDENT, IGNORABLE = 79, 26, 0x80
BEFORE_KIND, BEFORE_FLAGS, HEADER = 4, 17, 19

Change = Callable[[bytes], bytes]
"""An event without its checksum → another one of the same length."""


class AlteredSocket(socket.socket):
    """Hands on whole packets; the event that holds MARK is another one, with its checksum put right."""

    def __init__(self, given: socket.socket, change: Change) -> None:
        super().__init__(fileno=given.detach())
        self._change, self._packets = change, bytearray()

    def recv(self, size: int, flags: int = 0) -> bytes:
        while True:
            self._packets += super().recv(size, flags)
            made = b""
            while len(self._packets) >= 4:
                length = 4 + int.from_bytes(self._packets[:3], "little")
                if len(self._packets) < length:
                    break
                made += self._packet(bytes(self._packets[:length]))
                del self._packets[:length]
            if made:
                return made

    def _packet(self, packet: bytes) -> bytes:
        if MARK not in packet or packet[5 + BEFORE_KIND] not in (29, 160):
            return packet
        event = self._change(packet[5:-4])
        return packet[:5] + event + crc32(event).to_bytes(4, "little")


def of_kind(kind: int, flags: int = 0) -> Change:
    def change(event: bytes) -> bytes:
        flagged = int.from_bytes(event[BEFORE_FLAGS:HEADER], "little") & ~IGNORABLE | flags  # ROWS_QUERY has it
        head = event[:BEFORE_KIND] + bytes((kind,)) + event[BEFORE_KIND + 1 : BEFORE_FLAGS]
        return head + flagged.to_bytes(2, "little") + event[HEADER:]

    return change


def incident(event: bytes) -> bytes:
    message = event[HEADER + 3 :]
    return of_kind(INCIDENT)(event[:HEADER] + b"\1\0" + bytes((len(message) & 0xFF,)) + message)


def alter(patch: pytest.MonkeyPatch, change: Change) -> None:
    class AlteredDump(Dump):
        def _start(self, server_id: int, heartbeat: float) -> socket.socket:
            given = super()._start(server_id, heartbeat)
            self._connection._sock = altered = AlteredSocket(given, change)
            altered.settimeout(10)
            return altered

    patch.setattr(worker, "Dump", AlteredDump)


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    """Order 1, then order 2 with the event in its transaction, then order 3."""
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    made.write(tls="disabled")
    if server.flavor == "mysql":
        made.sql("SET SESSION binlog_rows_query_log_events = ON")
    made.sql(orders(1, 1), orders(2, 1).replace("INSERT", f"INSERT {MARK.decode()}"), orders(3, 1))
    yield made
    made.connection.close()


def counts(*counters: Any) -> list[float]:
    return [counter._value.get() for counter in counters]


def stopped(shop: Shop, sink: Topic, kind: type[LtvError]) -> LtvError:
    stops = metrics.STOPS.labels(kind.__name__)
    before = counts(stops)
    with pytest.raises(kind) as caught:
        shop.run(sink)
    assert type(caught.value) is kind
    assert counts(stops) == [before[0] + 1]
    return caught.value


def test_it_stops_at_an_unknown_event(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, unsupported = Topic(), metrics.UNSUPPORTED.labels("0x4F")
    with monkeypatch.context() as patch:
        alter(patch, of_kind(UNKNOWN))
        for stop in (1, 2):
            before = counts(unsupported)
            error = stopped(shop, sink, UnsupportedEvent)
            assert "0x4F" in error.message and error.position and error.hint
            assert counts(unsupported) == [before[0] + 1], f"stop {stop}: started again it stops again"
    assert sink.ids() == [1], "what was before has left, once"
    assert shop.checkpoint()["position"] < int(error.position.rpartition(":")[2])
    shop.run(sink)
    assert sink.ids() == [1, 2, 3], "a worker that understands it misses nothing"


def test_what_the_server_calls_ignorable_is_passed_by(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, ignored = Topic(), metrics.IGNORED.labels("0x4F")
    before = counts(ignored)
    alter(monkeypatch, of_kind(UNKNOWN, IGNORABLE))
    shop.run(sink)
    assert sink.ids() == [1, 2, 3]
    assert counts(ignored) == [before[0] + 1]


def test_it_stops_at_an_incident_and_says_how_to_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the place behind it: nobody else can know it."""
    sink = Topic()
    alter(monkeypatch, incident)
    error = stopped(shop, sink, IncidentInBinlog)
    assert "incident 1" in error.message and sink.ids() == [1]
    assert error.hint and "`--epoch N --from " in error.hint
    behind = error.hint.partition("--from ")[2].partition("`")[0]
    assert int(behind.rpartition(":")[2]) > int(str(error.position).rpartition(":")[2])
    shop.run(sink, epoch=2, begin=behind)
    assert sink.ids() == [1, 2, 3]


def test_partial_json_of_a_session(shop: Shop, server: Any) -> None:
    """`check` sees what is set for all; a session may set it for itself."""
    if server.flavor != "mysql":
        pytest.skip("MariaDB has no binlog_row_value_options")
    shop.sql(
        "ALTER TABLE orders ADD COLUMN doc JSON NULL",
        """UPDATE orders SET doc = '{"a": 1, "b": "a text that is long enough"}' WHERE id = 1""",
        "SET SESSION binlog_row_value_options = PARTIAL_JSON",
        "UPDATE orders SET doc = JSON_SET(doc, '$.a', 2) WHERE id = 1",
    )
    sink, unsupported = Topic(), metrics.UNSUPPORTED.labels("PARTIAL_UPDATE_ROWS")
    before = counts(unsupported)
    error = stopped(shop, sink, UnsupportedEvent)
    assert "PARTIAL_UPDATE_ROWS" in error.message and error.hint and "binlog_row_value_options" in error.hint
    assert counts(unsupported) == [before[0] + 1]
    assert sink.ids() == [1, 2, 3]
