"""A shop on a MariaDB of its own, and what is asked and done there about transactions by their GTIDs."""

from __future__ import annotations

from pathlib import Path

from worker_shop import Shop, until

from demo.servers import MariaDB


def shop_on(server: MariaDB, tmp_path: Path, server_id: int) -> Shop:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS shop")
    return Shop(server.connect, server.dsn(), "shop", tmp_path, server_id)


def executed(shop: Shop, mysql: bool) -> str:
    variable = "gtid_executed" if mysql else "gtid_binlog_pos"
    return str(shop.sql(f"SELECT @@GLOBAL.{variable}")[0][0]).replace("\n", "")


def purge(shop: Shop) -> None:
    """All logs but the newest go, as soon as the server no longer needs them for a recovery."""
    newest = shop.position().partition(":")[0]
    until(lambda: shop.sql(f"PURGE BINARY LOGS TO '{newest}'") or str(shop.sql("SHOW BINARY LOGS")[0][0]) == newest)
