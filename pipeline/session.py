"""A session with a DuckDB database: statements in one transaction, with Arrow tables as their input.

`LocalSession` holds the file itself; `pipeline.duckdb_server` gives other processes the same meanwhile.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from schemas.errors import LtvError, QueryError, WarehouseError, WarehouseUnavailable

CHECKPOINT_THRESHOLD = "256MB"
"""How much is written ahead before tables and key indexes are rewritten; the default of 16 MB halves the throughput."""

CONFIG: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "latest"}
"""Of new files: how this DuckDB stores texts is written a third faster than what DuckDB 0.10 could read as well."""

RESULT_BATCH_ROWS = 50_000

_PROFILE = (
    "PRAGMA enable_profiling='no_output'",
    """SET custom_profiling_settings='{"CUMULATIVE_ROWS_SCANNED": "true", "TOTAL_BYTES_READ": "true"}'""",
)
"""What a connection is told to count of each statement."""


@dataclass(frozen=True)
class Statement:
    """A DuckDB statement and its named parameters (`$name`)."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


class Session(Protocol):
    """What a warehouse needs of a session."""

    def run(
        self,
        statements: Sequence[Statement],
        inputs: Mapping[str, pa.Table] | None = None,
        *,
        own_connection: bool = False,
    ) -> pa.RecordBatchReader: ...


class LocalSession:
    """Holds a DuckDB file (or `:memory:`). Writers take turns; readers see the last commit and wait for nobody."""

    def __init__(self, path: str, *, read_only: bool = False, memory: str | None = None) -> None:
        """`memory`: how much DuckDB may take, such as 512MB; the rest goes to disk.

        Raises WarehouseError: locked by another process, not a DuckDB file, or not writable."""
        self.path = path
        try:
            self._connection = _connect(path, read_only)
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute("SET python_enable_replacements = false")
            if memory:
                self._connection.execute(f"SET memory_limit = '{memory}'")
            if not read_only:
                self._connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
        except duckdb.Error as error:
            raise open_error(path, error) from error
        self._writing = threading.Lock()
        self._beside = threading.Lock()
        self.scanned_rows = self.scanned_bytes = 0
        """By queries, and by what ran on connections of its own: rows of tables, and bytes of the file that were not in
        memory."""
        self._writer = self._cursor()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def run(
        self,
        statements: Sequence[Statement],
        inputs: Mapping[str, pa.Table] | None = None,
        *,
        own_connection: bool = False,
    ) -> pa.RecordBatchReader:
        """Runs the statements in one transaction and returns the result of the last.

        `inputs` are tables by the name under which the statements read them. All or nothing: an error rolls back.
        `own_connection`: beside the other writers rather than after them, for what touches no row of theirs.
        Raises QueryError for SQL that is wrong, WarehouseUnavailable where trying again may help, else WarehouseError.
        """
        if own_connection:
            with self._beside, query_errors(), closing(self._counting_cursor()) as cursor:
                return _transaction(cursor, statements, inputs or {}, self._count_scanned).to_reader()
        with self._writing, query_errors():
            return _transaction(self._writer, statements, inputs or {}).to_reader()

    @contextmanager
    def read(self, statement: Statement) -> Iterator[pa.RecordBatchReader]:
        """One query on a connection of its own, streamed: it holds up no writer and is never whole in memory."""
        with query_errors():
            cursor = self._counting_cursor()
            try:
                yield cursor.execute(statement.sql, statement.parameters or None).to_arrow_reader(RESULT_BATCH_ROWS)
                self._count_scanned(cursor)
            finally:
                cursor.close()

    def _counting_cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._cursor()
        for statement in _PROFILE:
            cursor.execute(statement)
        return cursor

    def _count_scanned(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Adds what the last statement has read."""
        found = json.loads(cursor.get_profiling_information(format="json") or "{}")
        self.scanned_rows += int(found.get("cumulative_rows_scanned", 0))
        self.scanned_bytes += int(found.get("total_bytes_read", 0))

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        with self._writing:
            self._writer.close()
            self._connection.close()


def _connect(path: str, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Trap: what a killed process has left in its log beside the file cannot always be read without writing."""
    try:
        return duckdb.connect(path, read_only=read_only, config=CONFIG)
    except duckdb.IOException as error:
        if not read_only or "replaying WAL" not in str(error):
            raise
    duckdb.connect(path, config=CONFIG).close()
    return duckdb.connect(path, read_only=True, config=CONFIG)


def _transaction(
    cursor: duckdb.DuckDBPyConnection,
    statements: Sequence[Statement],
    inputs: Mapping[str, pa.Table],
    after_each: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
) -> pa.Table:
    for name, table in inputs.items():
        cursor.register(name, table)
    try:
        cursor.execute("BEGIN")
        try:
            result = pa.table({})
            for statement in statements if after_each else _joined(statements):
                cursor.execute(statement.sql, statement.parameters or None)
                if after_each:
                    after_each(cursor)
            if statements and cursor.description:
                result = cursor.to_arrow_table()
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                cursor.execute("ROLLBACK")
            raise
        return result
    finally:
        for name in inputs:
            cursor.unregister(name)


def _joined(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Neighbours without parameters as one: between two calls other threads of the process would take their turns."""
    for bare, group in itertools.groupby(statements, lambda statement: not statement.parameters):
        if bare:
            yield Statement(";\n".join(statement.sql for statement in group))
        else:
            yield from group


@contextmanager
def query_errors() -> Iterator[None]:
    """DuckDB's errors as ours; decided by their class."""
    try:
        yield
    except duckdb.Error as error:
        raise query_error(error) from error
    except pa.ArrowException as error:
        raise QueryError(str(error).splitlines()[0][:1000]) from error


_DISK = ("Could not write", "No space left", "fsync failed")
"""DuckDB gives a COMMIT that could not be written the class of one that met another; only its words tell."""

_MACHINE = (
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
)


def query_error(error: duckdb.Error) -> LtvError:
    text = str(error)
    if isinstance(error, duckdb.TransactionException) and not any(words in text for words in _DISK):
        return WarehouseUnavailable(f"two writers met: {text}", hint="try again")
    if isinstance(error, _MACHINE):
        return WarehouseError(f"DuckDB: {text}", hint="check the disk's free space and the machine's memory")
    return QueryError(text)


def open_error(path: str, error: duckdb.Error) -> WarehouseError:
    """Why a file could not be opened. DuckDB gives no codes here, so its words decide."""
    text = str(error).splitlines()[0]
    if is_lock_error(error):
        return WarehouseLocked(
            f"{path} is held by another process: {text}",
            hint="a running `ltv-pipeline stream` shares its file; any other program has to close it first",
        )
    if isinstance(error, duckdb.IOException) and "not a valid DuckDB" in text:
        return WarehouseError(
            f"{path} is not a DuckDB file", hint="name another file under `warehouse`, or move this one away"
        )
    if not Path(path).exists() and not Path(path).parent.is_dir():
        return WarehouseError(f"{path}: its folder does not exist", hint="make the folder, or change `warehouse`")
    return WarehouseError(f"{path} cannot be opened: {text}", hint="check its permissions and DuckDB's version")


def is_lock_error(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.IOException) and "lock on file" in str(error)


class WarehouseLocked(WarehouseError):
    """Another process holds the file."""
