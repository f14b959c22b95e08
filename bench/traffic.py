"""Writes orders inside the database itself (MariaDB's compound statements), so that the writer costs no processor time
on the client's side and no round trips."""

from __future__ import annotations

import threading
from typing import Any

import pymysql

from demo.servers import MariaDB
from demo.tables import create_tables

ROWS_A_STATEMENT = 1_000
ORDER_COLUMNS = "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at)"
_VALUES = (
    "{key}, '2026-01-01' + INTERVAL {key} MOD 700 HOUR, ELT(1 + {key} MOD 3, 'paid', 'shipped', 'completed'),"
    " ELT(1 + {key} MOD 4, 'FR', 'US', 'ES', 'DE'), 1 + {key} MOD 50000, {key} MOD 30000 / 100, '2026-01-31 10:00:00'"
)


def order_values(key: str) -> str:
    """The columns of an order as SQL over the expression `key`."""
    return _VALUES.format(key=key)


def open_database(database: MariaDB) -> pymysql.connections.Connection[Any]:
    """Makes the shop's tables; commits by itself."""
    connection = database.connect(autocommit=True)
    create_tables(connection)
    return connection


def single_rows(connection: pymysql.connections.Connection[Any], first: int, rows: int) -> None:
    """`rows` transactions of one order each."""
    _execute(
        connection,
        f"BEGIN NOT ATOMIC FOR i IN {first}..{first + rows - 1} DO"
        f" {ORDER_COLUMNS} VALUES ({order_values('i')}); END FOR; END",
    )


def large_inserts(
    connection: pymysql.connections.Connection[Any], first: int, rows: int, each: int = ROWS_A_STATEMENT
) -> None:
    """Transactions of one INSERT of `each` orders."""
    for start in range(first, first + rows, each):
        end = min(start + each, first + rows) - 1
        _execute(connection, f"{ORDER_COLUMNS} SELECT {order_values('seq')} FROM seq_{start}_to_{end}")


WIDE_TABLE = "shop.wide"


def wide_rows(connection: pymysql.connections.Connection[Any], rows: int) -> None:
    """One transaction of one INSERT of so many rows of 200 bytes, into a table of their own."""
    _execute(connection, f"CREATE TABLE {WIDE_TABLE} (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(250) NOT NULL)")
    _execute(connection, f"INSERT INTO {WIDE_TABLE} SELECT seq, RPAD(MD5(seq), 190, MD5(-seq)) FROM seq_1_to_{rows}")


def new_log(connection: pymysql.connections.Connection[Any]) -> str:
    """Begins a new binlog file; returns its name."""
    _execute(connection, "FLUSH BINARY LOGS")
    with connection.cursor() as cursor:
        cursor.execute("SHOW MASTER STATUS")
        return str(cursor.fetchall()[0][0])


def _execute(connection: pymysql.connections.Connection[Any], sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


class Traffic(threading.Thread):
    """Single-row transactions at `per_second` (fewer where the machine cannot) for `seconds`, beside the caller.

    `join` it; then `written` and `error` tell how it went.
    """

    def __init__(self, database: MariaDB, first: int, per_second: float, seconds: float) -> None:
        super().__init__(name="traffic", daemon=True)
        self.written = 0
        self.error: Exception | None = None
        self._connection = database.connect(database="shop", autocommit=True)
        clock = "UNIX_TIMESTAMP(SYSDATE(6))"
        self._sql = (
            f"BEGIN NOT ATOMIC DECLARE n INT DEFAULT 0; DECLARE pause DOUBLE; DECLARE began DOUBLE DEFAULT {clock};"
            f" WHILE {clock} < began + {seconds:f} DO"
            f" {ORDER_COLUMNS} VALUES ({order_values(f'({first} + n)')}); SET n = n + 1;"
            f" SET pause = began + n / {per_second:f} - {clock};"
            " IF pause > 0.0002 THEN DO SLEEP(pause); END IF;"
            " END WHILE; SELECT n; END"
        )

    def run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._sql)
                self.written = int(cursor.fetchall()[0][0])
        except Exception as error:  # noqa: BLE001 - the main thread looks at it
            self.error = error
        finally:
            self._connection.close()
