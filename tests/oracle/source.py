"""A real server, one database on it, and what the binlog has of what a test writes there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import orjson
import pymysql

from binlog_worker.decoding.rows import Rows, Tables, decode_rows
from binlog_worker.decoding.table_map import TableLayout
from binlog_worker.decoding.true_types import true_types
from binlog_worker.log import events
from binlog_worker.log.dump import Dump
from schemas.catalogue import read_table_names, read_tables
from schemas.source import describe_server


class Source:
    """`changes` decodes with the catalogue as it is when it is called, as a worker does at its start."""

    def __init__(self, server: Any, database: str, server_id: int) -> None:
        self.server, self.database, self.server_id = server, database, server_id
        self.mariadb = server.flavor == "mariadb"
        self.connection = self.connect()
        self.run(f"USE {database}", "SET time_zone='+00:00'", "SET sql_mode=''")
        self.version = describe_server(self.connection).version

    def connect(self) -> pymysql.connections.Connection[Any]:
        address = {name: getattr(self.server, name) for name in ("host", "port", "user", "password")}
        return pymysql.connect(**address, autocommit=True, charset="utf8mb4")

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def insert(self, table: str, rows: list[str], many: int = 250) -> None:
        """Rows as `(…)`, many a statement."""
        for first in range(0, len(rows), many):
            self.run(f"INSERT IGNORE INTO {table} VALUES {','.join(rows[first : first + many])}")

    def position(self) -> tuple[str, int]:
        file, offset = self.run("SHOW MASTER STATUS" if self.mariadb else "SHOW BINARY LOG STATUS")[0][:2]
        return file, offset

    def events(self, start: tuple[str, int]) -> Iterator[events.RawEvent]:
        """Everything up to the position that is current now."""
        end = self.position()
        dump = Dump(self.connect, self.server_id, *start, heartbeat=0.2, read_timeout=10)
        try:
            for event in dump:
                if event.kind not in (events.HEARTBEAT, events.HEARTBEAT_V2):
                    yield event
                if (event.file, event.end) >= end:
                    return
        finally:
            dump.close()

    def row_events(
        self, start: tuple[str, int], keep: Collection[int] | None = None, table: str | None = None
    ) -> Iterator[Rows]:
        """Of one table, or of all in the database; `keep` are the columns wanted."""

        def choose(layout: TableLayout) -> Collection[int] | None:
            if layout.schema != self.database or table not in (None, layout.table):
                return None
            return range(len(layout.columns)) if keep is None else keep

        catalogue = read_tables(self.connection, read_table_names(self.connection, self.database))
        types = true_types(describe_server(self.connection), catalogue, catalogue.get)
        tables = Tables(choose, mariadb=self.mariadb, refine=types.refined if types is not None else None)
        for event in self.events(start):
            if event.kind == events.TABLE_MAP:
                tables.remember(event)
            elif event.kind in events.ROWS:
                rows = decode_rows(event, tables)
                if rows is not None:
                    yield rows
            else:
                events.parse(event)

    def changes(
        self, start: tuple[str, int], keep: Collection[int] | None = None, table: str | None = None
    ) -> Iterator[tuple[str, TableLayout, Any, Any]]:
        """op, layout, before, after."""
        for rows in self.row_events(start, keep, table):
            for before, after in rows.changes:
                yield rows.op, rows.table.layout, before, after

    def inserted(
        self, start: tuple[str, int], keep: Collection[int] | None = None, table: str | None = None
    ) -> list[list[Any]]:
        """Values of the rows inserted; the JSON that is published of them says the same."""
        found: list[list[Any]] = []
        for rows in self.row_events(start, keep, table):
            images = [after or [] for _, after in rows.changes]
            published = [list(orjson.loads(image).values()) for image in rows.images()[0]]
            assert published == images
            found += images
        return found
