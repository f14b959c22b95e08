"""What BigQuery refuses, from the configuration to a single value: a clear error or a dead letter, with the way out."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.bigquery import refusals
from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.warehouse import open_warehouse
from schemas.errors import ConfigError, LtvError, WarehouseError, WarehouseUnavailable
from schemas.event import TableSchema
from tests.bigquery.console import program
from tests.bigquery.google_sql import run
from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, rows
from tests.builders import ORDERS, by_words, decode, event, message, order, schema, shop


def opening(server: BigQueryServer, **settings: Any) -> LtvError:
    """The error of opening it to write."""
    with (
        pytest.raises(LtvError) as found,
        contextlib.closing(open_warehouse(shop(warehouse=server.warehouse, **settings), hold=True)),
    ):
        pass
    assert found.value.hint, "what to do"
    return found.value


def test_no_credentials(bigquery: BigQueryServer, tmp_path: Path) -> None:
    """Neither an emulator nor a login; nothing is asked of the network."""
    (tmp_path / "shop.yaml").write_text(
        f"preset: case_study\ntime_zone: Europe/Paris\ncurrency: EUR\nwarehouse: {bigquery.warehouse}\n"
    )
    without = {"BIGQUERY_EMULATOR_HOST": "", "BIGQUERY_WRITE_EMULATOR_HOST": "", "HOME": str(tmp_path),
               "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true", "GCE_METADATA_HOST": "127.0.0.1:1",
               "GCE_METADATA_TIMEOUT": "1", "PATH": "/usr/bin:/bin"}  # fmt: skip
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ
    said = program(tmp_path, "query", "SELECT 1", status=1, **without)
    assert "credentials" in said and "gcloud auth application-default login" in said
    assert "Traceback" not in said


def test_only_half_of_the_emulator(bigquery: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_WRITE_EMULATOR_HOST")
    error = opening(bigquery)
    assert isinstance(error, ConfigError) and "BIGQUERY_WRITE_EMULATOR_HOST" in str(error)


def test_no_such_project(bigquery: BigQueryServer) -> None:
    bigquery.faults.missing_projects = frozenset({"local-shop"})
    error = opening(bigquery)
    assert "Not found: Project local-shop" in str(error)
    assert "shop.yaml" in str(error.hint)


def test_no_such_dataset_to_read(bigquery: BigQueryServer) -> None:
    config = shop(warehouse=bigquery.warehouse)
    with contextlib.closing(open_warehouse(config, read_only=True)) as warehouse, pytest.raises(LtvError) as found:
        rows(warehouse, "SELECT COUNT(*) FROM orders")
    assert bigquery.dataset in str(found.value) and found.value.hint


@pytest.mark.parametrize(("denied", "role"), [("jobs", "jobUser"), ("create", "dataEditor"), ("read", "dataEditor")])
def test_a_missing_role(bigquery: BigQueryServer, denied: str, role: str) -> None:
    bigquery.faults.denied = frozenset({denied})
    error = opening(bigquery)
    assert isinstance(error, WarehouseError) and role in str(error.hint), (str(error), error.hint)


def test_a_missing_role_to_write(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery) as warehouse:
        bigquery.faults.denied = frozenset({"write"})
        with pytest.raises(WarehouseError, match="PERMISSION_DENIED") as found:
            warehouse.apply(decode(shop(), *by_words(["order 1 2022-01-13 1 75"])))
        assert "dataEditor" in str(found.value.hint)


def test_a_table_with_another_key(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery) as warehouse:
        columns = "id INT64, status STRING, PRIMARY KEY (id, status) NOT ENFORCED"
        run(bigquery, f"CREATE TABLE `{{raw}}.orders` ({columns})")
        with pytest.raises(WarehouseError, match=r"primary key \(id, status\)") as found:
            warehouse.apply(decode(shop(), *by_words(["order 1 2022-01-13 1 75"])))
        assert found.value.hint


def test_an_own_table_with_other_types(bigquery: BigQueryServer) -> None:
    run(
        bigquery,
        "CREATE SCHEMA `{raw}`",
        "CREATE TABLE `{raw}.settings` (key STRING, value INT64, PRIMARY KEY (key) NOT ENFORCED)",
    )
    error = opening(bigquery)
    assert "settings" in str(error) and "value" in str(error)


def test_a_table_with_another_type_keeps_its_rows_and_tells(bigquery: BigQueryServer) -> None:
    """The rows are dead letters; those of other tables go on."""
    with bigquery_warehouse(bigquery) as warehouse:
        run(bigquery, "CREATE TABLE `{raw}.orders` (id INT64, ordered_at TIMESTAMP, ordered_on DATE, status DATE,"
            " customer_id INT64, amount NUMERIC, _sequence STRING, _deleted BOOL, _committed_at TIMESTAMP,"
            " _written_at TIMESTAMP, PRIMARY KEY (id) NOT ENFORCED)")  # fmt: skip
        changes = decode(shop(), *by_words(["order 1 2022-01-13 1 75", "charge 1 1 -5 2022-02-01"]))
        warehouse.apply(changes)
        (letter,) = warehouse.dead_letters()
        assert "status" in letter.error and "DATE" in letter.error and "--retry" in letter.error
        assert bigquery.table("charges").count() == 1
        run(bigquery, "DROP TABLE `{raw}.orders`")


@pytest.mark.parametrize(
    ("name", "why"),
    [("_TABLE_x", "_TABLE_"), ("_change_type", "_CHANGE_TYPE"), ("a/b", "/")],
)
def test_a_column_that_bigquery_refuses(bigquery: BigQueryServer, name: str, why: str) -> None:
    odd = schema("shop.odd", {"id": "bigint", name: "varchar"})
    letter = refused(bigquery, odd, {"id": 1, name: "v"})
    assert why in letter.error and "exclude" in letter.error


@pytest.mark.parametrize("name", ["ключ", "with space", "1st", "ünicode"])
def test_a_column_with_an_odd_name_is_taken(bigquery: BigQueryServer, name: str) -> None:
    config = shop(mirror=["shop.odd"])
    with bigquery_warehouse(bigquery, mirror=["shop.odd"]) as warehouse:
        odd = schema("shop.odd", {"id": "bigint", name: "varchar"})
        warehouse.apply(decode(config, message(odd, event("c", {"id": 1, name: "v"}, 1))))
        assert warehouse.dead_letters() == []
        assert rows(warehouse, f"SELECT `{name}` FROM odd") == [("v",)]


@pytest.mark.parametrize("kind", ["blob", "double", "json"])
def test_a_key_of_a_type_that_bigquery_refuses(bigquery: BigQueryServer, kind: str) -> None:
    odd = schema("shop.odd", {"id": kind, "x": "int"})
    letter = refused(bigquery, odd, {"id": {"blob": "AAE=", "double": 1.5, "json": "1"}[kind], "x": 1})
    assert "primary key" in letter.error


def test_a_value_beyond_numeric(bigquery: BigQueryServer) -> None:
    """A column is a NUMERIC; a value that comes in a wider type later makes it BIGNUMERIC; what no number of BigQuery
    holds is a dead letter."""
    config = shop(mirror=["shop.odd"])
    with bigquery_warehouse(bigquery, mirror=["shop.odd"]) as warehouse:

        def put(kind: str, value: str, at: int) -> None:
            odd = schema("shop.odd", {"id": "bigint", "x": kind})
            warehouse.apply(decode(config, message(odd, event("c", {"id": at, "x": value}, at), id=str(at))))

        put("decimal(12,2)", "1.50", 1)
        put("decimal(38,20)", "123456789012345678.00000000000000000001", 2)
        assert [column.kind for column in bigquery.table("odd").layout.columns if column.name == "x"] == ["BIGNUMERIC"]
        found = [f"{value:f}".rstrip("0") for (value,) in rows(warehouse, "SELECT x FROM odd ORDER BY id")]
        assert found == ["1.5", "123456789012345678.00000000000000000001"]
        bigquery.faults.refuse_row = lambda table, row: "Invalid NUMERIC value" if row.get("id") == 3 else None
        put("decimal(38,20)", "1", 3)
        put("decimal(38,20)", "2", 4)
        (letter,) = warehouse.dead_letters()
        assert "Invalid NUMERIC value" in letter.error and letter.message_id == "3"
        assert rows(warehouse, "SELECT COUNT(*) FROM odd") == [(3,)]


def test_a_date_beyond_the_partitions(bigquery: BigQueryServer) -> None:
    bigquery.ahead = dt.datetime(2023, 6, 1, tzinfo=dt.timezone.utc) - bigquery.now()
    with bigquery_warehouse(bigquery, partition="month") as warehouse:
        bigquery.faults.partition_years = (5, 1)
        config = shop()
        warehouse.apply(decode(config, *by_words(["order 1 2022-01-13 1 75"])))
        assert rows(warehouse, "SELECT id FROM orders") == [(1,)]
        warehouse.apply(decode(config, message(ORDERS, event("c", order(2, "2011-01-01"), 2), id="old")))
        letters = warehouse.dead_letters()
        assert {letter.message_id for letter in letters} == {"old"}
        assert "partition: none" in letters[0].error
    assert bigquery.table("orders").layout.partition == ("ordered_at", "MONTH")


def test_bigquery_does_not_answer(bigquery: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bigquery.client._RETRY", _short())
    bigquery.faults.rest_share = 1.0
    error = opening(bigquery)
    assert isinstance(error, WarehouseUnavailable)


def _short() -> Any:
    from google.cloud import bigquery

    return bigquery.DEFAULT_RETRY.with_timeout(0.5)


def test_a_table_that_was_dropped_meanwhile(bigquery: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, after the two minutes in which a new table may be unknown, here one second; then it is made again."""
    monkeypatch.setitem(refusals._TRANSIENT_STORAGE, "TABLE_NOT_FOUND", 1.0)
    with bigquery_warehouse(bigquery) as warehouse:
        warehouse.apply(decode(shop(), *by_words(["order 1 2022-01-13 1 75"])))
        run(bigquery, "DROP TABLE `{raw}.orders`")
        words = ["order 1 2022-01-13 1 75", "order 2 2022-01-13 1 75"]
        with pytest.raises((WarehouseError, WarehouseUnavailable), match="TABLE_NOT_FOUND"):
            warehouse.apply(decode(shop(), *by_words(words)))
        warehouse.apply(decode(shop(), *by_words(words)))
        assert bigquery.table("orders").count() == 2


def refused(server: BigQueryServer, table: TableSchema, row: dict[str, Any]) -> Any:
    """The one dead letter of a row of a mirrored table."""
    with bigquery_warehouse(server, mirror=[table.table]) as warehouse:
        assert isinstance(warehouse, BigQueryWarehouse)
        config = shop(mirror=[table.table])
        warehouse.apply(
            decode(config, message(table, event("c", row, 1), id="odd"), *by_words(["order 1 2022-01-13 1 75"]))
        )
        assert server.table("orders").count() == 1, "the rows of other tables go on"
        (letter,) = warehouse.dead_letters()
        assert letter.message_id == "odd"
        return letter
