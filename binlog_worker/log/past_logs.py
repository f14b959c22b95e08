"""The server's logs read once more, over connections beside the one that follows them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.dump import UNREGISTERED, Dump
from binlog_worker.log.events import RawEvent
from binlog_worker.server import login
from binlog_worker.stopping import Stopping
from binlog_worker.xa.prepared import PastLogs
from schemas.checkpoint import Place
from schemas.config import ShopConfig
from schemas.server_logs import read_logs
from schemas.source import describe_server

if TYPE_CHECKING:
    from binlog_worker.server import Connection


class ServerPastLogs(PastLogs):
    """`refuse` raises where a connection leads to another server than before, or the log of a place is gone."""

    def __init__(
        self,
        config: ShopConfig,
        refuse: Callable[[Connection, Place], None],
        stopping: Stopping,
        *,
        heartbeat: float,
        read_timeout: float,
    ) -> None:
        self._config, self._refuse, self._stopping = config, refuse, stopping
        self._heartbeat, self._read_timeout = heartbeat, read_timeout

    def names(self) -> Sequence[str]:
        with login(self._config) as connection:
            return [log.name for log in read_logs(connection, describe_server(connection)).logs]

    def read(self, file: str, position: int) -> Generator[RawEvent]:
        with login(self._config) as connection:
            self._refuse(connection, Place(file, position))
        dump = Dump(
            lambda: login(self._config, read_timeout=self._read_timeout),
            UNREGISTERED,
            file,
            position,
            heartbeat=self._heartbeat,
            read_timeout=self._read_timeout,
        )
        try:
            for event in PlainEvents(dump):
                self._stopping.check()
                yield event
        finally:
            dump.close()
