"""GoogleSQL of `schemas/sql` → SQL of MySQL and MariaDB, through sqlglot: the same analysis on the shop's database."""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp, parse_one

from pipeline.google_sql import parse_query
from schemas.errors import QueryError
from schemas.identifiers import quoted

_FORMS = {exp.DType.DECIMAL: "^-?[0-9]{1,29}([.][0-9]{1,9})?$", exp.DType.BIGINT: "^-?[0-9]{1,18}$"}
"""What a text must look like to be a number of a type."""
MOST_MONTHS = 900
"""Numbers that GENERATE_ARRAY may count up to: below the servers' own limit of recursion, 1,000."""
COUNTED_UP = "counted_up"
_COUNTING = f"SELECT 0 AS n UNION ALL SELECT n + 1 FROM {COUNTED_UP} WHERE n < {MOST_MONTHS}"


Place = Callable[[str], str]
"""A table's name → what SQL calls it. Asked once for each time that the table is read."""


@dataclass(frozen=True)
class ShopQuery:
    """A query whose syntax trees are ready for the shop's SQL: the parts of its WITH by their names, and the rest."""

    parts: Mapping[str, exp.Query]
    body: exp.Query

    @functools.cached_property
    def outside(self) -> list[str]:
        """The tables that it reads and are no parts of it."""
        read = {name for tree in (*self.parts.values(), self.body) for name in _tables(tree)}
        return sorted(read - set(self.parts) - {COUNTED_UP})

    @functools.cached_property
    def shared(self) -> list[str]:
        """The parts that are read more than once. MariaDB would compute them anew for each time, and MySQL gives up on
        a statement that has too many of them."""
        uses = Counter(name for tree in (*self.parts.values(), self.body) for name in _tables(tree))
        return [name for name in self.parts if uses[name] > 1]

    def whole(self, tables: Mapping[str, str]) -> str:
        """One statement. `tables`: those outside → their queries in the shop's SQL."""
        parts = {name: tables[name] for name in self.outside}
        return _with([*self.parts.values(), self.body], {**parts, **_written_parts(self.parts)}, _written(self.body))

    def step(self, name: str | None, place: Place) -> str:
        """The statement of one of the `shared` parts, or (None) of the rest, which reads those and what is outside as
        tables."""
        tree = self.body if name is None else self.parts[name]
        inside = self._inside(tree)
        trees = {part: self.parts[part].copy() for part in self.parts if part in inside}
        body = tree.copy()
        for one in (*trees.values(), body):
            for table in list(one.find_all(exp.Table)):
                if table.name not in trees and table.name != COUNTED_UP:
                    alias = table.alias or table.name
                    table.replace(exp.to_table(place(table.name), alias=alias, dialect="mysql"))
        return _with([*trees.values(), body], _written_parts(trees), _written(body))

    def _inside(self, tree: exp.Query) -> set[str]:
        """The parts that go into the statement of `tree`: all that are read only here."""
        found: set[str] = set()
        for name in _tables(tree):
            if name in self.parts and name not in self.shared:
                found |= {name, *self._inside(self.parts[name])}
        return found


@functools.lru_cache(64)
def shop_query(sql: str, as_of: dt.date) -> ShopQuery:
    """Raises QueryError where a query cannot be written in the shop's SQL."""
    tree = parse_query(sql)
    for parameter in list(tree.find_all(exp.Parameter)):
        if parameter.name != "as_of":
            raise QueryError(f"the parameter @{parameter.name} is not known here")
        parameter.replace(exp.cast(exp.Literal.string(as_of.isoformat()), "date"))
    _dates(tree)
    _numbers(tree)
    _texts(tree)
    _arrays(tree)
    parts = {cte.alias: cte.this for cte in tree.ctes}
    for clause in list(tree.find_all(exp.With)):
        clause.pop()
    return ShopQuery(parts, tree)


def _with(trees: Iterable[exp.Query], parts: Mapping[str, str], body: str) -> str:
    """A statement that finds `parts` under their names. `trees`: all that it is made of."""
    listed = [f"{quoted(name)} AS (\n{query}\n)" for name, query in parts.items()]
    if any(COUNTED_UP in _tables(tree) for tree in trees):
        listed.insert(0, f"{quoted(COUNTED_UP)} AS ({_COUNTING})")
    return f"WITH RECURSIVE {', '.join(listed)} {body}" if listed else body


def _written_parts(parts: Mapping[str, exp.Query]) -> dict[str, str]:
    return {name: _written(tree) for name, tree in parts.items()}


def _tables(tree: exp.Query) -> list[str]:
    return [".".join(part.name for part in table.parts) for table in tree.find_all(exp.Table)]


def _written(tree: exp.Query) -> str:
    return tree.sql(dialect="mysql", comments=False, identify=True)


@functools.lru_cache(64)
def tables_read(sql: str) -> tuple[str, ...]:
    """The tables that a query reads, its CTEs apart, in the order of their names. Raises QueryError."""
    tree = parse_query(sql)
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    return tuple(sorted({*_tables(tree)} - own))


@functools.lru_cache(64)
def output_names(sql: str) -> tuple[str, ...]:
    """The names of a query's columns."""
    return tuple(parse_query(sql).named_selects)


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


def _texts(tree: exp.Query) -> None:
    for begins in list(tree.find_all(exp.StartsWith)):
        start = exp.Anonymous(this="LEFT", expressions=[begins.this, exp.func("CHAR_LENGTH", begins.expression.copy())])
        begins.replace(exp.EQ(this=start, expression=begins.expression))


def _arrays(tree: exp.Query) -> None:
    """CROSS JOIN UNNEST(GENERATE_ARRAY(a, b)) AS n → JOIN the numbers ON n BETWEEN a AND b."""
    for join in list(tree.find_all(exp.Join)):
        unnest = join.this
        if not isinstance(unnest, exp.Unnest) or len(unnest.expressions) != 1:
            continue
        series = unnest.expressions[0]
        alias = unnest.args.get("alias")
        if not isinstance(series, exp.GenerateSeries) or alias is None or series.args.get("step"):
            raise QueryError("only UNNEST(GENERATE_ARRAY(a, b)) can be written in the shop's SQL")
        name = (alias.columns or [alias.this])[0].name
        numbers = exp.select(exp.column("n").as_(name)).from_(COUNTED_UP).subquery(f"all_{name}")
        between = exp.Between(this=exp.column(name, f"all_{name}"), low=series.args["start"], high=series.args["end"])
        join.replace(exp.Join(this=numbers, on=between))
    if any(True for _ in tree.find_all(exp.Unnest)):
        raise QueryError("UNNEST cannot be written in the shop's SQL")
