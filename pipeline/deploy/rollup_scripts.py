"""What the scheduled queries run: a script for each rolled-up table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.bigquery.ddl import replace_table, scheduled
from pipeline.bigquery.names import DatasetName
from pipeline.facts import BEFORE
from pipeline.google_sql import named_tables
from pipeline.rollup import ROLLED_UP, rollup_queries

Query = tuple[str, str]
"""A rolled-up table and its GoogleSQL."""


def rollup_scripts(dataset: DatasetName, time_zone: str) -> list[Query]:
    """(tables, script) of each scheduled query. It replaces its tables as of the day that it is in the shop's zone."""
    made = []
    for group in groups([*rollup_queries(), ("rolled_up", ROLLED_UP)]):
        statements = [scheduled(replace_table(dataset, table, query), time_zone) for table, query in group]
        made.append((", ".join(table for table, _ in group), "\n;\n".join(statements)))  # one may end in a comment
    return made


def groups(queries: Sequence[Query]) -> list[list[Query]]:
    """Scheduled queries run side by side, in no order. So a table that reads another one, as it is now or as it was
    before this rollup, is in one script with it, in the order of the rollup; any other is by itself."""
    names = {table for table, _ in queries}
    together = {table: {table} for table, _ in queries}
    for table, query in queries:
        for other in read_tables(query) & names - together[table]:
            together[table] |= together[other]
            for member in together[table]:
                together[member] = together[table]
    made: dict[int, list[Query]] = {}
    for table, query in queries:
        made.setdefault(id(together[table]), []).append((table, query))
    return list(made.values())


def read_tables(query: str) -> set[str]:
    """The tables beside the rolled-up ones that a query names; of those views that show an earlier rollup, what they
    show. Raises QueryError."""
    return {BEFORE[table][0] if table in BEFORE else table for table in named_tables(query)}
