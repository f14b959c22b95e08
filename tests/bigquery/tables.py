"""The tables that take rows: columns, key, partition, options, and their rows. A column's name does not depend on case,
as in BigQuery."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa

from tests.bigquery.change_rows import ChangeRows
from tests.bigquery.column_values import ARROW, PYTHON, size_of

TableId = tuple[str, str, str]
"""Project, dataset, table."""


@dataclass(frozen=True)
class Column:
    """`kind` is GoogleSQL's name of the type; `mode` NULLABLE, REQUIRED or REPEATED."""

    name: str
    kind: str
    mode: str = "NULLABLE"

    @property
    def arrow(self) -> pa.DataType:
        return pa.list_(ARROW[self.kind]) if self.mode == "REPEATED" else ARROW[self.kind]


@dataclass(frozen=True)
class Layout:
    """What DDL says of a table. `partition` is (column, unit); `options` as INFORMATION_SCHEMA shows their values."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition: tuple[str, str] | None = None
    cluster: tuple[str, ...] = ()
    options: tuple[tuple[str, str, str], ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    def with_options(self, options: dict[str, tuple[str, str]]) -> Layout:
        kept = {name: (kind, value) for name, kind, value in self.options} | options
        return replace(self, options=tuple((name, *kept[name]) for name in sorted(kept)))

    def option(self, name: str) -> str | None:
        return next((value for known, _, value in self.options if known == name), None)


@dataclass(eq=False)
class Table:
    """A table and its rows. `version` grows with every change of them, `altered` with every change of the layout."""

    id: TableId
    layout: Layout
    created_at: dt.datetime
    now: Callable[[], dt.datetime]
    version: int = 0
    altered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    inserted: list[Any] = field(default_factory=list)
    changes: ChangeRows = field(init=False)

    def __post_init__(self) -> None:
        self.changes = ChangeRows(self.now)

    @property
    def name(self) -> str:
        return ".".join(self.id)

    def alter(self, layout: Layout) -> None:
        with self.lock:
            self.layout = layout
            self.altered += 1
            self.version += 1

    def clear(self) -> None:
        """As if nothing had ever been written."""
        with self.lock:
            self.inserted, self.changes = [], ChangeRows(self.now)
            self.version += 1

    def rows(self) -> Iterator[StoredRow]:
        yield from self.inserted
        yield from self.changes

    def count(self) -> int:
        with self.lock:
            return len(self.inserted) + len(self.changes)

    def arrow(self) -> pa.Table:
        """The current rows. Here messages become values; whether they are ones of their type was checked on arrival."""
        with self.lock:
            values: dict[str, list[Any]] = {column.name: [] for column in self.layout.columns}
            for stored in self.rows():
                row = stored.parse()
                for name, into in values.items():
                    into.append(row.get(name.lower()))
            columns = self.layout.columns
        return pa.table(
            {column.name: pa.array(_given(column, values[column.name]), column.arrow) for column in columns}
        )

    def bytes_of(self, names: set[str]) -> int:
        """What a query of these columns is billed; names in lower case."""
        rows = self.arrow()
        read = [column for column in self.layout.columns if column.name.lower() in names]
        return sum(size_of(column.kind, column.mode == "REPEATED", rows[column.name]) for column in read)


def _given(column: Column, values: list[Any]) -> list[Any]:
    if column.mode == "REPEATED":
        return [[] if value is None else value for value in values]
    make = PYTHON.get(column.kind)
    return values if make is None else [None if value is None else make(value) for value in values]


class StoredRow(NamedTuple):
    """A row as it came: the bytes, and how to parse them into {column in lower case: value of the field}."""

    data: bytes
    reader: Callable[[bytes], dict[str, Any]]

    def parse(self) -> dict[str, Any]:
        return self.reader(self.data)


class Tables:
    """All of them, by id. Safe to use from several threads."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self.now = now
        self._tables: dict[TableId, Table] = {}
        self._lock = threading.Lock()

    def get(self, id: TableId) -> Table | None:
        with self._lock:
            return self._tables.get(id)

    def create(self, id: TableId, layout: Layout) -> Table:
        with self._lock:
            self._tables[id] = Table(id, layout, self.now(), self.now)
            return self._tables[id]

    def drop(self, id: TableId) -> None:
        with self._lock:
            self._tables.pop(id, None)

    def of(self, project: str, dataset: str) -> list[Table]:
        with self._lock:
            return [table for id, table in sorted(self._tables.items()) if id[:2] == (project, dataset)]
