"""A small shop on a real server, and the worker run on it: in this process, or as a program of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pymysql
from shop_folder import ShopFolder

from binlog_worker.run import Options, run
from binlog_worker.stopping import Stopping
from demo.servers import MariaDB
from schemas.config_file import load_config
from schemas.event import Message

ORDERS = """CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id BIGINT, order_date DATETIME NOT NULL,
 amount DECIMAL(12,2) NOT NULL, status VARCHAR(20) NOT NULL, note LONGTEXT)"""
COLUMNS = {"id": "id", "customer_id": "customer_id", "ordered_at": "order_date", "amount": "amount", "status": "status"}
REPOSITORY = Path(__file__).parents[2]


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Polls; returns the first true value. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
    return found


class Shop(ShopFolder):
    """A database with `orders`, a shop.yaml, and a start at the place where the log was when this was made."""

    def __init__(
        self, connect: Callable[..., Any], dsn: str, database: str, folder: Path, server_id: int, table: str = ORDERS
    ) -> None:
        self.connect, self.database, self.folder = connect, database, folder
        self.connection = connect(database=database, autocommit=True)
        self.settings: dict[str, Any] = {
            "source": dsn,
            "server_id": server_id,
            "project": "local-shop",
            "topic": f"changes-{database}",
            "subscription": f"ltv-{database}",
            "checkpoint": "checkpoint.json",
            "time_zone": "Europe/Paris",
            "currency": "EUR",
            "tables": {"orders": {"name": f"{database}.orders", "columns": dict(COLUMNS)}},
        }
        self.begin = self.position()
        if table:
            self.sql(table)
        self.write()

    def insert(self, first: int, count: int, note: str = "") -> None:
        """`count` orders in one statement."""
        self.sql(orders(first, count, note))

    def position(self) -> str:
        try:
            status = self.sql("SHOW BINARY LOG STATUS")
        except pymysql.err.MySQLError:
            status = self.sql("SHOW MASTER STATUS")
        return f"{status[0][0]}:{status[0][1]}" if status else ""

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(
        self,
        send: Callable[[Sequence[Message]], object] | None = None,
        stopping: Stopping | None = None,
        **options: Any,
    ) -> None:
        """In this thread, until caught up unless told otherwise; into files unless `send` is given."""
        given: dict[str, Any] = {"begin": self.begin, "until_caught_up": True, **options}
        if send is None:
            given.setdefault("folder", self.out)
        run(load_config(self.folder / "shop.yaml"), Options(**given), stopping or Stopping(), send)

    def program(self, *arguments: str, command: str = "run", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "binlog_worker", command, "-c", str(self.folder / "shop.yaml"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
        )

    def checkpoint(self) -> dict[str, Any]:
        path = self.folder / "checkpoint.json"
        return json.loads(path.read_bytes()) if path.exists() else {}

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines of the files, heartbeats left out."""
        found = []
        for path in sorted(self.out.glob("changes-*.jsonl")):
            for line in io.BytesIO(path.read_bytes()):
                if line.endswith(b"\n") and not line.startswith(b'{"heartbeat"'):
                    found.append(orjson.loads(line))
        return found

    def events(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "op" in line]

    def ids(self) -> list[int]:
        """Of inserted orders, in the order of the files."""
        return [event["after"]["id"] for event in self.events() if event["op"] == "c"]


def orders(first: int, count: int, note: str = "") -> str:
    rows = (f"({number}, 1, '2022-01-13 10:00:00', 150, 'paid', '{note}')" for number in range(first, first + count))
    return f"INSERT INTO orders VALUES {', '.join(rows)}"


class Running:
    """`Shop.run` in a thread; `error` is what it raised."""

    def __init__(self, shop: Shop, **options: Any) -> None:
        self.stopping, self.error = Stopping(), None
        self._shop, self._options = shop, {"until_caught_up": False, **options}
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._shop.run(stopping=self.stopping, **self._options)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.error = error

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float = 20.0) -> BaseException | None:
        self._thread.join(seconds)
        assert not self.alive, "the run did not end"
        return self.error

    def stop(self) -> None:
        self.stopping.request()
        if error := self.join():
            raise error

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.request()
        self._thread.join(20)


class Topic:
    """A topic that remembers; `gate` holds up every request while it is cleared, `errors` are raised in turn."""

    def __init__(self, errors: Iterable[Exception] = ()) -> None:
        self.messages: list[Message] = []
        self.gate = threading.Event()
        self.gate.set()
        self.errors = list(errors)
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, messages: Sequence[Message]) -> None:
        self.calls += 1
        self.gate.wait()
        with self._lock:
            if self.errors:
                raise self.errors.pop(0)
            self.messages += messages

    def of(self, kind: str = "") -> list[Message]:
        return [message for message in self.messages if message.attributes.get("kind", "") == kind]

    def ids(self) -> list[int]:
        return self.ids_of("orders", "id")

    def ids_of(self, table: str, column: str) -> list[int]:
        """Of inserted rows, in the order in which the topic got them."""
        messages = (message for message in self.of() if message.attributes["table"].endswith(f".{table}"))
        events = (orjson.loads(line) for message in messages for line in message.data.split(b"\n")[1:])
        return [event["after"][column] for event in events if event["op"] == "c"]


def shop_on(server: MariaDB, database: str, folder: Path, server_id: int) -> Shop:
    """A shop on a server of the test's own, in a database that is made where it is missing."""
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    return Shop(server.connect, server.dsn(), database, folder, server_id)
