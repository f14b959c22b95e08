"""GoogleSQL → DuckDB's SQL, and → GoogleSQL whose tables have their full names, through sqlglot. Every SQL text of the
project and of its users is GoogleSQL."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from schemas.errors import QueryError

MAX_SQL_CHARACTERS = 1_000_000
_DATE_PARTS = frozenset({"DAY", "WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"})
_DECIMALS = re.compile(r"%\.(\d{1,2})f")
_CHANGES = (exp.DML, exp.DDL, exp.Command, exp.Drop, exp.Alter)


@functools.lru_cache(256)
def to_duckdb(sql: str, *, pretty: bool = False) -> str:
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
        around.set("this", _exact(division))
    for moved in list(tree.find_all(exp.DateAdd, exp.DateSub, exp.DateTrunc)):  # dates in BigQuery, times in DuckDB
        if moved.key != "datetrunc" or moved.text("unit").upper() in _DATE_PARTS:
            date = exp.Cast(to=exp.DataType.build("DATE"))
            moved.replace(date)
            date.set("this", moved)
    for product in list(tree.find_all(exp.SafeMultiply)):
        factors = [exp.paren(factor, copy=False) for factor in (product.this, product.expression)]
        product.replace(exp.Anonymous(this="TRY", expressions=[exp.Mul(this=factors[0], expression=factors[1])]))
    _texts_of_values(tree)
    return tree.sql(dialect="duckdb", pretty=pretty)


_BY_WHOLE = """CASE
  WHEN ABS(x) < 9000000000000000000 THEN CAST(TRUNC(x) AS BIGINT) // n ELSE CAST(TRUNC(x) AS INT128) // n
END"""
"""What a NUMERIC has beyond a whole number is nothing of its quotient by one. 128 bits take four times as long."""


def _exact(division: exp.IntDiv) -> exp.Expression:
    """Between whole numbers: DuckDB makes doubles of decimals."""
    value, by = division.this, division.expression
    if _is(value, exp.DType.DECIMAL) and _is(by, exp.DType.BIGINT):
        return _filled(_BY_WHOLE, x=_decimal(value), n=by)
    if _is(value, exp.DType.DECIMAL) or _is(by, exp.DType.DECIMAL):
        division.set("this", _billionths(value))
        division.set("expression", _billionths(by))
    return division


def _is(value: exp.Expression, kind: exp.DType) -> bool:
    """Whether an operand is a NUMERIC, or an INT64: by a CAST that says so, as nothing else here knows of types."""
    if isinstance(value, exp.Cast):
        return bool(value.to.this == kind)
    if isinstance(value, exp.Paren | exp.Neg | exp.Abs):
        return _is(value.this, kind)
    if isinstance(value, exp.Add | exp.Sub | exp.Mul):
        sides = [_is(part, kind) for part in value.iter_expressions()]
        return all(sides) if kind == exp.DType.BIGINT else any(sides)
    return False


def _billionths(value: exp.Expression) -> exp.Expression:
    """A NUMERIC as how many billionths it is: the whole and the rest apart, for its type holds no more digits."""
    template = "CAST(TRUNC(x) AS INT128) * 1000000000 + CAST((x - TRUNC(x)) * 1000000000 AS INT128)"
    return _filled(template, x=_decimal(value))


def _decimal(value: exp.Expression) -> exp.Expression:
    return exp.Cast(this=value.copy(), to=exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb"))


def _filled(template: str, **given: exp.Expression) -> exp.Expression:
    """DuckDB's SQL in brackets, with expressions in place of its columns."""
    tree = exp.paren(sqlglot.parse_one(template, read="duckdb"), copy=False)
    for column in list(tree.find_all(exp.Column)):
        column.replace(given[column.name].copy())
    return tree


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


Place = Callable[[str], str]
"""A table's name → how SQL says where it is."""


@dataclass(frozen=True)
class Places:
    """Where tables are: those named alone, and those named with one of `datasets`. All others stay as they are."""

    own: Place
    datasets: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class _Splice:
    """`new` in place of the characters from `start` up to `end`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Qualified:
    """A query with full names. `given` is how it was written."""

    sql: str
    given: str
    splices: tuple[_Splice, ...] = ()

    def given_place(self, line: int, column: int) -> tuple[int, int]:
        """Line and column, from 1, in the query as given, of a place in `sql`. New names have no line feeds."""
        start = sum(len(text) + 1 for text in self.given.split("\n")[: line - 1])
        moved = 0
        for splice in self.splices:
            if splice.start < start or "\n" in self.given[start : splice.start]:
                continue
            if start + column - 1 - moved < splice.start + len(splice.new):
                return line, min(column - moved, splice.start - start + 1)
            moved += len(splice.new) - (splice.end - splice.start)
        return line, column - moved


def qualified(sql: str, places: Places) -> Qualified:
    """One query with the full names of its tables; all else of it stays as it was written. Raises QueryError.

    A table keeps its bare name as its alias, so that `ltv_entries.amount` still means the same.
    """
    tree = parse_query(sql)
    splices = []
    for table in tree.find_all(exp.Table):
        place = _place(table, places)
        if place is None:
            continue
        parts = [part.meta for part in table.parts]
        start, end = min(meta["start"] for meta in parts), max(meta["end"] for meta in parts) + 1
        alias = "" if table.alias else f" AS `{table.name}`"
        splices.append(_Splice(start, end, place(table.name) + alias))
    splices.sort(key=lambda splice: splice.start)
    return Qualified(_spliced(sql, splices), sql, tuple(splices))


def named_tables(sql: str) -> set[str]:
    """The tables that a query names alone, those that its WITH defines apart. Raises QueryError."""
    return {table.name for table in parse_query(sql).find_all(exp.Table) if _place(table, Places(str)) is not None}


def _place(table: exp.Table, places: Places) -> Place | None:
    if not isinstance(table.this, exp.Identifier) or table.catalog or "INFORMATION_SCHEMA" in table.name.upper():
        return None
    if table.db:
        return places.datasets.get(table.db)
    return None if _is_named_above(table) else places.own


def _is_named_above(table: exp.Table) -> bool:
    """Whether a WITH around the table defines its name. A part of it sees those before it, and itself if RECURSIVE."""
    name, inside, node = table.name.lower(), None, table.parent
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        elif isinstance(node, exp.Query):
            for part in node.ctes:
                recursive = isinstance(part.parent, exp.With) and part.parent.recursive
                if part is inside and not recursive:
                    break
                if part.alias.lower() == name:
                    return True
        node = node.parent
    return False


def without_order(sql: str) -> str:
    """A query without the ORDER BY at its end, unless a LIMIT needs it. Raises QueryError."""
    depth, order = 0, None
    for token in _tokens(sql):
        if token.token_type.name == "L_PAREN":
            depth += 1
        elif token.token_type.name == "R_PAREN":
            depth -= 1
        elif depth == 0 and token.token_type.name == "ORDER_BY":
            order = token.start
        elif depth == 0 and token.token_type.name == "LIMIT":
            return sql
    return sql if order is None else sql[:order].rstrip()


def with_parameter(sql: str, name: str, value: str) -> str:
    """A statement with SQL in place of the parameter `@name`, but not in texts and comments. Raises QueryError."""
    tokens = _tokens(sql)
    splices = [
        _Splice(mark.start, named.end + 1, value)
        for mark, named in itertools.pairwise(tokens)
        if mark.token_type.name == "PARAMETER" and named.text.lower() == name.lower()
    ]
    return _spliced(sql, splices)


def _tokens(sql: str) -> list[sqlglot.Token]:
    try:
        return sqlglot.tokenize(sql, read="bigquery")
    except SqlglotError as error:
        raise QueryError(f"not GoogleSQL: {_first_problem(error)}") from error


def _spliced(sql: str, splices: Iterable[_Splice]) -> str:
    parts, end = [], 0
    for splice in splices:
        parts += [sql[end : splice.start], splice.new]
        end = splice.end
    return "".join([*parts, sql[end:]])
