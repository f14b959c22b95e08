"""GoogleSQL on DuckDB: the same numbers as BigQuery gives, and nothing but one query."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.google_sql import to_duckdb
from schemas.errors import QueryError
from tests.builders import memory, texts

TRANSLATED = {
    "DIV(7 + 3, 4)": "2",
    "DIV(7, 1 + 1)": "3",
    "10 - DIV(7, 2)": "7",
    "DIV(7, 2) * 2": "6",
    "2 * DIV(7, 2)": "6",
    "DIV(DIV(100, 3) + 1, 2 + 3)": "6",
    "DIV(-7, 2)": "-3",
    "DIV(CAST('7.5' AS NUMERIC), CAST('2.25' AS NUMERIC))": "3",
    "DIV(CAST('-7.5' AS NUMERIC), CAST('2.25' AS NUMERIC))": "-3",
    "DIV(CAST('99999999999999999999999999999' AS NUMERIC), CAST('0.5' AS NUMERIC))": "199999999999999999999999999998",
    "DIV(CAST('7.5' AS NUMERIC), CAST('2' AS INT64))": "3",
    "DIV(CAST('-7.999999999' AS NUMERIC) + 1, CAST(1 + 1 AS INT64))": "-3",
    "DIV(CAST('99999999999999999999999999999.9' AS NUMERIC), CAST('7' AS INT64))": "14285714285714285714285714285",
    "10 - DIV(CAST('9223372036854775808' AS NUMERIC), CAST('-4' AS INT64)) * 2": "4611686018427387914",
    "DIV(CAST('0.000000001' AS NUMERIC) * 20001, CAST('0.000000002' AS NUMERIC))": "10000",
    "1 + DIV(CAST('10' AS NUMERIC), CAST('3' AS NUMERIC)) * 2": "7",
    "SAFE_MULTIPLY(CAST('1.5' AS NUMERIC), CAST('-1.5' AS NUMERIC) - 1)": "-3.75",
    "SAFE_MULTIPLY(CAST('1e28' AS NUMERIC), CAST('1e28' AS NUMERIC))": "-",
    "CAST('0.123456789' AS NUMERIC)": "0.123456789",
    "CAST('12345678901234567890.5' AS NUMERIC)": "12345678901234567890.50",
    "CAST(NULL AS NUMERIC)": "-",
    "SUM(CAST(x AS NUMERIC)) FROM UNNEST(['0.1', '0.2']) AS x": "0.30",
    "7 / 2": "3.5",
    "DATE_DIFF(DATE '2023-01-01', DATE '2022-12-01', MONTH)": "1",
    "DATE_DIFF(DATE '2022-02-01', DATE '2022-01-31', MONTH)": "1",
    "DATE_TRUNC(DATE '2022-07-31', MONTH)": "2022-07-01",
    "DATE_ADD(DATE '2022-01-31', INTERVAL 1 MONTH)": "2022-02-28",
    "ARRAY_LENGTH(GENERATE_ARRAY(0, 6))": "7",
    "COUNTIF(x > 1) FROM UNNEST([1, 2, 3]) AS x": "2",
    "IF(1 > 2, 'a', 'b')": "b",
    "SAFE_CAST('x' AS INT64)": "-",
    "CONCAT('a', 'b')": "ab",
    "DATE_SUB(DATE '2022-03-31', INTERVAL 1 MONTH)": "2022-02-28",
    "DATE_TRUNC(DATE_ADD(DATE '2022-01-31', INTERVAL 1 DAY), YEAR)": "2022-01-01",
    "CAST(2.5 AS INT64)": "3",
    "`a b` FROM (SELECT 1 AS `a b`)": "1",
    '"text"': "text",
    "TO_HEX(SHA256('abc'))": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "CAST(CONCAT('0x', SUBSTR(TO_HEX(SHA256('abc')), 1, 15)) AS INT64)": "839782156265856254",
    "TO_HEX(b'abc')": "616263",
    "BYTE_LENGTH('h\u00e9')": "3",
    "FORMAT('%.2f', NUMERIC '1.5')": "1.50",
    "FORMAT('%.0f', NUMERIC '-2')": "-2",
    "FORMAT('%p', JSON '{\"b\":  1.0}')": '{"b":1.0}',
    "ARRAY_TO_STRING(['a', CONCAT('b', 'c')], ',')": "a,bc",
    "ARRAY_TO_STRING(x, ',') FROM (SELECT ['a', 'b'] AS x)": "a,b",
    "x FROM (SELECT 1 AS x UNION ALL SELECT 2) ORDER BY x DESC LIMIT 1": "2",
}


@pytest.mark.parametrize(("sql", "value"), TRANSLATED.items(), ids=list(TRANSLATED))
def test_it_means_what_bigquery_means(sql: str, value: str) -> None:
    assert texts(memory(), f"SELECT {sql}") == [value]


def test_a_parameter() -> None:
    with memory().query("SELECT @n + 1 AS next", {"n": 4}) as reader:
        assert reader.read_all().to_pylist() == [{"next": 5}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders", "UPDATE orders SET id = 1 WHERE TRUE", "INSERT INTO orders VALUES (1)", "SET x = 1",
        "MERGE orders USING x ON TRUE WHEN MATCHED THEN DELETE", "TRUNCATE TABLE orders", "DROP TABLE orders",
        "CREATE TABLE x AS SELECT 1", "CREATE OR REPLACE VIEW x AS SELECT 1", "ALTER TABLE orders ADD COLUMN x INT64",
        "EXPORT DATA OPTIONS(uri='x') AS SELECT 1", "CALL x()", "COPY orders TO 'x'", "ATTACH 'x'", "PRAGMA x",
        "INSTALL httpfs", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE orders", "", ";", "-- nothing", "SELECT",
        "SELEC 1",
        "SELECT 'a", "SELECT (1", "WITH x AS (DELETE FROM orders) SELECT 1", "(" * 5000,
    ],
)  # fmt: skip
def test_anything_but_one_query_is_refused(sql: str) -> None:
    with pytest.raises(QueryError):
        texts(memory(), sql)


def test_a_change_inside_a_query_is_refused_before_it_runs() -> None:
    with pytest.raises(QueryError, match="DELETE is not a query"):
        to_duckdb("WITH x AS (DELETE FROM orders WHERE TRUE) SELECT 1")


def test_a_query_without_end_is_refused() -> None:
    with pytest.raises(QueryError, match="longer than"):
        to_duckdb("SELECT 1 " + " " * 1_000_001)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1;", " SELECT 1 ; ", "SELECT 1 -- the end", "WITH x AS (SELECT 1 AS n) SELECT n FROM x", "(SELECT 1)"],
)
def test_one_query_in_any_dress(sql: str) -> None:
    assert texts(memory(), sql) == ["1"]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM no_such_table", "SELECT nothing", "SELECT CAST('x' AS INT64)", "SELECT DIV(1, 'x')"]
)
def test_an_error_of_the_query_is_a_query_error(sql: str) -> None:
    def read() -> Any:
        return texts(memory(), sql)

    with pytest.raises(QueryError):
        read()
