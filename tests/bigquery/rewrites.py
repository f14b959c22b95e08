"""Where the emulator (bqemulator 1.4.0) does not do what BigQuery does, and what the front changes on the way to it.

`REWRITES` is the list of them. A statement that none of them concerns goes on as it came, letter by letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery

from tests.bigquery.statements import Statement
from tests.bigquery.tables import Layout, Table, TableId, Tables

Change = Callable[[exp.Expr], bool]


@dataclass(frozen=True)
class Rewrite:
    """`change` alters the tree and says whether there was anything to alter."""

    name: str
    reason: str
    change: Change


_NUMBERS = (exp.DType.DECIMAL, exp.DType.BIGDECIMAL)


def _numeric(tree: exp.Expr) -> bool:
    found = False
    for kind in tree.find_all(exp.DataType):
        if kind.this in _NUMBERS and not kind.expressions:
            kind.replace(exp.DataType.build("NUMERIC(38, 9)", dialect="bigquery"))
            found = True
    return found


def _numeric_literal(tree: exp.Expr) -> bool:
    found = [cast for cast in tree.find_all(exp.Cast) if cast.this.is_string and cast.to.this in _NUMBERS]
    for cast in found:
        cast.replace(exp.Anonymous(this="PARSE_NUMERIC", expressions=[cast.this]))
    return bool(found)


def _div(tree: exp.Expr) -> bool:
    found = list(tree.find_all(exp.IntDiv))
    for division in found:
        for side in ("this", "expression"):
            if isinstance(division.args[side], exp.Binary):
                division.set(side, exp.paren(division.args[side], copy=False))
        around = exp.Paren()
        division.replace(around)
        around.set("this", division)
        if any(
            isinstance(part, exp.Cast) and part.to.this in _NUMBERS for part in (division.this, division.expression)
        ):
            quotient = exp.Div(this=division.this, expression=division.expression)
            whole = exp.Anonymous(this="TRUNC", expressions=[quotient])
            around.set("this", exp.cast(whole, "NUMERIC(38, 9)", dialect="bigquery"))
    return bool(found)


def _date_trunc(tree: exp.Expr) -> bool:
    found = [moved for moved in tree.find_all(exp.DateTrunc) if not moved.find_ancestor(exp.PartitionedByProperty)]
    for moved in found:
        date = exp.Cast(to=exp.DataType.build("DATE"))
        moved.replace(date)
        date.set("this", moved)
    return bool(found)


REWRITES = (
    Rewrite(
        "NUMERIC literal", "as NUMERIC, and in some queries NUMERIC(38, 9) loses its digits there", _numeric_literal
    ),
    Rewrite("NUMERIC", "NUMERIC without digits means DECIMAL(18,3) there, in DDL, casts and literals", _numeric),
    Rewrite(
        "DIV",
        "DIV(a + b, c) becomes a + b // c there, without the brackets that it needs, and of NUMERIC a fraction",
        _div,
    ),
    Rewrite("DATE_TRUNC", "of a DATE column may be a DATETIME there, of which nothing here takes one", _date_trunc),
)
"""Of queries, views and tables made by queries. Definitions of tables with columns are written anew instead, by
`copy_ddl`, because: PRIMARY KEY … NOT ENFORCED is a parse error there; max_staleness and the other options are dropped;
NUMERIC is as above; BIGNUMERIC has five decimals (DuckDB has no number of 76 digits, so it is a STRING there, and its
name is put back into the schema of results); ALTER TABLE ADD COLUMN breaks what is loaded afterwards. Of these tables
`tables.get` is answered by the front, too: the emulator calls JSON a STRING, and keeps no key, partition or clustering.
INFORMATION_SCHEMA.TABLE_OPTIONS is empty there, KEY_COLUMN_USAGE missing, COLUMNS has the types of the copy: a query
reads `information_schema` instead. A job's `totalBytesProcessed` is 0 there."""


class EmulatorSQL(BigQuery):
    """BigQuery knows no digits in a cast, which sqlglot therefore leaves out; the emulator needs them."""

    class Generator(BigQuery.Generator):  # type: ignore[misc]
        TRANSFORMS = {kind: sql for kind, sql in BigQuery.Generator.TRANSFORMS.items() if kind is not exp.Cast}  # noqa: RUF012


def rewritten(statement: Statement, tables: Tables) -> tuple[str, list[str]]:
    """The text for the emulator, and the names of what was rewritten."""
    tree = statement.tree.copy()
    done = [rewrite.name for rewrite in REWRITES if rewrite.change(tree)]
    for table in list(tree.find_all(exp.Table)):
        view = table.name.upper().removeprefix("INFORMATION_SCHEMA.")
        if table.name.upper().startswith("INFORMATION_SCHEMA.") and view in INFORMATION_SCHEMA:
            of = tables.of(table.catalog or statement.project, table.db)
            rows = information_schema(view, of)
            rows.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias or view.lower())))
            table.replace(rows)
            done.append(view)
    return (tree.sql(dialect=EmulatorSQL), done) if done else (statement.sql, done)


COPY_TYPES = {"NUMERIC": "NUMERIC(38, 9)", "BIGNUMERIC": "STRING"}


def copy_ddl(id: TableId, layout: Layout) -> str:
    """The emulator's copy of a table, empty."""
    lines = []
    for column in layout.columns:
        kind = COPY_TYPES.get(column.kind, column.kind)
        kind = f"ARRAY<{kind}>" if column.mode == "REPEATED" else kind
        lines.append(f"`{column.name}` {kind}")
    return f"CREATE OR REPLACE TABLE `{'.'.join(id)}` ({', '.join(lines)})"


def _options(table: Table) -> Iterable[tuple[object, ...]]:
    for name, kind, value in table.layout.options:
        yield *table.id, name, kind, value


def _key_columns(table: Table) -> Iterable[tuple[object, ...]]:
    for place, name in enumerate(table.layout.key, 1):
        yield *table.id, f"{table.id[2]}.pk$", name, place


def _columns(table: Table) -> Iterable[tuple[object, ...]]:
    for place, column in enumerate(table.layout.columns, 1):
        kind = f"ARRAY<{column.kind}>" if column.mode == "REPEATED" else column.kind
        partition = "YES" if table.layout.partition and table.layout.partition[0] == column.name else "NO"
        yield *table.id, column.name, place, "NO" if column.mode == "REQUIRED" else "YES", kind, partition


_NAMES = ("table_catalog", "table_schema", "table_name")
INFORMATION_SCHEMA: dict[str, tuple[tuple[str, ...], Callable[[Table], Iterable[tuple[object, ...]]]]] = {
    "TABLE_OPTIONS": ((*_NAMES, "option_name", "option_type", "option_value"), _options),
    "KEY_COLUMN_USAGE": ((*_NAMES, "constraint_name", "column_name", "ordinal_position"), _key_columns),
    "COLUMNS": (
        (*_NAMES, "column_name", "ordinal_position", "is_nullable", "data_type", "is_partitioning_column"),
        _columns,
    ),
}
"""View → its columns as far as they are needed, and its rows."""


def information_schema(view: str, tables: Iterable[Table]) -> exp.Subquery:
    """The rows of a view over tables, as a query that reads nothing."""
    names, rows_of = INFORMATION_SCHEMA[view]
    rows = [row for table in tables for row in rows_of(table)]
    selects = [
        exp.select(*(exp.alias_(exp.convert(value), name) for name, value in zip(names, row, strict=True)))
        for row in rows
    ]
    if not selects:
        numbers = ("ordinal_position",)
        kinds = {name: "INT64" if name in numbers else "STRING" for name in names}
        nothing = exp.select(
            *(exp.alias_(exp.cast(exp.null(), kinds[name], dialect="bigquery"), name) for name in names)
        )
        selects = [nothing.limit(0)]
    query: exp.Query = selects[0]
    for select in selects[1:]:
        query = exp.union(query, select, distinct=False, copy=False)
    return exp.Subquery(this=query)
