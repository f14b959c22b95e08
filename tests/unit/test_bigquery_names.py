"""Names in BigQuery: datasets from shop.yaml, paths in SQL and streams, and columns that it refuses."""

from __future__ import annotations

import pytest

from pipeline.bigquery.names import DatasetName, column_problem, parse_dataset, table_problem
from pipeline.google_names import quoted
from schemas.errors import ConfigError
from tests.builders import shop

LTV = DatasetName("my-project", "ltv")


@pytest.mark.parametrize(
    ("text", "project", "wanted"),
    [
        ("bigquery:my-project.ltv", None, LTV),
        ("my-project.ltv", "other-project", LTV),
        ("bigquery:ltv", "my-project", LTV),
        ("bigquery:example.com:my-project.ltv", None, DatasetName("example.com:my-project", "ltv")),
    ],
)
def test_a_warehouse_names_project_and_dataset(text: str, project: str | None, wanted: DatasetName) -> None:
    assert parse_dataset(text, project) == wanted


@pytest.mark.parametrize(
    ("text", "project", "problem"),
    [
        ("bigquery:ltv", None, "names no project"),
        ("bigquery:my-project.l-t-v", None, "'l-t-v' is no name of a dataset"),
        ("bigquery:My Project.ltv", None, "'My Project' is no id of a Google Cloud project"),
        ("bigquery:my-project.", None, "'' is no name of a dataset"),
        ("bigquery:my-project." + "d" * 1021, None, "is no name of a dataset"),
    ],
)
def test_what_is_no_dataset_is_said(text: str, project: str | None, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_dataset(text, project)


def test_both_problems_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_dataset("bigquery:P.d-d", None)
    assert len(raised.value.problems) == 2


def test_where_tables_are() -> None:
    assert LTV.raw == "ltv_raw"
    assert LTV.table("orders") == "`my-project.ltv.orders`"
    assert LTV.raw_table("orders") == "`my-project.ltv_raw.orders`"
    assert LTV.default_stream("orders") == "projects/my-project/datasets/ltv_raw/tables/orders/streams/_default"
    assert quoted("a`b\\") == "`a\\`b\\\\`"


@pytest.mark.parametrize("name", ["id", "Größe in %", "1st", "订单", "a-b", "a:b", "_op", "x" * 300, "_field_"])
def test_columns_that_bigquery_takes(name: str) -> None:
    assert column_problem(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("_PARTITIONTIME", "_PARTITION"),
        ("_table_x", "_TABLE_"),
        ("_FILE_name", "_FILE_"),
        ("_row_timestamp", "_ROW_TIMESTAMP"),
        ("__ROOT__", "__ROOT__"),
        ("_colidentifier_1", "_COLIDENTIFIER"),
        ("_CHANGE_TYPE", "_CHANGE_TYPE"),
        ("_change_sequence_number", "_CHANGE_SEQUENCE_NUMBER"),
        ("_CHANGE_TIMESTAMP", "_CHANGE_TIMESTAMP"),
        ("x" * 301, "more than 300 characters"),
        ("", "without a name"),
        ("a.b", r"no \. in"),
        ("price($)", r"no \$ \( \) in"),
        ("a\tb", "in the name of a column"),
    ],
)
def test_columns_that_bigquery_refuses_are_named_with_the_way_out(name: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(column_problem(name))
    assert "exclude" in str(column_problem(name))


@pytest.mark.parametrize(("name", "fits"), [("order-items", True), ("Ä 1", True), ("a$b", False), ("x" * 1025, False)])
def test_names_of_tables(name: str, fits: bool) -> None:
    assert (table_problem(name) is None) is fits


def test_the_configuration_of_a_bigquery_warehouse() -> None:
    config = shop(warehouse="bigquery:my-project.ltv", location="EU", max_staleness="2h", partition="month")
    assert (config.location, config.max_staleness.total_seconds(), config.partition) == ("EU", 7200, "month")
    assert shop().max_staleness.total_seconds() == 900
    assert shop(max_staleness=0).max_staleness.total_seconds() == 0
    assert shop(max_staleness="1d").max_staleness.days == 1


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("max_staleness", "15", "such as 15m, 2h or 1d"),
        ("max_staleness", "-1m", "such as 15m"),
        ("max_staleness", "25h", "24h at most"),
        ("max_staleness", True, "such as 15m"),
        ("location", "E U", "location"),
        ("partition", "day", "partition"),
    ],
)
def test_what_the_configuration_cannot_be(field: str, value: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        shop(**{field: value})
