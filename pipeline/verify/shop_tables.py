"""The rolled-up tables on the database: temporary tables of the verifying session, each made once of the others.

One statement for a whole table is no way: MariaDB computes a part of WITH anew wherever it is read, and MySQL gives up
on many of them. Where the user may not create temporary tables, what needs no more than the ltv entries is computed by
one statement each all the same. Nothing of it is in the binlog, and nothing is locked («Consistent Nonlocking Reads»).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.verify.shop_sql import ShopQuery, shop_query
from pipeline.verify.sides import Source
from pipeline.verify.source_columns import COLLATIONS
from schemas.errors import QueryError, SourceRefused
from schemas.identifiers import quoted
from schemas.source import rows

PREFIX = "_verify_"
_CONSISTENT = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
"""Under the usual one CREATE TABLE … SELECT locks the rows that it reads («Locks Set by Different SQL Statements»)."""
SESSION = {
    "mariadb": (
        _CONSISTENT,
        f"SET SESSION collation_connection = {COLLATIONS['mariadb']}",
        "SET SESSION join_cache_level = 8, optimizer_switch = 'join_cache_hashed=on,derived_with_keys=off'",
        "SET SESSION join_buffer_size = 67108864, join_buffer_space_limit = 268435456",
        "SET SESSION tmp_table_size = 67108864, max_heap_table_size = 67108864, default_tmp_storage_engine = Aria",
    ),
    "mysql": (
        _CONSISTENT,
        f"SET SESSION collation_connection = {COLLATIONS['mysql']}",
        "SET SESSION join_buffer_size = 67108864",
    ),
}
"""Flavor → what the session needs: reads without locks, texts that are equal letter by letter alone, hash joins."""


class ShopTables:
    """`facts`: view → its query in the database's SQL; `queries`: rolled-up table → its GoogleSQL. `source` is for this
    alone: its session is changed. `database`: where the temporary tables are."""

    def __init__(
        self, source: Source, database: str, facts: Mapping[str, str], queries: Mapping[str, str], as_of: dt.date
    ) -> None:
        self._source, self._database, self._facts = source, database, facts
        self.queries, self._as_of = queries, as_of
        self._made: list[str] = []
        for setting in SESSION[source.server.flavor]:
            rows(source.connection, setting)
        self.refused = self._refusal()

    def _refusal(self) -> str:
        """Why there can be no temporary tables; empty where there can."""
        logged = self._source.server.variables.get("binlog_format", "ROW")
        if logged.upper() != "ROW":
            return f"with binlog_format {logged} they would be logged"
        try:
            self._create("probe", "SELECT 1 AS one")
        except SourceRefused as error:
            return error.message
        self.forget()
        return ""

    def query(self, name: str) -> str:
        """A SELECT of a rolled-up table. Raises QueryError, and what the database refuses."""
        if self.refused:
            return shop_query(self.queries[name], self._as_of).whole(self._facts)
        self._make(name)
        return f"SELECT * FROM {self._place(name)}"

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return rows(self._source.connection, sql)

    def forget(self) -> None:
        """What has been made so far: the database may have changed."""
        for name in self._made:
            self._drop(name)
        self._made.clear()

    def _make(self, name: str) -> None:
        if name in self._made:
            return
        if name in self._facts:
            self._create(name, self._facts[name])
            return
        if name not in self.queries:
            raise QueryError(f"it reads {name}, which the database cannot stand in for")
        query = shop_query(self.queries[name], self._as_of)
        for read in query.outside:
            self._make(read)
        try:
            for part in query.shared:
                self._create(f"{name}__{part}", self._step(name, query, part))
            self._create(name, self._step(name, query, None))
        finally:
            for one in [made for made in self._made if made.startswith(f"{name}__") or "#" in made]:
                self._drop(one)
                self._made.remove(one)

    def _step(self, name: str, query: ShopQuery, part: str | None) -> str:
        """MySQL opens a temporary table once in a statement: what is read again there is read from a copy."""
        reads: Counter[str] = Counter()

        def place(read: str) -> str:
            table = f"{name}__{read}" if read in query.parts else read
            reads[table] += 1
            if reads[table] == 1 or self._source.server.flavor == "mariadb":
                return self._place(table)
            copy = f"{table}#{reads[table]}"
            if copy not in self._made:
                self._create(copy, f"SELECT * FROM {self._place(table)}")
            return self._place(copy)

        return query.step(part, place)

    def _place(self, name: str) -> str:
        return f"{quoted(self._database)}.{quoted(PREFIX + name)}"

    def _create(self, name: str, query: str) -> None:
        rows(self._source.connection, f"CREATE TEMPORARY TABLE {self._place(name)} AS {query}")
        self._made.append(name)

    def _drop(self, name: str) -> None:
        rows(self._source.connection, f"DROP TEMPORARY TABLE {self._place(name)}")
