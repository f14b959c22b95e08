"""A DuckDB file that one process holds is read, written and rolled up by others; and how an open fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import duckdb_warehouse
from pipeline.duckdb_server import RemoteSession, server_file
from pipeline.duckdb_warehouse import DuckDBWarehouse, open_duckdb
from pipeline.session import Statement
from schemas.errors import QueryError, WarehouseError, WarehouseUnavailable
from tests.builders import ORDERS, apply, event, message, order, shop, texts

CONFIG = shop()
HOLD = """
import sys, time
from pipeline.duckdb_warehouse import open_duckdb
held = open_duckdb(sys.argv[1], hold=sys.argv[2] == "share")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ltv.duckdb")


@pytest.fixture
def holder(path: str) -> Iterator[DuckDBWarehouse]:
    warehouse = open_duckdb(path, hold=True)
    apply(warehouse, CONFIG, message(ORDERS, event("c", order(1, "2022-01-13"), 1)))
    yield warehouse
    warehouse.close()


def elsewhere(path: str, what: str) -> subprocess.CompletedProcess[str]:
    """Runs `what` in another process, with the warehouse as `there`."""
    code = (
        "import datetime as dt, sys\nfrom pipeline.duckdb_warehouse import open_duckdb\n"
        "from pipeline.rollup import rollup\n"
        f"from tests.builders import *\nthere = open_duckdb(sys.argv[1])\n{what}\nthere.close()\n"
    )
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=60)


def test_another_process_queries_writes_and_rolls_up(path: str, holder: DuckDBWarehouse) -> None:
    done = elsewhere(
        path,
        "print(type(there.session).__name__, texts(there, 'SELECT id FROM orders'))\n"
        "apply(there, shop(), message(ORDERS, event('c', order(2, '2022-02-13'), 2)))\n"
        "rollup(there, shop(), dt.date(2022, 2, 28))\n",
    )
    assert done.stdout.split() == ["RemoteSession", "['1']"], done.stderr
    assert texts(holder, "SELECT COUNT(*) FROM orders") == ["2"]
    assert texts(holder, "SELECT cohort_month, month_number, ltv FROM ltv_cohorts ORDER BY 1, 2") == [
        "2022-01-01 0 75.00",
        "2022-01-01 1 150.00",
    ]


def test_errors_travel_with_their_kind_and_leave_the_connection_usable(path: str, holder: DuckDBWarehouse) -> None:
    there = DuckDBWarehouse(RemoteSession(path))
    for sql in ("SELECT * FROM no_such_table", "SELECT 1 / CAST(id - 1 AS INT64) + CAST(status AS INT64) FROM orders"):
        with pytest.raises(QueryError):
            texts(there, sql)
    assert texts(there, "SELECT id FROM orders") == ["1"]
    there.close()


def test_a_large_result_is_streamed(path: str, holder: DuckDBWarehouse) -> None:
    there = RemoteSession(path)
    with there.read(Statement("SELECT range AS n, repeat('x', 100) AS t FROM range(500000)")) as reader:
        batches = [batch.num_rows for batch in reader]
    assert sum(batches) == 500_000
    assert max(batches) < 200_000
    there.close()


@pytest.mark.parametrize("batches", [0, 1])
def test_a_result_that_is_not_read_to_its_end_is_not_taken_for_the_next(
    path: str, holder: DuckDBWarehouse, batches: int
) -> None:
    there = RemoteSession(path)
    with there.read(Statement("SELECT range AS n FROM range(500000)")) as reader:
        for _ in range(batches):
            reader.read_next_batch()
    with pytest.raises(ZeroDivisionError), there.read(Statement("SELECT range AS n FROM range(500000)")):
        raise ZeroDivisionError
    assert there.run([Statement("SELECT 7 AS seven")]).read_all().to_pylist() == [{"seven": 7}]
    there.close()


def test_large_input_and_parameters_travel(path: str, holder: DuckDBWarehouse) -> None:
    there = RemoteSession(path)
    rows = pa.table({"n": range(300_000)})
    result = there.run([Statement("SELECT count(*) AS n, $x AS x FROM many", {"x": "é"})], {"many": rows})
    assert result.read_all().to_pylist() == [{"n": 300_000, "x": "é"}]
    there.close()


def test_a_wrong_token_is_refused_and_others_go_on(path: str, holder: DuckDBWarehouse) -> None:
    told = json.loads(server_file(path).read_text())
    assert Path(server_file(path)).stat().st_mode & 0o077 == 0, "the token is the user's alone"
    for token in (b"", b"x" * 32):
        with pytest.raises((AuthenticationError, EOFError, OSError)):
            Client((told["host"], told["port"]), authkey=token).recv_bytes()
    server_file(path).write_text(json.dumps({**told, "token": "00" * 32}))
    with pytest.raises(WarehouseUnavailable):
        RemoteSession(path)
    server_file(path).write_text(json.dumps(told))
    there = DuckDBWarehouse(RemoteSession(path))
    assert texts(there, "SELECT id FROM orders") == ["1"]
    there.close()


def test_a_stranger_that_says_nothing_holds_up_nobody(path: str, holder: DuckDBWarehouse) -> None:
    told = json.loads(server_file(path).read_text())
    with socket.create_connection((told["host"], told["port"])):
        done = elsewhere(path, "print(texts(there, 'SELECT id FROM orders'))")
        assert done.stdout.split() == ["['1']"], done.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"host": "127.0.0.1", "port": 1, "token": "00"}'])
def test_an_address_that_is_none(path: str, text: str) -> None:
    server_file(path).write_text(text)
    with pytest.raises(WarehouseUnavailable, match="held by another process"):
        RemoteSession(path)


def started(path: str, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_after_kill_9_the_address_left_behind_is_ignored(path: str) -> None:
    process = started(path, "share")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert server_file(path).exists()
    with_old_address = open_duckdb(path)
    assert texts(with_old_address, "SELECT COUNT(*) FROM ltv_entries") == ["0"]
    with_old_address.close()
    holding = open_duckdb(path, hold=True)
    assert json.loads(server_file(path).read_text())["pid"] == os.getpid()
    holding.close()
    assert not server_file(path).exists()


def test_a_file_that_is_held_and_not_shared(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_warehouse, "SHARE_WAIT_S", 0.3)
    monkeypatch.setattr(duckdb_warehouse, "HOLD_WAIT_S", 0.3)
    process, told = started(path, "keep"), []
    try:
        for hold in (False, True):
            with pytest.raises(WarehouseError, match="held by another process") as raised:
                open_duckdb(path, hold=hold, waiting=told.append)
            assert raised.value.hint
        assert told == [f"waiting for another process to release {path}"] * 2
    finally:
        process.kill()
        process.communicate()


def test_a_holder_that_comes_free_is_waited_for(path: str) -> None:
    process = started(path, "keep")
    opened = open_duckdb(path, hold=True, waiting=lambda _: process.kill())
    process.communicate()
    opened.close()


def test_what_goes_away_in_the_middle_is_unavailable(path: str) -> None:
    process = started(path, "share")
    there = DuckDBWarehouse(RemoteSession(path))
    process.kill()
    process.communicate()
    with pytest.raises(WarehouseUnavailable):
        texts(there, "SELECT 1")
    there.close()


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(b"not a database, but long enough to be looked at " * 200)
    with pytest.raises(WarehouseError, match="is not a DuckDB file"):
        open_duckdb(str(other))
    with pytest.raises(WarehouseError, match="folder does not exist"):
        open_duckdb(str(tmp_path / "none" / "ltv.duckdb"))
    with pytest.raises(WarehouseError):
        open_duckdb(str(tmp_path))


def test_read_only_writes_nothing(path: str) -> None:
    writing = open_duckdb(path)
    apply(writing, CONFIG, message(ORDERS, event("c", order(1), 1)))
    writing.close()
    before = Path(path).read_bytes()
    reading = open_duckdb(path, read_only=True)
    assert texts(reading, "SELECT id FROM orders") == ["1"]
    with pytest.raises(QueryError):
        apply(reading, CONFIG, message(ORDERS, event("c", order(2), 2)))
    reading.close()
    assert Path(path).read_bytes() == before
