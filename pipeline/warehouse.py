"""What the pipeline asks of a warehouse, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipeline.changes import Changes, DeadRow, Load
from schemas.columns import ColumnType
from schemas.config import ShopConfig
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Applied:
    """What one `apply` did: rows handed over, dead letters kept, and how long it took in seconds."""

    rows: int
    dead: int
    seconds: float


@dataclass(frozen=True)
class StoredLoad:
    """A load as the warehouse remembers it. Of one that is not `done`, `chunks` are written, up to the key `upper`
    (JSON; None: none yet), or all of them: then it is `complete`. `rows` and `dead` are theirs."""

    id: str
    table: str
    fingerprint: str
    sequence: str
    whole: bool
    done: bool = False
    chunks: int = 0
    upper: str | None = None
    complete: bool = False
    rows: int = 0
    dead: int = 0


@dataclass(frozen=True)
class StoredTable:
    """A raw table as it is: column → type, and its primary key."""

    columns: dict[str, ColumnType]
    key: tuple[str, ...]


class Warehouse(Protocol):
    """Upserts by sequence number; safe to be given the same changes twice, in any order."""

    def apply(self, changes: Changes) -> Applied:
        """Writes rows, entries, floors, arrivals and dead letters, all or nothing; then ends the load `loaded`.

        Raises Transient where trying again may help.
        """

    def highest_epoch(self) -> str:
        """The highest epoch that was ever applied, four hexadecimal digits, or ""."""

    def check_settings(self, config: ShopConfig) -> None:
        """Remembers the settings that rows are derived with. Raises SettingsChanged where they were others."""

    def recall(self, name: str) -> str | None:
        """What `remember` kept under this name."""

    def remember(self, name: str, value: str) -> None:
        """Keeps a short text in the warehouse."""

    def raw_tables(self) -> dict[str, StoredTable]:
        """Raw table → its columns and key, the warehouse's own tables too."""

    def lock_loads(self) -> None:
        """Until it is closed no other batch writes to this warehouse. Raises WarehouseError where one does."""

    def loads(self) -> list[StoredLoad]:
        """Of each source table the load that is not done, and the last one that is."""

    def open_load(self, load: Load) -> Load:
        """Goes on with a load that is not done, or begins a new one, and forgets what others of its table have left.

        Returns it as it is to be written: `beside` says how.
        """

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
    config: ShopConfig,
    *,
    hold: bool = False,
    join: bool = False,
    read_only: bool = False,
    memory: str | None = None,
    waiting: Waiting | None = None,
) -> Warehouse:
    """The warehouse that the configuration names.

    `hold`: for `stream`, which keeps a DuckDB file open and shares it with the other commands; with `join` one that
    another shares will do, for `batch`, whose DuckDB takes no more than `memory`. `waiting` is told while
    another process still holds the file. Raises WarehouseError.
    """
    config.need("warehouse")
    kind, _, rest = str(config.warehouse).partition(":")
    if kind == "duckdb":
        from pipeline.duckdb_warehouse import open_duckdb

        return open_duckdb(rest, hold=hold, join=join, read_only=read_only, memory=memory, waiting=waiting)
    raise ConfigError(
        ["warehouse: bigquery: is not built yet"], hint="name a DuckDB file, such as `warehouse: duckdb:ltv.duckdb`"
    )
