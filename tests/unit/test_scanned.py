"""What queries and rollups have read is counted and printed."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from pipeline.duckdb_warehouse import open_duckdb
from pipeline.warehouse import Scanned
from tests.builders import MAPPED, ORDERS, apply, event, memory, message, order, rows, shop


def test_rows_of_tables_that_a_query_has_read() -> None:
    warehouse = memory()
    apply(warehouse, shop(), message(ORDERS, *[event("c", order(number), number) for number in range(1, 11)]))
    assert str(warehouse.scanned()) == "0 rows scanned, 0 bytes read from the file"
    rows(warehouse, "SELECT COUNT(amount) FROM raw.orders")
    assert warehouse.scanned() == Scanned(0, 10)
    rows(warehouse, "SELECT a.id FROM raw.orders AS a JOIN raw.orders AS b ON b.id = a.id")
    assert warehouse.scanned() == Scanned(0, 30)


def test_rows_that_a_rollup_has_read() -> None:
    warehouse = memory()
    apply(warehouse, shop(), message(ORDERS, *[event("c", order(number), number) for number in range(1, 11)]))
    query = "SELECT SUM(amount) AS total FROM raw.ltv_entries WHERE purchase_date <= @as_of"
    warehouse.replace_tables([("a", query), ("b", query)], {"as_of": dt.date(2022, 10, 31)})
    found = warehouse.scanned()
    assert found is not None and found.rows is not None and found.rows >= 20


@pytest.mark.parametrize(
    ("scanned", "text"),
    [
        (Scanned(9_999), "9,999 bytes scanned"),
        (Scanned(10_485_760), "10.49 MB scanned"),
        (Scanned(1_234_567, 1_000_000), "1,000,000 rows scanned, 1.23 MB read from the file"),
    ],
)
def test_in_words(scanned: Scanned, text: str) -> None:
    assert str(scanned) == text


def test_the_commands_print_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"time_zone": "Europe/Paris", "currency": "EUR", "tables": MAPPED, "warehouse": "duckdb:ltv.duckdb"}
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config))
    warehouse = open_duckdb(str(tmp_path / "ltv.duckdb"))
    apply(warehouse, shop(), message(ORDERS, event("c", order(1), 1)))
    warehouse.close()
    arguments = ["-c", str(tmp_path / "shop.yaml")]
    assert main(["rollup", *arguments, "--as-of", "2022-10-31"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"as of 2022-10-31, in [\d.]+ s, [\d,]+ rows scanned, [\d.,]+ (bytes|MB) read from the file", last
    )
    assert main(["query", *arguments, "SELECT COUNT(amount) AS n FROM orders", "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert out == "n\n1\n"
    assert re.fullmatch(r"[1-9][\d,]* rows? scanned, [\d.,]+ (bytes|MB) read from the file\n", err)
