"""GoogleSQL of `schemas/sql` → SQL of MySQL and MariaDB, through sqlglot: the same analysis on the shop's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlglot import exp, parse_one

from pipeline.google_sql import parse_query
from schemas.errors import QueryError

_FORMS = {exp.DType.DECIMAL: "^-?[0-9]{1,29}([.][0-9]{1,9})?$", exp.DType.BIGINT: "^-?[0-9]{1,18}$"}
"""What a text must look like to be a number of a type."""
MOST_MONTHS = 900
"""Numbers that GENERATE_ARRAY may count up to: below the servers' own limit of recursion, 1,000."""
_NUMBERS = f"SELECT 0 AS n UNION ALL SELECT n + 1 FROM counted_up WHERE n < {MOST_MONTHS}"


def to_shop_sql(sql: str, tables: Mapping[str, str], as_of: dt.date) -> str:
    """One query, with `tables` (name → its query in the shop's SQL) in place of the warehouse's.

    Raises QueryError where it reads another table, or cannot be written there.
    """
    tree = parse_query(sql)
    for parameter in list(tree.find_all(exp.Parameter)):
        if parameter.name != "as_of":
            raise QueryError(f"the parameter @{parameter.name} is not known here")
        parameter.replace(exp.cast(exp.Literal.string(as_of.isoformat()), "date"))
    for name in tables_read(sql):
        if name not in tables:
            raise QueryError(f"it reads {name}, which the database cannot stand in for")
    _dates(tree)
    _numbers(tree)
    counts = _arrays(tree)
    body = tree.sql(dialect="mysql", comments=False)
    used = [f"{name} AS (\n{query}\n)" for name, query in tables.items() if _reads(tree, name)]
    if counts:
        used.append(f"counted_up AS ({_NUMBERS})")
    first, rest = body.split(" ", 1)
    if first.upper() == "WITH":
        return f"WITH RECURSIVE {', '.join(used)}, {rest}"
    return f"WITH RECURSIVE {', '.join(used)} {body}"


def tables_read(sql: str) -> list[str]:
    """The tables that a query reads, its CTEs apart, in the order of their names. Raises QueryError."""
    tree = parse_query(sql)
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    found = {".".join(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
    return sorted(found - own)


def output_names(sql: str) -> list[str]:
    """The names of a query's columns."""
    return list(parse_query(sql).named_selects)


def _reads(tree: exp.Query, name: str) -> bool:
    return any(table.name == name for table in tree.find_all(exp.Table))


def _dates(tree: exp.Query) -> None:
    """Months between two dates, whole ones of the calendar."""
    for between in list(tree.find_all(exp.DateDiff)):
        if between.text("unit").upper() == "MONTH":
            months = [
                exp.Anonymous(this="EXTRACT_YEAR_MONTH", expressions=[side])
                for side in (between.this, between.expression)
            ]
            between.replace(exp.Anonymous(this="PERIOD_DIFF", expressions=months))
    for month in list(tree.find_all(exp.Anonymous)):
        if month.name == "EXTRACT_YEAR_MONTH":
            template = parse_one("YEAR(x) * 100 + MONTH(x)", read="mysql")
            for column in list(template.find_all(exp.Column)):
                column.replace(month.expressions[0].copy())
            month.replace(template)


def _numbers(tree: exp.Query) -> None:
    for kind in tree.find_all(exp.DataType):
        if kind.this == exp.DType.DECIMAL and not kind.expressions:
            kind.replace(exp.DataType.build("DECIMAL(38, 9)", dialect="mysql"))
    for count in list(tree.find_all(exp.CountIf)):
        ones = exp.Sum(this=exp.If(this=count.this, true=exp.Literal.number(1), false=exp.Literal.number(0)))
        count.replace(exp.func("COALESCE", ones, exp.Literal.number(0)))
    for tried in list(tree.find_all(exp.TryCast)):
        form = _FORMS.get(tried.args["to"].this)
        if form is None:
            raise QueryError("SAFE_CAST can only be written in the shop's SQL where it makes an INT64 or a NUMERIC")
        pattern = exp.Literal.string(form)
        number = exp.Anonymous(this="REGEXP_INSTR", expressions=[tried.this.copy(), pattern])
        tried.replace(exp.If(this=number, true=exp.Cast(this=tried.this, to=tried.args["to"]), false=exp.null()))


def _arrays(tree: exp.Query) -> bool:
    """CROSS JOIN UNNEST(GENERATE_ARRAY(a, b)) AS n → JOIN the numbers ON n BETWEEN a AND b."""
    found = False
    for join in list(tree.find_all(exp.Join)):
        unnest = join.this
        if not isinstance(unnest, exp.Unnest) or len(unnest.expressions) != 1:
            continue
        series = unnest.expressions[0]
        alias = unnest.args.get("alias")
        if not isinstance(series, exp.GenerateSeries) or alias is None or series.args.get("step"):
            raise QueryError("only UNNEST(GENERATE_ARRAY(a, b)) can be written in the shop's SQL")
        name = (alias.columns or [alias.this])[0].name
        numbers = exp.select(exp.column("n").as_(name)).from_("counted_up").subquery(f"all_{name}")
        between = exp.Between(this=exp.column(name, f"all_{name}"), low=series.args["start"], high=series.args["end"])
        join.replace(exp.Join(this=numbers, on=between))
        found = True
    if any(True for _ in tree.find_all(exp.Unnest)):
        raise QueryError("UNNEST cannot be written in the shop's SQL")
    return found
