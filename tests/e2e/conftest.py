"""Servers with certificates of ours, and servers whose binlog can be set up otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from log_variants import VariantServer, mariadb_variants, mysql_variants
from tls_servers import Certificates, MariadbTls, MysqlTls, TlsServer

FLAVORS = ["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)]


@pytest.fixture(scope="module", params=FLAVORS)
def tls_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """On each flavor; on MySQL the one of TEST_MYSQL_DSN, given back as it was."""
    folder = tmp_path_factory.mktemp("tls")
    certificates = Certificates(folder)
    if request.param == "mariadb":
        with MariadbTls(folder, certificates).restored() as mariadb:
            yield mariadb
    else:
        with MysqlTls(request.getfixturevalue("mysql"), certificates).restored() as mysql:
            yield mysql


@pytest.fixture(scope="module", params=FLAVORS)
def variants(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VariantServer]:
    """A MariaDB of its own; on MySQL the one of TEST_MYSQL_DSN."""
    if request.param == "mariadb":
        with mariadb_variants(tmp_path_factory.mktemp("variants")) as mariadb:
            yield mariadb
    else:
        yield mysql_variants(request.getfixturevalue("mysql"))
