"""Raw tables follow the source's: made, widened, or refused by name; max_staleness is read back."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from pipeline.bigquery import ddl
from pipeline.bigquery.tables import FRESH, KEYS, Partition, RawTables
from schemas.columns import DATE, INT64, STRING, TIMESTAMP, ColumnType, Kind
from schemas.errors import WarehouseError
from schemas.tables import OWN_TABLES
from tests.unit.bigquery_http import DATASET, BigQueryHttp, Failure

MINUTES = dt.timedelta(minutes=15)
NUMERIC, BIGNUMERIC = ColumnType(Kind.DECIMAL, 12, 2), ColumnType(Kind.DECIMAL, 38, 20)
VIEW = partial(ddl.create_view, DATASET)


def tables(http: BigQueryHttp, *, staleness: dt.timedelta = MINUTES, partition: Partition = "none") -> RawTables:
    return RawTables(http.client(), staleness=staleness, partition=partition)


def made(http: BigQueryHttp) -> RawTables:
    found = tables(http)
    found.make_own()
    http.jobs.clear()
    return found


def things(found: RawTables, columns: Mapping[str, ColumnType], key: Sequence[str] = ("id",)) -> str | None:
    return found.ensure("things", {"id": INT64, **columns}, key, VIEW)


def verbs(http: BigQueryHttp) -> list[str]:
    """What was run, in a few words."""
    found = [re.match(r"(CREATE (?:TABLE|OR REPLACE VIEW|SCHEMA)|ALTER TABLE|SELECT)", sql) for sql in http.statements]
    return [match[1] for match in found if match]


def test_own_tables_are_made_once() -> None:
    http = BigQueryHttp()
    tables(http).make_own()
    assert set(http.datasets) == {"ltv", "ltv_raw"}
    assert {name for dataset, name in http.tables if dataset == "ltv_raw"} == set(OWN_TABLES)
    assert ("ltv", "ltv_entries") in http.tables
    for name, columns in FRESH.items():
        assert f"PRIMARY KEY ({ddl.listed(KEYS[name])}) NOT ENFORCED" in "".join(
            sql for sql in http.statements if f"ltv_raw.{name}`" in sql
        )
        assert "staleness" not in http.tables["ltv_raw", name], "the pipeline reads back what it writes there"
        assert len(http.tables["ltv_raw", name]["schema"]["fields"]) == len(columns)
    (arrivals,) = [sql for sql in http.statements if "ltv_raw.arrivals`" in sql]
    assert arrivals.endswith(
        "PARTITION BY TIMESTAMP_TRUNC(`_written_at`, DAY) CLUSTER BY `run` OPTIONS (partition_expiration_days = 7)"
    )
    assert http.tables["ltv_raw", "ltv_entries"]["staleness"] == "0-0 0 0:15:0"
    count = len(http.statements)
    tables(http).make_own()
    assert verbs(http)[count:] == ["SELECT"], "only max_staleness is looked at again"


def test_a_table_is_made_with_key_cluster_staleness_and_view() -> None:
    http = BigQueryHttp()
    found = made(http)
    columns = {"ordered_at": TIMESTAMP, "ordered_on": DATE, "customer_id": INT64}
    assert found.ensure("orders", {"id": INT64, **columns}, ("id",), VIEW) is None
    assert verbs(http) == ["CREATE TABLE", "ALTER TABLE", "SELECT", "CREATE OR REPLACE VIEW"]
    assert "PRIMARY KEY (`id`) NOT ENFORCED) CLUSTER BY `ordered_at`, `customer_id`" in http.statements[0]
    assert (
        "`_sequence` STRING, `_deleted` BOOL, `_committed_at` TIMESTAMP, `_written_at` TIMESTAMP" in http.statements[0]
    )
    assert "max_staleness = INTERVAL 15 MINUTE" in http.statements[1]
    assert "versions.`customer_id`" in http.statements[3]
    http.jobs.clear()
    assert found.ensure("orders", {"id": INT64, **columns}, ("id",), VIEW) is None
    assert http.jobs == []


@pytest.mark.parametrize(
    ("table", "columns", "wanted"),
    [
        ("orders", {"ordered_at": TIMESTAMP, "ordered_on": DATE, "customer_id": INT64},
         "PARTITION BY TIMESTAMP_TRUNC(`ordered_at`, MONTH) CLUSTER BY `customer_id`"),
        ("charges", {"charged_at": TIMESTAMP, "charged_on": DATE, "order_id": INT64},
         "PARTITION BY TIMESTAMP_TRUNC(`charged_at`, MONTH) CLUSTER BY `order_id`"),
        ("orders_history", {"_op": STRING, "ordered_at": TIMESTAMP, "ordered_on": DATE},
         "PARTITION BY TIMESTAMP_TRUNC(`_committed_at`, MONTH) CLUSTER BY `id`"),
        ("things", {"charged_at": TIMESTAMP}, "NOT ENFORCED) CLUSTER BY `id`"),
        ("orders", {"ordered_at": TIMESTAMP, "ordered_on": DATE, "customer_id": ColumnType(Kind.BYTES)},
         "PARTITION BY TIMESTAMP_TRUNC(`ordered_at`, MONTH)"),
    ],
)  # fmt: skip
def test_months_are_partitions_where_that_is_wanted(table: str, columns: dict[str, ColumnType], wanted: str) -> None:
    http = BigQueryHttp()
    tables(http).make_own()
    http.jobs.clear()
    tables(http, partition="month").ensure(table, {"id": INT64, **columns}, ("id",), VIEW)
    assert http.statements[0].endswith(wanted)


def test_a_new_column_comes_to_table_and_view_with_those_of_other_processes() -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {"a": STRING})
    http.tables["ltv_raw", "things"]["schema"]["fields"].append({"name": "theirs", "type": "DATE", "mode": "NULLABLE"})
    http.jobs.clear()
    assert things(found, {"a": STRING, "b": INT64, "c": ColumnType(Kind.STRINGS)}) is None
    assert http.statements[0].endswith("ADD COLUMN IF NOT EXISTS `b` INT64, ADD COLUMN IF NOT EXISTS `c` ARRAY<STRING>")
    assert "versions.`theirs`" in http.statements[1]
    assert "versions.`c`" in http.statements[1]


@pytest.mark.parametrize(
    ("before", "after", "stored"),
    [
        (INT64, NUMERIC, "NUMERIC"),
        (INT64, BIGNUMERIC, "BIGNUMERIC"),
        (NUMERIC, BIGNUMERIC, "BIGNUMERIC"),
        (BIGNUMERIC, INT64, "BIGNUMERIC"),
        (NUMERIC, INT64, "NUMERIC"),
    ],
)
def test_numbers_are_widened(before: ColumnType, after: ColumnType, stored: str) -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {"n": before})
    assert things(found, {"n": after}) is None
    kinds = {one["name"]: one["type"] for one in http.tables["ltv_raw", "things"]["schema"]["fields"]}
    assert kinds["n"] == stored


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INT64, STRING),
        (STRING, INT64),
        (DATE, TIMESTAMP),
        (NUMERIC, ColumnType(Kind.FLOAT64)),
        (STRING, ColumnType(Kind.STRINGS)),
    ],
)
def test_what_cannot_be_widened_is_refused_with_the_way_out(before: ColumnType, after: ColumnType) -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {"n": before})
    http.jobs.clear()
    refusal = str(things(found, {"n": after}))
    assert f"column n of ltv_raw.things is {before.bigquery()}, and values come as {after.bigquery()} now" in refusal
    for way_out in ("drop ltv_raw.things", "batch --table", "dead-letters --retry", "exclude"):
        assert way_out in refusal
    assert http.jobs == []
    assert things(found, {"n": before}) is None, "the rows as they were still go"


def test_a_widening_that_bigquery_refuses_is_told() -> None:
    message = "Cannot change the type of a clustering column"
    http = BigQueryHttp(failures=[Failure("SET DATA TYPE", 400, "invalidQuery", message)])
    found = made(http)
    things(found, {"n": INT64})
    assert message in str(things(found, {"n": NUMERIC}))


@pytest.mark.parametrize(
    ("columns", "key", "why"),
    [
        ({"_PARTITION_x": INT64}, ("id",), "reserves column names that begin with _PARTITION"),
        ({"a*b": INT64}, ("id",), r"no \* in the name of a column"),
        ({f"k{n}": INT64 for n in range(17)}, tuple(f"k{n}" for n in range(17)), "16 columns at most"),
        ({"f": ColumnType(Kind.FLOAT64)}, ("f",), r"no primary key of f \(FLOAT64\)"),
        ({"s": ColumnType(Kind.STRINGS)}, ("id", "s"), r"no primary key of s \(ARRAY<STRING>\)"),
        ({f"c{n}": INT64 for n in range(1_999)}, ("id",), "2,000 columns at most"),
    ],
)
def test_what_bigquery_stores_in_no_table(columns: dict[str, ColumnType], key: tuple[str, ...], why: str) -> None:
    http = BigQueryHttp()
    found = made(http)
    refusal = str(things(found, columns, key))
    assert re.search(why, refusal)
    assert "shop.yaml" in refusal or "16 columns" in refusal
    assert http.jobs == []


def test_a_table_with_another_key_is_an_error_with_the_way_out() -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {"a": INT64})
    with pytest.raises(WarehouseError, match=r"with the primary key \(id\); wanted is \(id, a\)") as raised:
        things(found, {"a": INT64}, ("id", "a"))
    assert "batch --table" in str(raised.value.hint)


def test_a_table_of_somebody_else_is_an_error() -> None:
    http = BigQueryHttp()
    found = made(http)
    http.add_table("ltv_raw", "things", [{"name": "id", "type": "INTEGER", "mode": "NULLABLE"}])
    with pytest.raises(WarehouseError, match="with no primary key; wanted is"):
        things(found, {})
    http.add_table("ltv_raw", "views", [{"name": "id", "type": "INTEGER", "mode": "NULLABLE"}], kind="VIEW")
    with pytest.raises(WarehouseError, match="with a view; wanted is"):
        found.ensure("views", {"id": INT64}, ("id",), VIEW)


def test_an_own_table_of_somebody_else_is_an_error_at_the_start() -> None:
    http = BigQueryHttp()
    tables(http).make_own()
    http.tables["ltv_raw", "settings"]["schema"]["fields"][1]["type"] = "INTEGER"
    with pytest.raises(WarehouseError, match=r"ltv_raw\.settings has other types in value"):
        tables(http).make_own()


def test_own_tables_get_the_columns_of_a_newer_version() -> None:
    http = BigQueryHttp()
    tables(http).make_own()
    gone: Any = http.tables["ltv_raw", "loads"]["schema"]["fields"].pop()
    http.jobs.clear()
    tables(http).make_own()
    assert f"ADD COLUMN IF NOT EXISTS `{gone['name']}`" in "".join(http.statements)


def test_max_staleness_follows_the_configuration() -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {})
    tables(http, staleness=dt.timedelta(0)).make_own()
    assert {http.tables["ltv_raw", name]["staleness"] for name in ("things", "ltv_entries")} == {"0-0 0 0:0:0"}


def test_a_max_staleness_that_bigquery_drops_is_an_error() -> None:
    http = BigQueryHttp(keeps_staleness=False)
    with pytest.raises(WarehouseError, match=r"has not kept max_staleness = 0:15:00 of ltv_raw: ltv_entries \(none\)"):
        tables(http).make_own()


def test_a_max_staleness_on_what_the_pipeline_reads_back_is_an_error() -> None:
    http = BigQueryHttp()
    tables(http).make_own()
    http.tables["ltv_raw", "settings"]["staleness"] = "0-0 0 0:10:0"
    with pytest.raises(WarehouseError, match="settings of ltv_raw: max_staleness is set"):
        tables(http).make_own()


def test_queries_see_everything_for_a_while() -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {})
    with found.fresh():
        assert {http.tables["ltv_raw", name]["staleness"] for name in ("things", "ltv_entries")} == {"0-0 0 0:0:0"}
    assert {http.tables["ltv_raw", name]["staleness"] for name in ("things", "ltv_entries")} == {"0-0 0 0:15:0"}
    with pytest.raises(KeyError), found.fresh():
        raise KeyError
    assert http.tables["ltv_raw", "things"]["staleness"] == "0-0 0 0:15:0"


def test_what_is_stored() -> None:
    http = BigQueryHttp()
    found = made(http)
    things(found, {"n": NUMERIC})
    stored = found.stored()
    assert stored["things"].key == ("id",)
    assert stored["things"].columns["n"] == ColumnType(Kind.DECIMAL, 38, 9)
    assert set(stored) == {*OWN_TABLES, "things"}
