"""A shop on a MariaDB of its own, and what is asked and done there about transactions by their GTIDs."""

from __future__ import annotations

from worker_shop import Shop, until


def executed(shop: Shop, mysql: bool) -> str:
    variable = "gtid_executed" if mysql else "gtid_binlog_pos"
    return str(shop.sql(f"SELECT @@GLOBAL.{variable}")[0][0]).replace("\n", "")


def purge(shop: Shop) -> None:
    """All logs but the newest go, as soon as the server no longer needs them for a recovery."""
    newest = shop.position().partition(":")[0]
    until(lambda: shop.sql(f"PURGE BINARY LOGS TO '{newest}'") or str(shop.sql("SHOW BINARY LOGS")[0][0]) == newest)
