"""A database that a worker tails into a warehouse in memory, in this process, and `verify` on the two."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from worker_shop import Running, Shop, until

from pipeline.applied import newest_applied
from pipeline.decode import Decoder
from pipeline.duckdb_server import DuckDBServer, RemoteSession
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.session import LocalSession, Statement
from pipeline.verify.command import compare
from pipeline.verify.differences import Difference, TableResult
from pipeline.verify.options import Options, Scope
from pipeline.verify.report import print_rollup, print_table
from pipeline.verify.rolled_up import RollupResult
from pipeline.verify.rows_of_tables import Reporter
from pipeline.verify.sides import Source
from schemas.config import ShopConfig
from schemas.config_file import load_config
from schemas.event import Message
from schemas.sequence import binlog_number, format_sequence
from tests.builders import decode, memory, rows
from tests.conftest import Server

HEARTBEAT_S = 0.1


class FollowedShop:
    """`shop.sql` writes; `followed` runs the worker and applies what it sends, until the block ends."""

    def __init__(self, server: Server, database: str, folder: Path, server_id: int, *tables: str) -> None:
        self.server = server
        self.shop = Shop(server.connect, server.dsn, database, folder, server_id, "")
        for table in tables:
            self.shop.sql(table)
        self.configure()
        self.warehouse: DuckDBWarehouse = memory()
        self.asked: DuckDBWarehouse | None = None
        self.reporter = Reporter()
        self._applied = threading.Lock()

    def serve(self, stack: contextlib.ExitStack) -> None:
        """From now on the warehouse is a file, and `verify` asks the process that holds it."""
        path = str(self.shop.folder / "served.duckdb")
        session = LocalSession(path)
        self.warehouse = stack.enter_context(contextlib.closing(DuckDBWarehouse(session, server=DuckDBServer(session))))
        self.asked = stack.enter_context(contextlib.closing(DuckDBWarehouse(RemoteSession(path))))

    def configure(self, **settings: Any) -> None:
        self.shop.write(heartbeat_seconds=HEARTBEAT_S, **settings)

    @property
    def config(self) -> ShopConfig:
        return load_config(self.shop.folder / "shop.yaml")

    def mirror(self, *tables: str) -> None:
        self.configure(tables={}, mirror=[f"{self.shop.database}.{table}" for table in tables])

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.shop.sql(*statements)

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """The block begins when all that was written before is applied."""
        decoder = Decoder(self.config)

        def apply(messages: Sequence[Message]) -> None:
            with self._applied:
                self.warehouse.apply(decode(decoder.config, *messages, decoder=decoder))

        with Running(self.shop, send=apply) as running:
            self._running = running
            self.caught_up()
            yield
            running.stop()

    def caught_up(self) -> None:
        """Waits until all that the database has logged by now is applied."""
        running = self._running
        file, _, offset = self.shop.position().partition(":")
        wanted = format_sequence(1, binlog_number(file)[1], int(offset), 0)

        def passed() -> bool:
            if not running.alive:
                raise running.error or AssertionError("the worker ended")
            return newest_applied(self.warehouse, dt.datetime.now(dt.timezone.utc)) >= wanted

        until(passed, 30)

    def raw(self, sql: str) -> None:
        """DuckDB's SQL, straight at the raw tables: what no stream would do."""
        self.warehouse.session.run([Statement(sql)])

    def raw_rows(self, sql: str) -> list[tuple[Any, ...]]:
        return rows(self.warehouse, sql)

    def verify(self, **options: Any) -> list[TableResult | RollupResult]:
        scope = {"wait": 20.0, **options}
        given = {name: scope.pop(name) for name in ("rollup", "as_of") if name in scope}
        with contextlib.closing(Source(self.config)) as source:
            made = Options(Scope(**scope), **{"rollup": False, **given})
            return list(compare(source, self.asked or self.warehouse, self.config, made, self.reporter))

    def tables(self, **options: Any) -> dict[str, TableResult]:
        found = self.verify(**options)
        return {result.table: result for result in found if isinstance(result, TableResult)}

    def differences(self, **options: Any) -> list[Difference]:
        """Every table's; nothing may be left open."""
        found = self.tables(**options)
        for result in found.values():
            assert not (result.problem or result.ranges or result.more), result
        return [difference for result in found.values() for difference in result.differences]


def printed(results: Sequence[TableResult | RollupResult], form: str = "table") -> str:
    out = io.StringIO()
    for result in results:
        if isinstance(result, TableResult):
            print_table(result, form, out)
        else:
            print_rollup(result, form, out)
    return out.getvalue()
