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


@dataclass(frozen=True)
class Applied:
    """What one `apply` did: rows handed over, dead letters kept, and how long it took in seconds.

    `stale`: rows that lost to a later version which was there before; None where the warehouse does not say.
    `retries` and `append_ms` are of its append requests, where it makes any.
    """

    rows: int
    dead: int
    seconds: float
    stale: int | None = None
    retries: int = 0
    append_ms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scanned:
    """What queries have read: BigQuery tells bytes, as it bills them on demand; DuckDB rows, and the bytes of its file
    that were not in memory."""

    size: int
    rows: int | None = None

    def __str__(self) -> str:
        size = f"{self.size:,} bytes" if self.size < 10_000 else f"{self.size / 1e6:,.2f} MB"
        return f"{size} scanned" if self.rows is None else f"{self.rows:,} rows scanned, {size} read from the file"


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

    @property
    def writers(self) -> int:
        """How many `apply` may run at once, each on a thread of its own."""

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
        """(table, GoogleSQL query) pairs → tables replaced, in order, each at once and where the warehouse can all at
        once; their numbers of rows."""

    def replace_views(self, views: Sequence[tuple[str, str]]) -> None:
        """(view, GoogleSQL query) pairs → views in the dataset that consumers read, made or made anew, in order."""

    def fresh(self) -> AbstractContextManager[None]:
        """Until it ends, `query` and `replace_tables` see all that is applied; BigQuery may be `max_staleness` late."""

    def scanned(self) -> Scanned | None:
        """What `query` and `replace_tables` have read since it was opened, results that were not read to their end
        apart. None where another process has read for this one."""

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
    another process still holds the file. BigQuery is shared in any case. Raises WarehouseError, ConfigError.
    """
    config.need("warehouse")
    if file := config.duckdb_file:
        from pipeline.duckdb_warehouse import open_duckdb

        return open_duckdb(file, hold=hold, join=join, read_only=read_only, memory=memory, waiting=waiting)
    from pipeline.bigquery.warehouse import open_bigquery

    return open_bigquery(config, read_only=read_only, writing=hold)
