"""Real servers for every test: a private MariaDB, MySQL 9 where TEST_MYSQL_DSN names one, a Pub/Sub emulator."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
import pytest

from demo.servers import MariaDB, PubSubEmulator, ensure_mariadb
from tests.bigquery.server import BigQueryServer
from tests.scheduling import check_names, quick_last, scheduling

SERVER_IDS = count(random.SystemRandom().randrange(10_000, 4_000_000_000))
LONG = bool(os.environ.get("LONG_TESTS"))
"""Whether tests that repeat something do so as often as they did when they were written; see `make test-long`."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    check_names(items)
    quick_last(items)


@dataclass(frozen=True)
class Server:
    """A login to a database server that writes a binlog. `flavor` is "mariadb" or "mysql"."""

    host: str
    port: int
    user: str
    password: str
    flavor: str

    @classmethod
    def from_dsn(cls, dsn: str, flavor: str) -> Server:
        parts = urlsplit(dsn)
        assert parts.hostname, f"no host in {dsn!r}"
        return cls(parts.hostname, parts.port or 3306, unquote(parts.username or "root"), parts.password or "", flavor)

    @property
    def dsn(self) -> str:
        """Without the password, as in shop.yaml's `source`."""
        return f"mysql://{self.user}@{self.host}:{self.port}"

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        login = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return pymysql.connect(**{**login, **options})


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """One for the session; a test that kills or reconfigures a server starts its own `MariaDB(tmp_path)`."""
    ensure_mariadb()
    with MariaDB(tmp_path_factory.mktemp("mariadb")) as running:
        yield running


@pytest.fixture(scope="session")
def mysql() -> Server:
    dsn = os.environ.get("TEST_MYSQL_DSN")
    if not dsn:
        pytest.skip("TEST_MYSQL_DSN is not set (e.g. mysql://root@127.0.0.1:33097), so nothing is tested on MySQL")
    return Server.from_dsn(dsn, "mysql")


@pytest.fixture(scope="session", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def server(request: pytest.FixtureRequest) -> Server:
    """The test runs once on each flavor."""
    running = request.getfixturevalue(request.param)
    return running if isinstance(running, Server) else Server.from_dsn(running.dsn(), "mariadb")


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of an empty database on `server`, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield name
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture(scope="session")
def pubsub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubEmulator]:
    """The emulator, with PUBSUB_EMULATOR_HOST set until the end of the session. Use unique topic names."""
    with PubSubEmulator(tmp_path_factory.mktemp("pubsub")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", running.host)
        yield running


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryServer]:
    """One for the session; see `bigquery`."""
    with BigQueryServer(tmp_path_factory.mktemp("bigquery")) as running:
        yield running


@pytest.fixture
def bigquery(bigquery_server: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryServer]:
    """The server that stands in for BigQuery, named by the environment, with a `dataset` of the test's own and nothing
    that goes wrong."""
    for name, value in bigquery_server.environment.items():
        monkeypatch.setenv(name, value)
    with bigquery_server.fresh():
        yield bigquery_server


@pytest.fixture
def server_id() -> int:
    """A replication server_id that no other test uses: two readers under one id throw each other out."""
    return next(SERVER_IDS)
