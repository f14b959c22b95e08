"""What the pipeline asks of a warehouse, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipeline.changes import Changes, DeadRow
from schemas.config import ShopConfig
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Applied:
    """What one `apply` did: rows handed over, dead letters kept, and how long it took in seconds."""

    rows: int
    dead: int
    seconds: float


class Warehouse(Protocol):
    """Upserts by sequence number; safe to be given the same changes twice, in any order."""

    def apply(self, changes: Changes) -> Applied:
        """Writes rows, entries, floors, arrivals and dead letters, all or nothing.

        Raises Transient where trying again may help.
        """

    def highest_epoch(self) -> str:
        """The highest epoch that was ever applied, four hexadecimal digits, or ""."""

    def check_settings(self, config: ShopConfig) -> None:
        """Remembers the settings that rows are derived with. Raises SettingsChanged where they were others."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """The result of one GoogleSQL query, streamed. Raises QueryError."""

    def replace_tables(self, tables: Sequence[tuple[str, str]], parameters: Mapping[str, Any]) -> dict[str, int]:
        """(table, GoogleSQL query) pairs → tables replaced in one transaction, in order; their numbers of rows."""

    def dead_letters(self, table: str | None = None) -> list[DeadRow]:
        """Those kept, oldest first."""

    def forget_dead_letters(self, letters: Sequence[DeadRow]) -> None:
        """Removes those that have been applied after all."""

    def close(self) -> None: ...


Waiting = Callable[[str], None]


def open_warehouse(
    config: ShopConfig, *, hold: bool = False, read_only: bool = False, waiting: Waiting | None = None
) -> Warehouse:
    """The warehouse that the configuration names.

    `hold`: for `stream`, which keeps a DuckDB file open and shares it with the other commands. `waiting` is told while
    another process still holds the file. Raises WarehouseError.
    """
    config.need("warehouse")
    kind, _, rest = str(config.warehouse).partition(":")
    if kind == "duckdb":
        from pipeline.duckdb_warehouse import open_duckdb

        return open_duckdb(rest, hold=hold, read_only=read_only, waiting=waiting)
    raise ConfigError(
        ["warehouse: bigquery: is not built yet"], hint="name a DuckDB file, such as `warehouse: duckdb:ltv.duckdb`"
    )
