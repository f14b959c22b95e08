"""Rows are confirmed, set aside or an error, whatever the server does, and nobody waits for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest

from pipeline.bigquery.append_client import AppendClient
from pipeline.bigquery.append_requests import NAMES_BYTES
from pipeline.bigquery.appends import Append, Appends, RejectedRow
from pipeline.bigquery.names import DatasetName
from pipeline.bigquery.proto_rows import RowSchema
from pipeline.bigquery.writing import IN_FLIGHT
from schemas.columns import INT64, STRING
from schemas.errors import ConfigError, LtvError, Transient, WarehouseError, WarehouseUnavailable
from tests.unit.append_server import AppendServer, Cut, Hold, Refuse, Reply, Script, Seen

DATASET = DatasetName("project-1", "ltv")
ORDERS, ENTRIES = DATASET.default_stream("orders"), DATASET.default_stream("ltv_entries")
SCHEMA = RowSchema({"id": INT64, "note": STRING})
WIDER = RowSchema({"id": INT64, "note": STRING, "more": STRING})
Code = grpc.StatusCode


@pytest.fixture
def server() -> Iterator[AppendServer]:
    server = AppendServer()
    yield server
    server.stop()


@pytest.fixture
def make(server: AppendServer) -> Iterator[Callable[..., Appends]]:
    """Small requests: ten rows of `orders` each."""
    made: list[Appends] = []

    def appends(**settings: Any) -> Appends:
        size = len(SCHEMA.in_request(rows(1).rows, "1/0")[0].as_py())
        small = {"request_bytes": SCHEMA.size + NAMES_BYTES + 10 * size + 25, **settings}
        client = AppendClient({"BIGQUERY_WRITE_EMULATOR_HOST": server.address})
        made.append(Appends(client, DATASET, **small))
        return made[-1]

    yield appends
    for each in made:
        each.close()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("append-")])


def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def rows(count: int, *, first: int = 100, table: str = "orders", schema: RowSchema = SCHEMA) -> Append:
    found = {name: range(first, first + count) if name == "id" else ["x" * 10] * count for name in schema.columns}
    return Append(table, schema, pa.table(found), pa.array([f"1/{number:X}" for number in range(count)], pa.string()))


def ids(server: AppendServer, stream: str = ORDERS) -> list[int]:
    return [row.id for row in server.taken[stream]]


def script(*replies: Reply) -> Script:
    """The first requests of all get these, the others are taken."""
    return lambda seen: replies[seen.number - 1] if seen.number <= len(replies) else None


def test_several_tables_in_one_write_over_a_connection_each(server: AppendServer, make: Callable[..., Appends]) -> None:
    told: list[tuple[float, int, int]] = []
    appends = make(on_append=lambda *what: told.append(what))
    assert appends.write([rows(35), rows(12, table="ltv_entries")]) == {}
    assert appends.write([rows(5, first=500)]) == {}
    assert ids(server) == [*range(100, 135), *range(500, 505)], "in order, as nothing failed"
    assert ids(server, ENTRIES) == list(range(100, 112))
    assert Counter(seen.stream for seen in server.seen) == {ORDERS: 5, ENTRIES: 2}
    assert len(server.calls) == appends.connections_opened == 2
    assert {call["x-goog-request-params"] for call in server.calls} == {
        f"write_stream={ORDERS}",
        f"write_stream={ENTRIES}",
    }
    named = [seen.request.write_stream for seen in server.seen if seen.stream == ORDERS]
    assert (named[0], named[-1]) == (ORDERS, ""), "until one was taken"
    assert (appends.requests, appends.retries, len(told)) == (7, 0, 7)
    assert sum(count for _, count, _ in told) == 52
    assert all(seconds > 0 and size > 0 for seconds, _, size in told)


def test_nothing_to_write_opens_nothing(server: AppendServer, make: Callable[..., Appends]) -> None:
    appends = make()
    assert appends.write([]) == appends.write([rows(0)]) == {}
    assert server.calls == []


def test_requests_are_in_flight_together_up_to_the_bound(server: AppendServer, make: Callable[..., Appends]) -> None:
    appends, gate, most = make(), threading.Event(), []

    def watch(seen: Seen) -> Reply:
        most.append(appends.requests - server.answered)
        return Hold(gate)

    server.script = watch
    with ThreadPoolExecutor(2) as pool:
        writes = [pool.submit(appends.write, [rows(300, first=first)]) for first in (100, 1000)]
        until(lambda: appends.requests == IN_FLIGHT)
        gate.set()
        assert [write.result(10) for write in writes] == [{}, {}]
    assert sorted(ids(server)) == [*range(100, 400), *range(1000, 1300)]
    assert appends.requests >= 60
    assert IN_FLIGHT // 2 < max(most) <= IN_FLIGHT
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "status", ["UNAVAILABLE", "ABORTED", "INTERNAL", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNKNOWN"]
)
@pytest.mark.parametrize("form", [Cut, Refuse])
def test_a_transient_refusal_is_tried_again_over_a_new_connection(
    server: AppendServer, make: Callable[..., Appends], form: Any, status: str
) -> None:
    server.script = script(None, form(Code[status]), None, form(Code[status]))
    appends = make()
    assert appends.write([rows(95)]) == {}
    assert sorted(ids(server)) == list(range(100, 195))
    assert appends.retries >= 2
    assert 2 <= len(server.calls) == appends.connections_opened
    second = next(seen for seen in server.seen if seen.call == 2)
    assert second.request.write_stream == ORDERS
    assert second.request.proto_rows.HasField("writer_schema"), "a new connection begins with the schema"


def test_the_first_request_is_refused_while_others_are_in_flight(
    server: AppendServer, make: Callable[..., Appends]
) -> None:
    server.script = script(Refuse(Code.INTERNAL))
    appends = make()
    assert appends.write([rows(60)]) == {}
    assert sorted(ids(server)) == list(range(100, 160))
    assert appends.retries == 1


def test_what_was_taken_but_not_confirmed_is_sent_again(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.script = script(None, Cut(Code.UNAVAILABLE, taken=True))
    assert make().write([rows(40)]) == {}
    found = Counter(ids(server))
    assert set(found) == set(range(100, 140))
    assert [id for id, times in found.items() if times > 1] == list(range(110, 120)), "its sequence numbers make it one"


def test_a_server_that_comes_back(server: AppendServer, make: Callable[..., Appends]) -> None:
    down = threading.Event()
    down.set()
    server.script = lambda seen: Cut(Code.UNAVAILABLE) if down.is_set() else None
    appends = make()
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(appends.write, [rows(20)])
        until(lambda: appends.retries >= 4)
        assert not write.done()
        down.clear()
        assert write.result(10) == {}
    assert sorted(ids(server)) == list(range(100, 120))


def test_retries_end_with_an_error_that_may_pass(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.script = lambda seen: Refuse(Code.UNAVAILABLE)
    appends = make(patience_s=0.5)
    with pytest.raises(
        WarehouseUnavailable, match=r"refuses rows: UNAVAILABLE: said the test .*table orders"
    ) as raised:
        appends.write([rows(10)])
    assert isinstance(raised.value, Transient)
    assert appends.retries >= 1
    server.script = lambda seen: None
    assert appends.write([rows(95)]) == {}, "the room of what was given up is free again"


def test_nobody_listens(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.stop()
    with pytest.raises(WarehouseUnavailable, match="UNAVAILABLE"):
        make(patience_s=0.3).write([rows(10)])


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (Cut(Code.PERMISSION_DENIED), "roles/bigquery.dataEditor"),
        (Cut(Code.UNAUTHENTICATED), "gcloud auth application-default login"),
        (Refuse(Code.INVALID_ARGUMENT), "primary key"),
        (Refuse(Code.INVALID_ARGUMENT, "INVALID_CMEK_PROVIDED"), "cloudkms"),
        (Cut(Code.UNIMPLEMENTED), None),
    ],
)
def test_a_permanent_refusal_is_named_at_once(
    server: AppendServer, make: Callable[..., Appends], reply: Reply, hint: str | None
) -> None:
    server.script = lambda seen: reply if seen.stream == ENTRIES else None
    appends = make()
    with pytest.raises(WarehouseError, match="table ltv_entries") as raised:
        appends.write([rows(95), rows(10, table="ltv_entries")])
    assert appends.retries == 0
    assert (hint is None and raised.value.hint is None) or str(hint) in str(raised.value.hint)
    server.script = lambda seen: None
    assert appends.write([rows(95), rows(10, table="ltv_entries")]) == {}


@pytest.mark.parametrize(
    "reply",
    [
        Refuse(Code.INVALID_ARGUMENT, "SCHEMA_MISMATCH_EXTRA_FIELDS"),
        Cut(Code.INVALID_ARGUMENT, "SCHEMA_MISMATCH_EXTRA_FIELDS"),
        Refuse(Code.NOT_FOUND, "TABLE_NOT_FOUND"),
        Cut(Code.NOT_FOUND),
    ],
)
def test_a_new_table_or_column_is_waited_for(
    server: AppendServer, make: Callable[..., Appends], reply: Refuse | Cut
) -> None:
    server.script = script(reply, reply)
    appends = make()
    assert appends.write([rows(10)]) == {}
    assert ids(server) == list(range(100, 110))
    assert [seen.call for seen in server.seen] == [1, 2, 3], "a connection keeps the schema that it began with"
    server.script = lambda seen: reply
    expected: type[LtvError] = WarehouseUnavailable if reply.status is Code.INVALID_ARGUMENT else WarehouseError
    with pytest.raises(expected) as raised:
        make(patience_s=0.2).write([rows(10)])
    assert raised.value.hint


def bad(*wrong: int, at_once: int = 100) -> Script:
    """Refuses requests with these ids in them, naming so many of them at once."""

    def reply(seen: Seen) -> Reply:
        found = [(index, f"no such {row.id}") for index, row in enumerate(seen.rows) if row.id in wrong]
        return Refuse(Code.INVALID_ARGUMENT, row_errors=found[:at_once]) if found else None

    return reply


@pytest.mark.parametrize("at_once", [100, 1])
def test_bad_rows_are_set_aside_and_the_others_sent_again(
    server: AppendServer, make: Callable[..., Appends], at_once: int
) -> None:
    wrong = [103, 118, 119, *range(130, 140)]
    server.script = bad(*wrong, at_once=at_once)
    found = make().write([rows(60), rows(5, table="ltv_entries", first=200)])
    assert found == {"orders": [RejectedRow(id - 100, f"no such {id}") for id in wrong]}
    assert sorted(ids(server)) == [id for id in range(100, 160) if id not in wrong]
    assert ids(server, ENTRIES) == list(range(200, 205))
    assert len(server.calls) == 2, "a bad row is no reason for another connection"


def test_bad_rows_beside_cut_connections(server: AppendServer, make: Callable[..., Appends]) -> None:
    refuse = bad(105, 149)
    server.script = lambda seen: (
        Cut(Code.UNAVAILABLE, taken=seen.number % 2 == 0) if seen.number % 3 == 2 else refuse(seen)
    )
    appends = make()
    found = appends.write([rows(100)])
    assert [row.index for row in found["orders"]] == [5, 49]
    assert set(ids(server)) >= set(range(100, 200)) - {105, 149}
    assert appends.retries


def test_a_row_with_two_errors_is_one_row(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.script = script(Refuse(Code.INVALID_ARGUMENT, row_errors=[(1, "no date"), (0, "bad"), (1, "no number")]))
    found = make().write([rows(3)])
    assert found == {"orders": [RejectedRow(0, "bad"), RejectedRow(1, "no date; no number")]}
    assert ids(server) == [102]


def test_row_errors_that_name_no_row_are_an_error(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.script = lambda seen: Refuse(Code.INVALID_ARGUMENT, row_errors=[(99, "nowhere")])
    with pytest.raises(WarehouseError, match="INVALID_ARGUMENT"):
        make().write([rows(10)])


def test_a_row_that_is_too_long_is_set_aside(server: AppendServer, make: Callable[..., Appends]) -> None:
    table = pa.table({"id": [1, 2, 3], "note": ["a", "x" * 9_000_000, "c"]})
    found = make(request_bytes=8_000_000).write([Append("orders", SCHEMA, table, "0")])
    assert ids(server) == [1, 3]
    assert [(row.index, "9,000,0" in row.message) for row in found["orders"]] == [(1, True)]


def test_large_requests_arrive(server: AppendServer, make: Callable[..., Appends]) -> None:
    table = pa.table({"id": range(40), "note": ["x" * 1_000_000] * 40})
    assert make(request_bytes=8_000_000).write([Append("orders", SCHEMA, table, "0")]) == {}
    assert ids(server) == list(range(40))
    assert 7_000_000 < max(seen.size for seen in server.seen) <= 8_000_000


def test_another_schema_is_another_connection(server: AppendServer, make: Callable[..., Appends]) -> None:
    appends = make()
    appends.write([rows(5)])
    appends.write([rows(5, schema=WIDER, first=200)])
    until(lambda: server.ended == 1)
    appends.write([rows(5, schema=WIDER, first=300)])
    assert [row.more for row in server.taken[ORDERS][5:]] == ["x" * 10] * 10
    assert [seen.call for seen in server.seen] == [1, 2, 2]
    appends.write([rows(5, first=400)])
    until(lambda: server.ended == 2)
    assert ids(server) == [*range(100, 105), *range(200, 205), *range(300, 305), *range(400, 405)]


def test_the_old_connection_stays_until_it_has_answered(server: AppendServer, make: Callable[..., Appends]) -> None:
    gate = threading.Event()
    server.script = lambda seen: Hold(gate) if seen.call == 1 else None
    appends = make()
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(appends.write, [rows(5)])
        until(lambda: len(server.seen) == 1)
        assert appends.write([rows(5, schema=WIDER, first=200)]) == {}
        assert server.ended == 0
        gate.set()
        assert old.result(10) == {}
    until(lambda: server.ended == 1)
    assert sorted(ids(server)) == [*range(100, 105), *range(200, 205)]
    assert appends.retries == 0


def test_an_idle_connection_that_ends_is_opened_again(server: AppendServer, make: Callable[..., Appends]) -> None:
    appends = make()
    appends.write([rows(5)])
    connection = appends._connections._current["orders"]
    server.hang_up()
    until(lambda: connection.ended)
    assert appends.write([rows(5, first=200)]) == {}
    assert ids(server) == [*range(100, 105), *range(200, 205)]
    assert (appends.retries, len(server.calls)) == (0, 2)


def test_a_server_that_says_nothing_is_left(server: AppendServer, make: Callable[..., Appends]) -> None:
    gate = threading.Event()
    server.script = lambda seen: Hold(gate) if seen.call == 1 else None
    appends = make(answer_s=0.3)
    assert appends.write([rows(25)]) == {}
    assert set(ids(server)) == set(range(100, 125))
    assert len(server.calls) == 2
    gate.set()


def test_writers_in_many_threads(server: AppendServer, make: Callable[..., Appends]) -> None:
    server.script = lambda seen: Cut(Code.UNAVAILABLE, taken=seen.number % 2 == 0) if seen.number % 11 == 5 else None
    appends = make()
    both = [[rows(37, first=1000 * writer), rows(11, first=1000 * writer, table="ltv_entries")] for writer in range(12)]
    with ThreadPoolExecutor(12) as pool:
        writes: Sequence[Future[Any]] = [pool.submit(appends.write, each) for each in both]
        assert [write.result(30) for write in writes] == [{}] * 12
    assert set(ids(server)) == {1000 * writer + number for writer in range(12) for number in range(37)}
    assert set(ids(server, ENTRIES)) == {1000 * writer + number for writer in range(12) for number in range(11)}
    assert appends.retries


def test_close_ends_whoever_waits(server: AppendServer, make: Callable[..., Appends]) -> None:
    gate = threading.Event()
    server.script = lambda seen: Hold(gate)
    appends = make()
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(appends.write, [rows(100)])
        until(lambda: server.seen)
        began = time.monotonic()
        appends.close()
        with pytest.raises(WarehouseUnavailable, match="closed"):
            write.result(5)
        assert time.monotonic() - began < 3
    gate.set()
    appends.close()
    with pytest.raises(WarehouseUnavailable):
        appends.write([rows(1)])


def test_two_appends_to_one_table_are_a_mistake(make: Callable[..., Appends]) -> None:
    with pytest.raises(ValueError, match="two appends to orders"):
        make().write([rows(1), rows(1)])


def test_half_an_emulator_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="BIGQUERY_WRITE_EMULATOR_HOST is not"):
        AppendClient({"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1"})


def test_no_credentials_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(WarehouseError, match="credentials") as raised:
        AppendClient({})
    assert "gcloud auth application-default login" in str(raised.value.hint)


PROCESS = """
import queue, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so its children
sys.path.insert(0, {root!r})
from pipeline.bigquery.append_requests import requests
from tests.unit.test_appends import AppendClient, Appends, DATASET, rows
appends = Appends(AppendClient({{"BIGQUERY_WRITE_EMULATOR_HOST": {address!r}}}), DATASET)
{then}
"""
IN_A_THREAD = "threading.Thread(target=appends.write, args=([rows(10)],)).start(); input()"
UNANSWERED = "appends._connections.send(next(requests(rows(9), [])), queue.SimpleQueue()); input()"


@pytest.mark.parametrize(
    ("then", "status"),
    [("appends.write([rows(10)])", -signal.SIGINT), (IN_A_THREAD, 0), (UNANSWERED, 0)],
    ids=["interrupted in write", "the main thread ends before a writer", "nobody waits for an answer"],
)
def test_a_process_ends_though_the_server_never_answers(server: AppendServer, then: str, status: int) -> None:
    gate = threading.Event()
    server.script = lambda seen: Hold(gate)
    code = PROCESS.format(root=str(Path(__file__).parents[2]), address=server.address, then=then)
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        until(lambda: server.seen, 30)
        if status:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate("\n", timeout=30)
    finally:
        process.kill()
        gate.set()
    assert process.returncode == status, errors
    assert "Traceback" not in errors or "KeyboardInterrupt" in errors or "was closed while rows were written" in errors
