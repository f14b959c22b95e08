"""GoogleSQL that makes the warehouse, and queries whose tables get their full names."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlglot
from sqlglot import exp

from pipeline.bigquery import ddl
from pipeline.bigquery.ddl import Storage
from pipeline.bigquery.names import DatasetName
from pipeline.google_sql import qualified, with_parameter, without_order
from pipeline.rollup import ROLLED_UP, rollup_queries
from schemas.columns import INT64, STRING, TIMESTAMP, ColumnType, Kind
from schemas.errors import QueryError
from schemas.rollup_tables import ROLLUP_STORAGE

LTV = DatasetName("my-project", "ltv")
COLUMNS = {"id": INT64, "tags": ColumnType(Kind.STRINGS), "amount": ColumnType(Kind.DECIMAL, 12, 2), "at": TIMESTAMP}


def full(sql: str) -> str:
    return qualified(sql, ddl.places(LTV)).sql


def test_a_table_that_takes_upserts() -> None:
    storage = Storage("TIMESTAMP_TRUNC(`at`, MONTH)", ("id",))
    assert ddl.create_table(LTV, "orders", COLUMNS, ("id",), storage) == (
        "CREATE TABLE IF NOT EXISTS `my-project.ltv_raw.orders` (`id` INT64, `tags` ARRAY<STRING>, `amount` NUMERIC,"
        " `at` TIMESTAMP, PRIMARY KEY (`id`) NOT ENFORCED) PARTITION BY TIMESTAMP_TRUNC(`at`, MONTH) CLUSTER BY `id`"
    )
    kept = ddl.create_table(LTV, "t", {"a": STRING, "b": STRING}, ("a", "b"), Storage(kept_days=7))
    assert kept.endswith("PRIMARY KEY (`a`, `b`) NOT ENFORCED) OPTIONS (partition_expiration_days = 7)")


def test_columns_follow_the_source() -> None:
    assert ddl.add_columns(LTV, "orders", {"a": STRING, "b": INT64}) == (
        "ALTER TABLE `my-project.ltv_raw.orders`"
        " ADD COLUMN IF NOT EXISTS `a` STRING, ADD COLUMN IF NOT EXISTS `b` INT64"
    )
    widened = ddl.widen_column(LTV, "orders", "a", "BIGNUMERIC")
    assert widened == "ALTER TABLE `my-project.ltv_raw.orders` ALTER COLUMN `a` SET DATA TYPE BIGNUMERIC"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0-0 0 0:10:0", dt.timedelta(minutes=10)),
        ("0-0 0 24:0:0", dt.timedelta(days=1)),
        ("0-0 1 0:0:0", dt.timedelta(days=1)),
        ('INTERVAL "0-0 0 0:15:0" YEAR TO SECOND', dt.timedelta(minutes=15)),
        ("0-0 0 0:0:30.5", dt.timedelta(seconds=30)),
        ("0-1 0 0:0:0", None),
        ("15 minutes", None),
    ],
)
def test_staleness_is_read_as_bigquery_shows_it(text: str, wanted: dt.timedelta | None) -> None:
    assert ddl.parse_staleness(text) == wanted


def test_staleness_is_set_in_minutes() -> None:
    sql = ddl.set_staleness(LTV, "orders", dt.timedelta(hours=2))
    assert sql == "ALTER TABLE `my-project.ltv_raw.orders` SET OPTIONS (max_staleness = INTERVAL 120 MINUTE)"


def test_a_view_shows_live_rows_above_the_floor() -> None:
    view = ddl.create_view(LTV, "orders", ["id", "_op", "_sequence", "_deleted"])
    assert view.startswith(
        "CREATE OR REPLACE VIEW `my-project.ltv.orders` AS SELECT versions.`id`, versions.`_sequence`"
    )
    assert "floors.`table` = 'orders'" in view
    assert "versions._sequence >= floors._sequence" in view
    by_row = ddl.create_view(LTV, "ltv_entries", ["entry_id", "origin"], "origin")
    assert "floors.`table` = versions.`origin`" in by_row


STATEMENTS = [
    ddl.create_dataset(LTV, "ltv_raw", "EU"),
    ddl.create_table(LTV, "it's", COLUMNS, ("id",), Storage("TIMESTAMP_TRUNC(`at`, DAY)", ("id", "at"), 7)),
    ddl.add_columns(LTV, "orders", COLUMNS),
    ddl.create_view(LTV, "it's", list(COLUMNS)),
    ddl.create_history_view(LTV, "orders_history", list(COLUMNS)),
    ddl.stalenesses(LTV),
    *(ddl.replace_table(LTV, table, query) for table, query in [*rollup_queries(), ("rolled_up", ROLLED_UP)]),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement[:60])
def test_every_statement_is_googlesql(statement: str) -> None:
    (tree,) = sqlglot.parse(statement, read="bigquery")
    assert tree is not None
    assert not isinstance(tree, exp.Command), "sqlglot took it as it is, without understanding it"


@pytest.mark.parametrize(("table", "query"), rollup_queries(), ids=lambda text: text[:30])
def test_every_rolled_up_table_is_replaced_from_full_names(table: str, query: str) -> None:
    statement = ddl.replace_table(LTV, table, query)
    tree = sqlglot.parse_one(statement, read="bigquery")
    withs = {cte.alias for cte in tree.find_all(exp.CTE)}
    read = {found.sql("bigquery").split(" AS ")[0] for found in tree.find_all(exp.Table) if found.name not in withs}
    assert f"`my-project.ltv.{table}`" in read
    assert all(name.startswith("`my-project.ltv") for name in read), read
    assert tree.expression.args.get("order") is None, "BigQuery clusters no result that is ordered"
    storage = ROLLUP_STORAGE.get(table)
    if storage and storage.partition:
        selected = {column.alias_or_name for column in tree.expression.expressions}
        assert {storage.partition, *storage.cluster} <= selected, "it is cut by a column that it does not have"
        assert f"PARTITION BY DATE_TRUNC(`{storage.partition}`, MONTH)" in statement


def test_the_day_of_a_scheduled_query_is_the_shops() -> None:
    statement = "SELECT '@as_of' AS name, @as_of AS day -- @as_of\nFROM x WHERE d <= @AS_OF AND @as_of_other = 1"
    assert ddl.scheduled(statement, "Europe/Paris") == (
        "SELECT '@as_of' AS name, DATE(@run_time, 'Europe/Paris') AS day -- @as_of\n"
        "FROM x WHERE d <= DATE(@run_time, 'Europe/Paris') AND @as_of_other = 1"
    )


NAMES = {
    "SELECT id FROM orders": "SELECT id FROM `my-project.ltv.orders` AS `orders`",
    "SELECT o.id FROM orders AS o": "SELECT o.id FROM `my-project.ltv.orders` AS o",
    "SELECT 1 FROM raw.orders, `raw`.`floors` f": (
        "SELECT 1 FROM `my-project.ltv_raw.orders` AS `orders`, `my-project.ltv_raw.floors` f"
    ),
    "SELECT 1 FROM `raw.orders`": "SELECT 1 FROM `my-project.ltv_raw.orders` AS `orders`",
    "SELECT 1 FROM other.orders JOIN `a.b.c` ON TRUE": "SELECT 1 FROM other.orders JOIN `a.b.c` ON TRUE",
    "SELECT 1 FROM INFORMATION_SCHEMA.TABLES": "SELECT 1 FROM INFORMATION_SCHEMA.TABLES",
    "SELECT 1 FROM UNNEST([1, 2]) AS orders": "SELECT 1 FROM UNNEST([1, 2]) AS orders",
    "SELECT part FROM orders AS o, o.parts AS part": "SELECT part FROM `my-project.ltv.orders` AS o, o.parts AS part",
    # A WITH hides the table of its name, but not from itself, nor from the parts before it.
    "WITH orders AS (SELECT * FROM orders) SELECT * FROM ORDERS": (
        "WITH orders AS (SELECT * FROM `my-project.ltv.orders` AS `orders`) SELECT * FROM ORDERS"
    ),
    "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b": (
        "WITH a AS (SELECT * FROM `my-project.ltv.b` AS `b`), b AS (SELECT * FROM a) SELECT * FROM b"
    ),
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT * FROM n, m": (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT * FROM n, `my-project.ltv.m` AS `m`"
    ),
    "SELECT (WITH x AS (SELECT 1) SELECT * FROM x), (SELECT MAX(i) FROM x)": (
        "SELECT (WITH x AS (SELECT 1) SELECT * FROM x), (SELECT MAX(i) FROM `my-project.ltv.x` AS `x`)"
    ),
    "SELECT 1 FROM x UNION ALL SELECT 2 FROM (SELECT * FROM y)": (
        "SELECT 1 FROM `my-project.ltv.x` AS `x` UNION ALL SELECT 2 FROM (SELECT * FROM `my-project.ltv.y` AS `y`)"
    ),
    "SELECT 'FROM orders' -- FROM orders\nFROM orders": (
        "SELECT 'FROM orders' -- FROM orders\nFROM `my-project.ltv.orders` AS `orders`"
    ),
    "SELECT line FROM raw.dead_letters": (
        "SELECT line FROM (SELECT * EXCEPT (_deleted) FROM `my-project.ltv_raw.dead_letters`"
        " WHERE _deleted IS NOT TRUE) AS `dead_letters`"
    ),
}


@pytest.mark.parametrize("sql", NAMES)
def test_tables_get_their_full_names_and_nothing_else_changes(sql: str) -> None:
    assert full(sql) == NAMES[sql]


def test_a_place_in_what_bigquery_was_sent_is_told_in_what_was_written() -> None:
    sql = "SELECT nothing, e.amount\nFROM ltv_entries AS e, raw.floors JOIN orders USING (wrong)"
    sent = qualified(sql, ddl.places(LTV))
    for line, word in ((1, "nothing"), (2, "AS e"), (2, "JOIN"), (2, "wrong")):
        told = sent.given_place(line, sent.sql.split("\n")[line - 1].index(word) + 1)
        assert told == (line, sql.split("\n")[line - 1].index(word) + 1)
    inside = sent.sql.split("\n")[1].index("ltv_raw") + 1
    assert sent.given_place(2, inside) == (2, sql.split("\n")[1].index("raw.floors") + 1)


@pytest.mark.parametrize("sql", ["DELETE FROM orders", "SELECT 1; SELECT 2", "SELECT FROM WHERE", "DROP TABLE orders"])
def test_only_one_query_gets_through(sql: str) -> None:
    with pytest.raises(QueryError):
        full(sql)


def test_an_order_at_the_end_goes_unless_a_limit_needs_it() -> None:
    assert without_order("SELECT a FROM (SELECT a FROM t ORDER BY a)\nORDER BY a -- so") == (
        "SELECT a FROM (SELECT a FROM t ORDER BY a)"
    )
    limited = "SELECT a FROM t ORDER BY a LIMIT 3"
    assert without_order(limited) == limited
    windowed = "SELECT SUM(a) OVER (ORDER BY a) FROM t"
    assert without_order(windowed) == windowed


def test_what_is_no_googlesql_is_said() -> None:
    with pytest.raises(QueryError, match="not GoogleSQL"):
        with_parameter("SELECT 'open", "as_of", "1")
