"""Where rows and entries that were derived anew go: beside the tables of a DuckDB file, or in place on BigQuery."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from pipeline.changes import DeadRow
from pipeline.rederive.role import Role
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig


@dataclass(frozen=True)
class Derived:
    """What one run has found. `emptied`: role → source table; `loading`: source tables whose loads begin anew; `dead`:
    instead of the dead letters of the run before."""

    roles: Sequence[Role]
    emptied: Mapping[str, str]
    settings: Mapping[str, object]
    loading: Sequence[str]
    dead: Sequence[DeadRow]
    now: dt.datetime


class Staged(Protocol):
    """What one run makes, which consumers see from `adopt` on."""

    def untold(self, role: Role) -> Iterator[str]:
        """Why rows of a role cannot be written anew here: a sentence each."""

    def begin(self, roles: Sequence[Role]) -> None: ...

    def pieces(self, table: str) -> Iterator[pa.Table]:
        """All rows of a raw table, some at a time."""

    def add(self, table: str, rows: pa.Table) -> None:
        """Rows of a role as they will be."""

    def add_entries(self, entries: pa.Table, now: dt.datetime) -> None: ...

    def keep_others(self, emptied: Sequence[str], now: dt.datetime) -> int:
        """Entries that no row makes any more are deleted; returns how many were live, those of the tables that are
        emptied apart."""

    def adopt(self, derived: Derived) -> None:
        """Puts in its place what was added, and the settings with it."""

    def drop(self) -> None:
        """What was made and is not adopted."""


@dataclass(frozen=True)
class OpenedPlace:
    """`hold` keeps others from writing, as far as that can be done."""

    warehouse: Warehouse
    staging: Callable[[], Staged]
    hold: Callable[[], None]


def opened(config: ShopConfig, waiting: Callable[[str], None]) -> OpenedPlace:
    """The warehouse that the configuration names. Raises WarehouseError."""
    kind, _, path = str(config.warehouse).partition(":")
    if kind == "duckdb":
        from pipeline.rederive.staging import Staging, open_alone

        alone = open_alone(path, waiting)
        return OpenedPlace(alone, lambda: Staging(alone), lambda: None)
    from pipeline.bigquery.warehouse import open_bigquery
    from pipeline.rederive.rewriting import Rewriting

    shared = open_bigquery(config, writing=True)
    return OpenedPlace(shared, lambda: Rewriting(shared, config), shared.lock_loads)
