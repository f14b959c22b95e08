"""Loads of whole tables into a DuckDB file: what is written of one, and how its rows become visible at its end.

An empty raw table is loaded beside itself, into a table without a key: appending is several times as fast as upserting,
and a key is built faster over all rows at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline import duckdb_sql as sql
from pipeline.changes import Changes, Load, LoadedChunk
from pipeline.duckdb_tables import RawTables, arriving, by_table, fitting, wider_type
from pipeline.entries import ORIGINS
from pipeline.layout import Layout, stored_columns
from pipeline.session import Session, Statement
from pipeline.warehouse import StoredLoad
from schemas.columns import STRING
from schemas.tables import ENTRY_COLUMNS, OWN_TABLES

BESIDE = ".loading"
"""Ends the names of tables that are being loaded; no table of a database has a full stop in its name here."""

REST = ".rest"
"""Ends those of what is no whole row group of a chunk. DuckDB writes whole ones straight into its file, and once; where
smaller ones lie between them it writes all of them again."""

ROW_GROUP = 122_880


class DuckDBLoads:
    """The loads of one warehouse. `tables` is what it knows of its raw tables."""

    def __init__(self, session: Session, tables: RawTables) -> None:
        self._session, self._tables = session, tables

    def stored(self) -> list[StoredLoad]:
        return [StoredLoad(**row) for row in self._rows(sql.LOADS)]

    def open(self, load: Load, now: dt.datetime) -> Load:
        """See `pipeline.warehouse.Warehouse.open_load`."""
        self._tables.know()
        beside = [_beside(layout) for layout in load.targets]
        if self._rows(Statement("SELECT 1 FROM raw.loads WHERE id = $id", {"id": load.id})):
            return _as(load, beside=all(name in self._tables.columns for name in beside))
        left = [*beside, _entries_beside(load)]
        left += [name + REST for name in left]
        statements = [*map(sql.drop, left), *sql.forget_loads(load.table)]
        load = _as(load, beside=not any(self._count(layout.table) for layout in load.targets))
        row = {"id": load.id, "table": load.table, "fingerprint": load.fingerprint, "whole": load.whole,
               "sequence": load.sequence, "now": now}  # fmt: skip
        statements.append(Statement(sql.BEGIN_LOAD, row))
        self._session.run(statements)
        self._tables.forget()
        if load.beside:
            self._tables.know()
            statements = []
            self._ensure_beside(load, statements)
            self._session.run(statements)
        return load

    def _ensure_beside(self, load: Load, statements: list[Statement]) -> None:
        for end in ("", REST):
            for layout in load.targets:
                self._tables.ensure(_beside(layout) + end, stored_columns(layout), (), statements, None)
            self._tables.ensure(_entries_beside(load) + end, ENTRY_COLUMNS, (), statements, None)

    def append(
        self, changes: Changes, statements: list[Statement], inputs: dict[str, pa.Table], now: dt.datetime
    ) -> None:
        """The rows of a chunk into the tables beside their targets."""
        assert changes.chunk is not None
        parts = {table + BESIDE: [one.rows for one in batches] for table, batches in by_table(changes.batches).items()}
        if changes.entries:
            parts[_entries_beside(changes.chunk.load)] = changes.entries
        for beside, tables in parts.items():
            known = self._tables.columns[beside]
            rows = fitting(arriving(tables, now), known)
            whole = rows.num_rows - rows.num_rows % ROW_GROUP
            for table, part in ((beside, rows.slice(0, whole)), (beside + REST, rows.slice(whole))):
                if part.num_rows:
                    name = f"new_{len(inputs)}"
                    groups = part.combine_chunks().to_batches(max_chunksize=ROW_GROUP)
                    inputs[name] = pa.Table.from_batches(groups)
                    statements.append(sql.insert(table, list(known), name))

    def note(self, chunk: LoadedChunk, now: dt.datetime) -> Statement:
        """That the chunk is written; goes into the same transaction as its rows."""
        row = {"load": chunk.load.id, "number": chunk.number, "lower": chunk.lower, "upper": chunk.upper,
               "rows": chunk.rows, "dead": chunk.dead, "sequence": chunk.sequence, "now": now}  # fmt: skip
        return Statement(sql.NOTE_CHUNK, row)

    def finish(self, load: Load, now: dt.datetime) -> None:
        """Rows beside become the raw tables, with their keys; rows that a whole load has not seen are gone. All of that
        in one transaction, after one that makes the tables alike."""
        self._tables.forget()
        self._tables.know()
        statements: list[Statement] = []
        for layout in load.targets:
            self._tables.ensure(layout.table, stored_columns(layout), layout.key, statements, sql.create_view)
            if layout.role == "orders":
                history = {"_op": STRING, **stored_columns(layout)}
                self._tables.ensure(_history(layout), history, (), statements, sql.create_history_view)
            if load.beside:
                self._make_alike(layout, statements)
        if load.beside:
            for beside in (*map(_beside, load.targets), _entries_beside(load)):
                statements += self._add_rest(beside)
        self._session.run(statements)
        self._session.run([*(self._become(load) if load.beside else ()), *self._done(load, now)])
        self._tables.forget()

    def _add_rest(self, beside: str) -> list[Statement]:
        columns = self._tables.columns.get(beside + REST)
        if columns is None:
            return []
        return [sql.append_all(beside, list(columns), beside + REST, {}), sql.drop(beside + REST)]

    def _make_alike(self, layout: Layout, statements: list[Statement]) -> None:
        """A column that a stream has added or widened meanwhile is so in the table beside, and the other way round."""
        own, beside = self._tables.columns[layout.table], self._tables.columns[_beside(layout)]
        for name in {**own, **beside}:
            kind = wider_type(own.get(name, beside.get(name, "")), beside.get(name, own.get(name, "")))
            if name not in own:
                statements.append(sql.add_column(layout.table, name, kind))
            elif own[name] != kind:
                statements += (
                    sql.retype_key(layout.table, {**own, name: kind}, layout.key)
                    if name in layout.key
                    else [sql.retype_column(layout.table, name, kind)]
                )
            if name not in beside:
                statements.append(sql.add_column(_beside(layout), name, kind))
            elif beside[name] != kind:
                statements.append(sql.retype_column(_beside(layout), name, kind))
            own[name] = beside[name] = kind

    def _become(self, load: Load) -> list[Statement]:
        statements: list[Statement] = []
        for layout in load.targets:
            beside, columns = _beside(layout), self._tables.columns[layout.table]
            if layout.role == "orders":
                kept = [name for name in self._tables.columns[_history(layout)] if name in (*columns, "_op")]
                statements.append(sql.append_all(_history(layout), kept, beside, {"_op": "r"}))
            statements += self._join(layout.table, beside, list(columns), layout.key)
            statements.append(sql.create_view(layout.table, list(columns)))
        beside = _entries_beside(load)
        if any(layout.role in ORIGINS for layout in load.targets):
            statements += self._join("ltv_entries", beside, list(OWN_TABLES["ltv_entries"]), ("entry_id",))
        else:
            statements.append(sql.drop(beside))
        return statements

    def _join(self, table: str, beside: str, columns: Sequence[str], key: Sequence[str]) -> list[Statement]:
        """The smaller of the two is upserted into the larger, which is the table afterwards."""
        if self._count(table) <= self._count(beside):
            old = f"{table}.old"
            upsert = sql.upsert(table, columns, key, sql.raw(old), distinct=True)
            return [*sql.become(beside, table, key), upsert, sql.drop(old)]
        return [sql.upsert(table, columns, key, sql.raw(beside), distinct=True), sql.drop(beside)]

    def _done(self, load: Load, now: dt.datetime) -> list[Statement]:
        """The load's row says so, and the floors of what it fed rise, unless it left something out."""
        rows, dead = self._rows(Statement(sql.LOADED, {"id": load.id}))[0].values()
        statements = []
        if load.whole and not dead:
            statements += [
                Statement(sql.RAISE_FLOOR, {"table": layout.table, "sequence": load.sequence})
                for layout in load.targets
            ]
        letters = {"prefix": f"batch:{load.table}:", "id": load.id}
        if load.whole:
            statements.append(Statement(sql.FORGET_LETTERS, letters))
        elif self._rows(Statement(sql.LETTERS, {"prefix": letters["prefix"]}))[0]["rows"]:
            statements += [
                Statement(self._forget_overtaken(layout), {**letters, "sequence": load.sequence})
                for layout in load.targets
            ]
        done = {"id": load.id, "now": now, "rows": rows, "dead": dead}
        return [*statements, Statement(sql.END_LOAD, done), *sql.forget_loads(load.table, but=load.id)]

    def _forget_overtaken(self, layout: Layout) -> str:
        sources = {column.name: column.source for column in layout.columns}
        types = self._tables.columns[layout.table]
        return sql.forget_overtaken(layout.table, {name: (sources[name], types[name]) for name in layout.key})

    def _count(self, table: str) -> int:
        if table not in self._tables.columns:
            return 0
        return int(self._rows(Statement(f"SELECT count(*) AS rows FROM {sql.raw(table)}"))[0]["rows"])

    def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.run([statement]).read_all().to_pylist()
        return found


def _beside(layout: Layout) -> str:
    return layout.table + BESIDE


def _entries_beside(load: Load) -> str:
    return f"ltv_entries.{load.targets[0].table}{BESIDE}"


def _history(layout: Layout) -> str:
    return f"{layout.table}_history"


def _as(load: Load, *, beside: bool) -> Load:
    return Load(load.id, load.table, load.fingerprint, load.sequence, load.whole, load.targets, beside)
