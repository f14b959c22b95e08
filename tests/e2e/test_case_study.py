"""The case study's numbers, through `replay`, `rollup` and `query` of the console script."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import CHARGES, ORDER_COLUMNS, charge, event, order, schema

SHOP = "preset: case_study\ntime_zone: Europe/Paris\ncurrency: EUR\nwarehouse: duckdb:ltv.duckdb\n"
ORDERS = schema("shop.orders", {**ORDER_COLUMNS, "country": "char", "updated_at": "datetime"})
FIRST = [
    "1,2022-01-01,completed,FR,1,75,2022-01-05",
    "2,2022-01-13,completed,US,2,150,2022-01-20",
    "3,2022-02-03,completed,US,2,150,2022-02-08",
    "4,2022-04-06,completed,FR,3,150,2022-04-10",
    "5,2022-07-05,shipped,ES,1,300,2022-07-06",
]
SECOND = ["2,2022-01-12,partial_refunded,US,2,150,2022-07-20", "5,2022-07-05,shipped,ES,1,300,2022-07-20"]


def versions(lines: list[str], at: int) -> list[bytes]:
    made = []
    for position, (id, date, status, country, customer, amount, updated) in enumerate(csv.reader(lines), at):
        row = order(
            int(id),
            date,
            int(customer),
            f"{amount}.00",
            status=status,
            country=country,
            updated_at=f"{updated}T00:00:00",
        )
        made.append(event("u", row, position))
    return made


Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("case_study")
    (folder / "shop.yaml").write_text(SHOP)
    (folder / "orders.jsonl").write_bytes(b"\n".join([ORDERS.line(), *versions(FIRST, 1), *versions(SECOND, 11), b""]))
    (folder / "charges.jsonl").write_bytes(
        b"\n".join([CHARGES.line(), event("c", charge(6, 2, "-50.00", "2022-07-20"), 10)])
    )

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=folder,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("replay", "orders.jsonl")
    command("rollup", "--as-of", "2022-07-31")
    return command


def lines(run: Run, sql: str) -> list[str]:
    return run("query", "--format", "csv", sql).splitlines()[1:]


def triangle(run: Run) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    for line in lines(run, "SELECT cohort_month, customers, ltv FROM ltv_cohorts ORDER BY cohort_month, month_number"):
        month, customers, ltv = line.split(",")
        cells.setdefault(f"{month} {customers}", []).append(ltv)
    return cells


def test_1_one_row_per_order_its_newest_version(run: Run) -> None:
    assert lines(run, "SELECT id, ordered_on, status, amount, DATE(updated_at) FROM orders ORDER BY id") == [
        "1,2022-01-01,completed,75.00,2022-01-05",
        "2,2022-01-12,partial_refunded,150.00,2022-07-20",
        "3,2022-02-03,completed,150.00,2022-02-08",
        "4,2022-04-06,completed,150.00,2022-04-10",
        "5,2022-07-05,shipped,300.00,2022-07-20",
    ]
    newest = "QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY _sequence DESC) = 1 ORDER BY id"
    rows = lines(run, "SELECT id, _sequence FROM orders ORDER BY id")
    assert lines(run, f"SELECT id, _sequence FROM orders_history {newest}") == rows
    assert lines(run, "SELECT COUNT(*) FROM orders_history") == ["7"]


def test_2_cohorts_gross(run: Run) -> None:
    assert triangle(run) == {
        "2022-01-01 2": ["225.00", *["375.00"] * 5, "675.00"],
        "2022-04-01 1": ["150.00"] * 4,
    }


def test_3_the_first_order_of_each_orders_customer(run: Run) -> None:
    first = "order_id, DATE(first_ordered_at, 'Europe/Paris'), month_number"
    assert lines(run, f"SELECT {first} FROM order_first_purchase ORDER BY order_id") == [
        "1,2022-01-01,0",
        "2,2022-01-12,0",
        "3,2022-01-12,1",
        "4,2022-04-06,0",
        "5,2022-01-01,6",
    ]


def test_4_cohorts_net_of_the_refund_and_again_the_same(run: Run) -> None:
    for _ in range(2):
        run("replay", "charges.jsonl", "orders.jsonl")
        run("rollup", "--as-of", "2022-07-31")
        assert triangle(run) == {
            "2022-01-01 2": ["225.00", *["375.00"] * 5, "625.00"],
            "2022-04-01 1": ["150.00"] * 4,
        }
        gross = "SELECT ltv_gross, refunds, is_open FROM ltv_cohorts WHERE month_number = 6"
        assert lines(run, gross) == ["675.00,-50.00,true"]
        assert lines(run, "SELECT COUNT(*) FROM orders_history") == ["7"]


def test_5_formats_of_one_result(run: Run) -> None:
    sql = "SELECT purchase_month, revenue FROM ltv_monthly WHERE purchase_month < DATE '2022-02-01'"
    assert json.loads(run("query", sql, "--format", "json")) == {"purchase_month": "2022-01-01", "revenue": "225.00"}
    assert "1 row" in run("query", sql)
    assert "0 rows" in run("dead-letters")
