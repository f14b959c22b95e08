"""Which way of opening a stamped read a server has, see `pipeline.batch.stamps`."""

from __future__ import annotations

from pipeline.batch.log_watch import LogSeen
from pipeline.batch.mariadb_snapshot import MariadbSnapshot
from pipeline.batch.mysql_reads import GtidWait, LockingReads, LogStatus
from pipeline.batch.replica import ReplicaSnapshot
from pipeline.batch.stamps import Way, stamped_read
from schemas.catalogue import CatalogueTable
from schemas.checkpoint import Identity
from schemas.errors import SourceChanged, SourceRefused, UnsupportedTable
from schemas.sequence import binlog_number
from schemas.source import Connection, Server

SNAPSHOT_ENGINES = frozenset({"innodb"})


def stamping_way(connection: Connection, server: Server, tailed: Identity | None, seen: LogSeen | None = None) -> Way:
    """`server` answers on `connection`; `tailed` is the one whose binlog is tailed, None: the same. `seen`: an earlier
    look at its log.

    The way is tried once. Raises SourceRefused that names the missing grant or setting, SourceChanged where the server
    writes other logs than the tailed ones, and what `Way.begin` raises.
    """
    way = _way(connection, server, tailed, seen)
    with stamped_read(connection, way) as stamp:
        pass
    base = binlog_number(stamp.file)[0]
    if tailed is not None and base != tailed.base:
        raise SourceChanged(
            f"the server's logs are named {base}, the tailed ones {tailed.base}",
            hint="the checkpoint speaks of another server, or of logs before they were renamed",
        )
    return way


def _way(connection: Connection, server: Server, tailed: Identity | None, seen: LogSeen | None) -> Way:
    if tailed is not None and tailed.server != server.uuid:
        return ReplicaSnapshot(server, tailed)
    if server.flavor == "mariadb":
        if server.variables.get("binlog_optimize_thread_scheduling", "ON").upper() != "ON":
            raise SourceRefused(
                "binlog_optimize_thread_scheduling is OFF, so that commits become visible one by one behind the place"
                " in the log",
                hint="set it to ON and restart the server, or read from a replica",
            )
        return MariadbSnapshot(seen)
    if server.variables.get("gtid_mode", "OFF").upper() == "ON":
        return GtidWait(server)
    return LogStatus() if LogStatus.is_there(connection, server) else LockingReads(server)


def check_engine(table: CatalogueTable) -> None:
    """Raises UnsupportedTable where a snapshot of the server is none of this table."""
    if table.engine.lower() not in SNAPSHOT_ENGINES:
        raise UnsupportedTable(
            f"the table's engine is {table.engine or 'unknown'}, which has no consistent reads: rows that are logged"
            " already could be missed",
            table=table.name,
            hint=f"ALTER TABLE {table.name} ENGINE=InnoDB",
        )
