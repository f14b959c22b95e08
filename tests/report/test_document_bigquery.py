"""The document from BigQuery is the document from DuckDB."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from typing import Any

import pytest

from pipeline.report.document import Document
from pipeline.report.figures import read_document
from pipeline.rollup import rollup
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.errors import WarehouseError
from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse
from tests.builders import FURTHER, MAPPED, by_words, decode, memory, shop
from tests.report.test_document import DAY, NOW, WORDS

TABLES = {**MAPPED, "order_items": FURTHER["order_items"]}


def made(warehouse: Warehouse, **settings: Any) -> Document:
    config = shop(tables=TABLES, **settings)
    for part in (WORDS[:-1], WORDS[-1:]):
        changes = decode(config, *by_words(part))
        assert not changes.dead
        warehouse.apply(changes)
        rollup(warehouse, config, DAY)
    return read_document(warehouse, config, NOW)


def test_both_warehouses_give_the_same_document(bigquery: BigQueryServer) -> None:
    ours = made(memory())
    with bigquery_warehouse(bigquery, tables=TABLES) as warehouse:
        theirs = made(warehouse)
    moments = {"freshness": None, "changes": {**ours["changes"], "since": None}}
    assert ours["freshness"] is not None and theirs["freshness"] is not None
    assert {**theirs, **moments, "changes": {**theirs["changes"], "since": None}} == {**ours, **moments}
    assert theirs["changes"]["since"] is not None
    assert dt.datetime.fromisoformat(theirs["freshness"]["rolled_up_at"].replace("Z", "+00:00")).year >= 2026


def test_an_empty_dataset_says_what_to_do(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery) as warehouse:
        document = read_document(warehouse, shop(), NOW)
    assert [problem["text"] for problem in document["problems"]] == [
        "The warehouse is empty: nothing of the shop has been loaded."
    ]


def test_a_dataset_that_may_not_be_queried_is_named(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery):
        bigquery.faults.denied = frozenset({"jobs"})
        config = shop(warehouse=bigquery.warehouse)
        with pytest.raises(WarehouseError) as raised, closing(open_warehouse(config, read_only=True)) as reading:
            read_document(reading, config, NOW)
    assert "jobUser" in str(raised.value.hint)


def test_a_dataset_that_is_not_there_is_named(bigquery: BigQueryServer) -> None:
    config = shop(warehouse=bigquery.warehouse)
    with closing(open_warehouse(config, read_only=True)) as reading, pytest.raises(WarehouseError) as raised:
        read_document(reading, config, NOW)
    assert bigquery.dataset in raised.value.message and "shop.yaml" in str(raised.value.hint)
