"""The case study's first question, from its two extracts through `batch --extract` and `query` as commands."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.cli import main
from pipeline.duckdb_warehouse import open_duckdb
from pipeline.session import LocalSession, Statement
from tests.builders import MAPPED, ORDERS, apply, event, message, shop, texts

SHOP = "preset: case_study\ntime_zone: Europe/Paris\ncurrency: EUR\nwarehouse: duckdb:ltv.duckdb\n"
FIRST = """id,order_date,status,country,customer_id,amount,updated_at
1,2022-01-01,completed,FR,1,75,2022-01-05
2,2022-01-13,completed,US,2,150,2022-01-20
3,2022-02-03,completed,US,2,150,2022-02-08
4,2022-04-06,completed,FR,3,150,2022-04-10
5,2022-07-05,shipped,ES,1,300,2022-07-06
"""
SECOND = """id,order_date,status,country,customer_id,amount,updated_at
2,2022-01-12,partial_refunded,US,2,150,2022-07-20
5,2022-07-05,shipped,ES,1,300,2022-07-20
"""
CHARGES = "id;order_id;amount;created_at\n1;2;150,00;2022-01-13\n2;2;-50,00;2022-07-20\n"
NEWEST = [
    "1,2022-01-01,completed,FR,1,75.00,2022-01-05",
    "2,2022-01-12,partial_refunded,US,2,150.00,2022-07-20",
    "3,2022-02-03,completed,US,2,150.00,2022-02-08",
    "4,2022-04-06,completed,FR,3,150.00,2022-04-10",
    "5,2022-07-05,shipped,ES,1,300.00,2022-07-20",
]
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "orders_1.csv").write_text(FIRST)
    (tmp_path / "orders_2.csv.gz").write_bytes(gzip.compress(SECOND.encode()))
    (tmp_path / "shop.charges.csv").write_text(CHARGES)
    return tmp_path


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """A command of the console script, run in this process in the folder."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        status = main(arguments)
        return Done(status, *capfd.readouterr())

    return run


def run(command: Command, *arguments: str) -> str:
    done = command(*arguments)
    assert done.status == 0, done.stderr
    return done.stdout


def lines(command: Command, sql: str) -> list[str]:
    return run(command, "query", "--format", "csv", sql).splitlines()[1:]


def newest(command: Command) -> list[str]:
    columns = "id, ordered_on, status, country, customer_id, amount, DATE(updated_at)"
    return lines(command, f"SELECT {columns} FROM orders ORDER BY id")


def triangle(command: Command) -> dict[str, list[str]]:
    run(command, "rollup", "--as-of", "2022-07-31")
    cells: dict[str, list[str]] = {}
    found = lines(command, "SELECT cohort_month, customers, ltv FROM ltv_cohorts ORDER BY cohort_month, month_number")
    for line in found:
        month, customers, ltv = line.split(",")
        cells.setdefault(f"{month} {customers}", []).append(ltv)
    return cells


def test_the_newest_version_of_each_order_and_the_cohorts(folder: Path, command: Command) -> None:
    said = run(command, "batch", "--extract", "orders_*")
    assert f"{folder}/orders_1.csv: 5 lines into shop.orders\n{folder}/orders_2.csv.gz: 2 lines into" in said
    assert "ltv_cohorts" in said, "and rolled up"
    assert newest(command) == NEWEST
    assert triangle(command) == {
        "2022-01-01 2": ["225.00", *["375.00"] * 5, "675.00"],
        "2022-04-01 1": ["150.00"] * 4,
    }
    refused = command("batch", "--extract", "shop.charges.csv")
    assert refused.status == 1
    assert "shop.charges.csv, line 2, column amount: '150,00' has a decimal comma" in refused.stderr
    run(command, "batch", "--extract", "shop.charges.csv", "--decimal-comma", "--no-rollup")
    before = lines(command, "SELECT * EXCEPT (_written_at) FROM orders_history ORDER BY id, _sequence")
    run(command, "batch", "--extract", "orders_2.csv.gz", "shop.charges.csv", "orders_1.csv", "--decimal-comma")
    assert lines(command, "SELECT * EXCEPT (_written_at) FROM orders_history ORDER BY id, _sequence") == before
    assert newest(command) == NEWEST, "the same again changes nothing"
    assert triangle(command) == {
        "2022-01-01 2": ["225.00", *["375.00"] * 5, "625.00"],
        "2022-04-01 1": ["150.00"] * 4,
    }


def test_a_bad_line_is_said_by_the_exit_status_until_it_is_mended(folder: Path, command: Command) -> None:
    export = folder / "export.csv"
    export.write_text(FIRST.replace("4,2022-04-06", "4,06/04/2022"))
    arguments = ["batch", "--extract", "export.csv", "--table", "orders"]
    done = command(*arguments)
    assert done.status == 1
    assert "1 dead letters from line 5 on" in done.stdout
    assert "error: 1 line could not be applied; all others are\nhint: `ltv-pipeline dead-letters`" in done.stderr
    (letter,) = lines(command, "SELECT line, CAST(data AS STRING) FROM raw.dead_letters")
    assert letter == '5,"4,06/04/2022,completed,FR,3,150,2022-04-10\\x0A"'
    assert "0 applied, 0 dead again\n1 cannot be put through again" in run(command, "dead-letters", "--retry")
    assert len(newest(command)) == 4
    export.write_text(FIRST)
    run(command, *arguments)
    assert len(newest(command)) == 5
    assert "0 rows" in run(command, "dead-letters")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.csv"], "no extract there: none.csv"),
        (["orders_1.csv", "--table", "shop.baskets"], "--table shop.baskets: shop.yaml has no table of that name"),
        (["shop.yaml"], "its name does not say which table it is of: shop.orders"),
        (["orders_1.csv", "--encoding", "utf-16"], "--encoding 'utf-16' is none that can be read here"),
        (["orders_1.csv", "--delimiter", "ab"], "--delimiter 'ab' is no single mark"),
        (["orders_1.csv", "--delimiter", ",", "--decimal-comma"], "would tear numbers apart"),
    ],
)
def test_usage(folder: Path, command: Command, arguments: Sequence[str], error: str) -> None:
    done = command("batch", "--extract", *arguments)
    assert (done.status, error in done.stderr) == (2, True), done.stderr
    assert "hint: " in done.stderr or "tear" in error
    assert not (folder / "ltv.duckdb").exists()


def test_one_file_that_is_wrong_keeps_all_from_being_written(folder: Path, command: Command) -> None:
    (folder / "orders_3.csv").write_bytes(SECOND.replace("shipped", "expédié").encode("latin-1"))
    done = command("batch", "--extract", "orders_1.csv", "orders_3.csv")
    assert done.status == 1
    assert "orders_3.csv, line 3: byte 125 (0xE9) is not utf-8\nhint: say what it is written in: --encod" in done.stderr
    assert not (folder / "ltv.duckdb").exists()
    run(command, "batch", "--extract", "orders_3.csv", "--encoding", "latin-1")
    assert lines(command, "SELECT status FROM orders ORDER BY id") == ["partial_refunded", "expédié"]


def test_beside_a_stream_that_holds_the_file_and_below_a_floor(folder: Path) -> None:
    config = shop(tables={"orders": {**MAPPED["orders"], "name": "shop.orders"}})
    with contextlib.closing(open_duckdb(str(folder / "ltv.duckdb"), hold=True)) as holder:
        arguments = [sys.executable, "-m", "pipeline", "batch", "--no-rollup", "--extract", "orders_1.csv"]
        first = subprocess.run(arguments, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert first.returncode == 0, first.stderr
        assert texts(holder, "SELECT COUNT(*), COUNT(DISTINCT id) FROM orders") == ["5 5"]
        assert "stay unseen" not in first.stderr
        apply(holder, config, message(ORDERS, event("t", None, 1)))
        again = subprocess.run(arguments, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert again.returncode == 0, again.stderr
        assert "orders was emptied or loaded whole" in again.stderr
        assert texts(holder, "SELECT COUNT(*) FROM orders") == ["0"]


def test_killed_in_the_middle_and_run_again(folder: Path, command: Command) -> None:
    count = 60_000
    with (folder / "orders_big.csv").open("w") as file:
        file.write(FIRST.splitlines()[0] + "\n")
        for id in range(count):
            file.write(
                f"{id % (count // 2)},2022-01-{id % 28 + 1:02},completed,FR,{id % 500},1.25,2022-02-{id % 28 + 1:02}\n"
            )
    arguments = [sys.executable, "-m", "pipeline", "batch", "--extract", "orders_big.csv", "--table", "orders"]
    process = subprocess.Popen(arguments, cwd=folder, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    log, deadline = folder / "ltv.duckdb.wal", time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.stat().st_size > 5_000_000:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    session = LocalSession(str(folder / "ltv.duckdb"))
    written = session.run([Statement("SELECT count(*) AS rows FROM raw.orders_history")]).read_all().to_pylist()
    session.close()
    assert 0 < written[0]["rows"] < count
    run(command, *arguments[3:])
    counts = (
        "(SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM orders_history), (SELECT SUM(amount) FROM ltv_entries)"
    )
    assert lines(command, f"SELECT {counts}") == [f"{count // 2},{count},{count // 2 * 1.25:.2f}"]
