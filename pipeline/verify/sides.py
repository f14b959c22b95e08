"""The two sides that are compared: thin shells around a connection to the database, and the warehouse."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pipeline.batch.chunks import Chunk, cut
from pipeline.batch.stamps import Stamp, Way, stamped_read
from pipeline.batch.ways import stamping_way
from pipeline.google_names import quoted as name_in_warehouse
from pipeline.verify.tables import ComparedTable, RowKey
from pipeline.warehouse import Warehouse
from schemas.checkpoint import Place
from schemas.config import ShopConfig, read_password
from schemas.errors import QueryError
from schemas.log_position import read_position
from schemas.source import Server, connect, describe_server, rows
from schemas.tables import RAW

if TYPE_CHECKING:
    pass

READ_TIMEOUT_S = 3600.0
"""A checksum of a range comes all at once, at its end."""
KEYS_A_QUERY = 500


class Sums(NamedTuple):
    """How many rows, and the XOR of their hashes."""

    rows: int
    checksum: int

    def __add__(self, other: object) -> Sums:
        assert isinstance(other, Sums)
        return Sums(self.rows + other.rows, self.checksum ^ other.checksum)


NOTHING = Sums(0, 0)


class SourceRow(NamedTuple):
    """`values` as `ComparedTable.rows` names them; `inside`: the role's `where` holds."""

    values: tuple[str | None, ...]
    inside: bool


class StoredRow(NamedTuple):
    """`version` is the sequence number of the row or of the floor that took it away."""

    values: tuple[str | None, ...]
    live: bool
    version: str


class Source:
    """The database; for one thread at a time. `seconds`: what checksums, and finding their ranges, have taken it.

    Raises SourceUnavailable or SourceRefused throughout.
    """

    def __init__(self, config: ShopConfig) -> None:
        config.need("source")
        assert config.source is not None
        self._config = config
        self.connection = connect(config.source, read_password(config), config.encryption, read_timeout=READ_TIMEOUT_S)
        rows(self.connection, "SET SESSION sql_mode = ''")  # no PAD_CHAR_TO_FULL_LENGTH, no refused dates
        self.server: Server = describe_server(self.connection)
        self._way: Way | None = None
        self.seconds = 0.0

    def another(self) -> Source:
        """On a connection of its own."""
        return Source(self._config)

    def chunks(self, table: ComparedTable, chunk_rows: int) -> Iterator[Chunk]:
        """Ranges of the table's key, found as they are asked for, on a connection of its own."""
        with closing(self.another()) as ahead:
            found = cut(ahead.connection, table.source, chunk_rows)
            while True:
                began = time.monotonic()
                chunk = next(found, None)
                self.seconds += time.monotonic() - began
                if chunk is None:
                    return
                yield chunk

    def _timed(self, sql: str) -> list[tuple[Any, ...]]:
        began = time.monotonic()
        try:
            return rows(self.connection, sql)
        finally:
            self.seconds += time.monotonic() - began

    def sums(self, table: ComparedTable, condition: str) -> Sums:
        ((count, checksum),) = self._timed(table.source_sums(condition))
        return Sums(int(count), int(checksum))

    def bucket_sums(
        self, table: ComparedTable, condition: str, digits: int, buckets: Sequence[str] | None
    ) -> dict[str, Sums]:
        found = self._timed(table.source_bucket_sums(condition, digits, buckets))
        return {str(bucket): Sums(int(count), int(checksum)) for bucket, count, checksum in found}

    def listing(
        self, table: ComparedTable, condition: str, digits: int = 0, buckets: Sequence[str] = ()
    ) -> dict[RowKey, int]:
        """Key → hash of its row."""
        found = self._timed(table.source_listing(condition, digits, buckets))
        return {tuple(map(_text, row[:-1])): int(row[-1]) for row in found}

    @contextmanager
    def stamped(self) -> Iterator[tuple[Stamp, str]]:
        """A consistent read: its stamp, and what must stand at the end of every SELECT inside."""
        if self._way is None:
            self._way = stamping_way(self.connection, self.server, None)
        with stamped_read(self.connection, self._way) as stamp:
            yield stamp, self._way.suffix

    def rows_of(self, table: ComparedTable, keys: Sequence[RowKey], suffix: str = "") -> dict[RowKey, SourceRow]:
        """Those of `keys` that there are."""
        wanted, found = set(keys), {}
        for first in range(0, len(keys), KEYS_A_QUERY):
            sql = table.source_rows(keys[first : first + KEYS_A_QUERY])
            for row in rows(self.connection, f"{sql} {suffix}"):
                texts = tuple(map(_text, row))
                key, values = texts[: len(table.keys)], texts[len(table.keys) :]
                if key in wanted:  # a collation finds A by a, but they are two rows of the warehouse
                    inside = table.where is None or table.where.holds(values[-1])
                    found[key] = SourceRow(values[: len(table.rows)], inside)
        return found

    def place(self) -> Place:
        """Where the log is now: above all that has been read."""
        return read_position(self.connection, self.server)

    def close(self) -> None:
        self.connection.close()


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class Stored:
    """The warehouse. Raises QueryError, WarehouseUnavailable or WarehouseError throughout."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def fetch(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        with self.warehouse.query(sql, parameters) as reader:
            return [row for batch in reader for row in batch.to_pylist()]

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """Of a raw table; none where it does not exist."""
        self._types("floors")
        try:
            return self._types(table)
        except QueryError:  # another table was answered for: this one is not there
            return {}

    def last_written(self, table: str) -> dt.datetime | None:
        """When the newest row of a raw table was written; None where there is no such table, or no row."""
        if not self.columns(table):
            return None
        found = self.fetch(f"SELECT MAX(_written_at) AS at FROM {RAW}.{name_in_warehouse(table)}")[0]["at"]
        assert found is None or isinstance(found, dt.datetime)
        return found

    def _types(self, table: str) -> dict[str, pa.DataType]:
        with self.warehouse.query(f"SELECT * FROM {RAW}.{name_in_warehouse(table)} LIMIT 0") as reader:
            return {field.name: field.type for field in reader.read_all().schema}

    def sums(self, table: ComparedTable, condition: str, parameters: dict[str, Any]) -> Sums:
        if not table.stored:
            return NOTHING
        (row,) = self.fetch(table.warehouse_sums(condition), parameters)
        return Sums(row["n"], row["checksum"])

    def bucket_sums(self, table: ComparedTable, digits: int, buckets: Sequence[str] | None) -> dict[str, Sums]:
        if not table.stored:
            return {}
        found = self.fetch(table.warehouse_bucket_sums(digits, buckets))
        return {row["bucket"]: Sums(row["n"], row["checksum"]) for row in found}

    def listing(
        self,
        table: ComparedTable,
        condition: str,
        parameters: dict[str, Any],
        digits: int = 0,
        buckets: Sequence[str] = (),
        *,
        most: int,
    ) -> dict[RowKey, int]:
        """Key → hash of its row, of `most` rows."""
        if not table.stored:
            return {}
        sql = f"{table.warehouse_listing(condition, digits, buckets)} LIMIT {most}"
        names = [f"k{index}" for index in range(len(table.keys))]
        return {tuple(row[name] for name in names): row["hash"] for row in self.fetch(sql, parameters)}

    def rows_of(self, table: ComparedTable, keys: Sequence[RowKey]) -> tuple[dict[RowKey, StoredRow], str]:
        """Those of `keys` that ever were, and the table's floor: what is in no row was last taken away by that."""
        floor = f"SELECT MAX(_sequence) AS floor FROM {RAW}.floors WHERE `table` = @table"
        lowest = str(self.fetch(floor, {"table": table.name})[0]["floor"] or "")
        if not table.stored:
            return {}, lowest
        found = {}
        for row in self.fetch(table.warehouse_rows, {"keys": [table.key_parameter(key) for key in keys]}):
            key = tuple(row[f"k{index}"] for index in range(len(table.keys)))
            values = tuple(row[f"v{index}"] for index in range(len(table.rows)))
            live = not row["_deleted"] and row["_sequence"] >= lowest
            found[key] = StoredRow(values, live, max(row["_sequence"], lowest))
        return found, lowest
