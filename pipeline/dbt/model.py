"""A query of the rollup as a dbt model: what it reads by `ref` and `source`, its day by a macro. Pure.

On BigQuery it stays the GoogleSQL that it is; for DuckDB it is translated as `ltv-pipeline rollup` does. dbt's
documentation: «ref», «source», «materialized», and of BigQuery's configurations «partition_by» and «cluster_by».
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.bigquery.ddl import DELETED, FORGETTING
from pipeline.facts import BEFORE, MARKS, before_views
from pipeline.google_names import quoted
from pipeline.google_sql import Places, named_tables, qualified, to_duckdb, with_parameter, without_order
from schemas.rollup_tables import PLAIN, ROLLUP_STORAGE
from schemas.tables import RAW

BIGQUERY, DUCKDB = "bigquery", "duckdb"
SOURCE, RAW_SOURCE = "ltv", "ltv_raw"
"""dbt's sources: what consumers read, and what is upserted."""

Query = tuple[str, str]
"""A rolled-up table and its GoogleSQL."""

_MARK = "dbt:"
_DAY = "CAST('{{ ltv_as_of() }}' AS DATE)"
_MARKS = dict(before_views(False))[MARKS]


def models(queries: Sequence[Query], adapter: str) -> dict[str, str]:
    """Rolled-up table → its model."""
    return {table: model(table, query, queries, adapter) for table, query in queries}


def model(table: str, query: str, queries: Sequence[Query], adapter: str) -> str:
    """The text of one model. It names the models that have to be made before it though it does not read them."""
    read = Reading({name for name, _ in queries}, adapter)
    sql = read.rewritten(without_order(query) if adapter == BIGQUERY else query)
    waits = "".join(f"-- depends_on: {{{{ ref('{other}') }}}}\n" for other in later_than(table, queries))
    return f"{_config(table, adapter)}{waits}{sql}\n"


def later_than(table: str, queries: Sequence[Query]) -> list[str]:
    """What is made before a table: of a table that others read as the rollup before left it, these; of the last one,
    all."""
    if table == queries[-1][0]:
        return [name for name, _ in queries[:-1]]
    views = {view for view, (shown, _) in BEFORE.items() if shown == table}
    return [name for name, query in queries if views and name != table and named_tables(query) & views]


def sources(queries: Sequence[Query]) -> dict[str, list[str]]:
    """dbt source → its tables: all that the rollup reads and does not make."""
    read = Reading({name for name, _ in queries}, BIGQUERY)
    for _, query in queries:
        read.rewritten(query)
    return {name: sorted(tables) for name, tables in read.sources.items()}


class Reading:
    """Rewrites queries, and remembers the sources that they read."""

    def __init__(self, made: set[str], adapter: str) -> None:
        self._made, self._adapter = made, adapter
        self._texts: list[str] = []
        self.sources: dict[str, set[str]] = {SOURCE: set(), RAW_SOURCE: set()}

    def rewritten(self, query: str) -> str:
        sql = qualified(with_parameter(query, "as_of", _DAY), self._places).sql
        if self._adapter == DUCKDB:
            sql = to_duckdb(sql, pretty=True)
        mark = '"' if self._adapter == DUCKDB else "`"
        for at, text in enumerate(self._texts):
            sql = sql.replace(f"{mark}{_MARK}{at}{mark}", text)
        return sql

    @property
    def _places(self) -> Places:
        return Places(self._own, {RAW: self._raw})

    def _own(self, table: str) -> str:
        if table in BEFORE:
            return self._placed(f"{{{{ ltv_before('{table}') }}}}")
        if table == MARKS:
            return f"({qualified(_MARKS, self._places).sql})"
        return self._placed(f"{{{{ ref('{table}') }}}}") if table in self._made else self._source(SOURCE, table)

    def _raw(self, table: str) -> str:
        place = self._source(RAW_SOURCE, table)
        if self._adapter == BIGQUERY and table in FORGETTING:
            return f"(SELECT * EXCEPT ({DELETED}) FROM {place} WHERE {DELETED} IS NOT TRUE)"
        return place

    def _source(self, source: str, table: str) -> str:
        self.sources[source].add(table)
        return self._placed(f"{{{{ source('{source}', '{table}') }}}}")

    def _placed(self, text: str) -> str:
        """A name that both dialects leave as it is, until the text of dbt's takes its place."""
        self._texts.append(text)
        return quoted(f"{_MARK}{len(self._texts) - 1}")


def _config(table: str, adapter: str) -> str:
    storage = ROLLUP_STORAGE.get(table, PLAIN)
    options = ["materialized='table'"]
    if adapter == BIGQUERY and storage.partition:
        by = {"field": storage.partition, "data_type": "date", "granularity": "month"}
        options.append(f"partition_by={by}")
    if adapter == BIGQUERY and storage.cluster:
        options.append(f"cluster_by={list(storage.cluster)}")
    return f"{{{{ config({', '.join(options)}) }}}}\n"
