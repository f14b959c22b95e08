"""GoogleSQL → DuckDB's SQL, through sqlglot. Every SQL text of the project and of its users is GoogleSQL."""

from __future__ import annotations

import functools
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from schemas.errors import QueryError

MAX_SQL_CHARACTERS = 1_000_000
_DATE_PARTS = frozenset({"DAY", "WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"})
_DECIMALS = re.compile(r"%\.(\d{1,2})f")
_CHANGES = (exp.DML, exp.DDL, exp.Command, exp.Drop, exp.Alter)


@functools.lru_cache(256)
def to_duckdb(sql: str) -> str:
    """One GoogleSQL query as DuckDB's. Raises QueryError: does not parse, is not one query, or changes something.

    NUMERIC is DECIMAL(38, 9), as in BigQuery; left to itself DuckDB takes DECIMAL(18, 3).
    """
    tree = parse_query(sql)
    for kind in tree.find_all(exp.DataType):
        if kind.this == exp.DType.DECIMAL and not kind.expressions:
            kind.replace(exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb"))
    for division in list(tree.find_all(exp.IntDiv)):  # sqlglot writes DIV(a + b, c) as a + b // c
        for side in ("this", "expression"):
            if isinstance(division.args[side], exp.Binary):
                division.set(side, exp.paren(division.args[side], copy=False))
        around = exp.Paren()
        division.replace(around)
        around.set("this", division)
    for moved in list(tree.find_all(exp.DateAdd, exp.DateSub, exp.DateTrunc)):  # dates in BigQuery, times in DuckDB
        if moved.key != "datetrunc" or moved.text("unit").upper() in _DATE_PARTS:
            date = exp.Cast(to=exp.DataType.build("DATE"))
            moved.replace(date)
            date.set("this", moved)
    _texts_of_values(tree)
    return tree.sql(dialect="duckdb")


def _texts_of_values(tree: exp.Query) -> None:
    """What `verify` makes of values: DuckDB's SHA256 is hexadecimal already, its FORMAT knows no printf, and its
    OCTET_LENGTH no text."""
    for digits in list(tree.find_all(exp.LowerHex)):
        if isinstance(digits.this, exp.SHA2Digest):
            digits.replace(exp.Anonymous(this="SHA256", expressions=[digits.this.this]))
    for length in list(tree.find_all(exp.ByteLength)):
        length.replace(exp.Anonymous(this="STRLEN", expressions=[length.this]))
    for joined in list(tree.find_all(exp.ArrayToString)):
        if isinstance(joined.this, exp.Array) and not joined.args.get("null"):  # no list, and no nesting, to join a row
            joined.replace(exp.Anonymous(this="CONCAT_WS", expressions=[joined.expression, *joined.this.expressions]))
    for printed in list(tree.find_all(exp.Format)):
        decimals = _DECIMALS.fullmatch(printed.text("this"))
        if len(printed.expressions) != 1 or not (decimals or printed.text("this") == "%p"):
            continue
        value = printed.expressions[0]
        if decimals:
            value = exp.Cast(this=value, to=exp.DataType.build(f"DECIMAL(38, {decimals[1]})", dialect="duckdb"))
        printed.replace(exp.Cast(this=value, to=exp.DataType.build("TEXT", dialect="duckdb")))


def parse_query(sql: str) -> exp.Query:
    """The syntax tree of one GoogleSQL query. Raises QueryError."""
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryError(f"the query is longer than {MAX_SQL_CHARACTERS:,} characters")
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise QueryError(f"not GoogleSQL: {_first_problem(error)}") from error
    if len(trees) != 1:
        raise QueryError(f"{len(trees)} statements; one query is wanted", hint="give one SELECT")
    query = trees[0]
    changing = next((node for node in query.find_all(*_CHANGES) if not isinstance(node, exp.Query)), None)
    if changing is not None or not isinstance(query, exp.Query):
        raise QueryError(
            f"{(changing or query).key.upper()} is not a query",
            hint="tables are written by `stream`, `replay` and `rollup` alone",
        )
    return query


def _first_problem(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if details:
        first = details[0]
        return f"{first['description']} at line {first['line']}, column {first['col']}"
    return str(error).splitlines()[0] if str(error) else "too deeply nested"
