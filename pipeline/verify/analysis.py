"""The query of every rolled-up table in three forms: for the database, for the warehouse's rows as they are now, and
over the views of the last rollup. A table that reads rolled-up tables is given their queries, not what is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pipeline.facts import fact_views
from pipeline.google_names import quoted
from pipeline.google_sql import without_order
from pipeline.rollup import rollup_queries
from pipeline.verify.cells import RolledUpTable
from pipeline.verify.shop_sql import output_names, tables_read
from pipeline.verify.shop_tables import ShopTables
from pipeline.verify.source_facts import SourceViews
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig

OF_THE_WAREHOUSE = {
    "freshness": "it tells when the warehouse was written, of which the database knows nothing",
    "cohort_changes": "it tells what changed between two rollups, of which the database knows nothing",
    "changed_cells": "it tells what changed between two rollups, of which the database knows nothing",
}
"""Table → why no database can say what should be in it."""


ENTRIES_ALONE = {"ltv_entries"}
NEEDS_TABLES = "it needs temporary tables (GRANT CREATE TEMPORARY TABLES), and {}"


class Analysis:
    """`views`: what stands for the fact views in the database, `shop` the rolled-up tables there."""

    def __init__(self, views: SourceViews, config: ShopConfig, warehouse: Warehouse, shop: ShopTables) -> None:
        self.queries = shop.queries
        self._refused, self._shop = views.refused, shop
        self._facts = dict(fact_views(config, warehouse.raw_tables()))

    def refusal(self, name: str) -> str:
        """Why the database cannot stand in for what a table is made of; empty where it can."""
        if name in OF_THE_WAREHOUSE:
            return OF_THE_WAREHOUSE[name]
        read = self._read(name)
        if refused := [self._refused[view] for view in read if view in self._refused]:
            return "; ".join(refused)
        return NEEDS_TABLES.format(self._shop.refused) if self._shop.refused and {*read} != ENTRIES_ALONE else ""

    def table(self, name: str, as_of: dt.date) -> RolledUpTable:
        sql = self.queries[name]
        made = [(read, self.queries[read]) for read in self._read(name) if read in self.queries]
        views = [(read, self._facts[read]) for read in self._read(name) if read in self._facts]
        return RolledUpTable(
            name,
            output_names(sql),
            sql=_over(sql, [*views, *made]),
            rolled_up_sql=_over(sql, made),
            as_of=as_of,
            reads=frozenset(view for view, _ in views),
        )

    def _read(self, name: str) -> list[str]:
        """All that a table is made of, each after what it is made of itself."""
        return list(dict.fromkeys(self._walk(name)))

    def _walk(self, name: str) -> Iterator[str]:
        for read in tables_read(self.queries[name]):
            if read in self.queries:
                yield from self._walk(read)
            yield read


def _over(sql: str, parts: list[tuple[str, str]]) -> str:
    """A query that finds `parts` under their names. It stays a whole inside: it has an `orders` of its own, and they
    read the stored one."""
    if not parts:
        return sql
    listed = ",\n".join(f"{quoted(name)} AS (\n{query}\n)" for name, query in parts)
    return f"WITH {listed}\nSELECT * FROM (\n{sql}\n) AS every"


def analysed() -> dict[str, str]:
    """Rolled-up table → its GoogleSQL, without an order."""
    return {name: without_order(sql) for name, sql in rollup_queries()}
