"""Servers that show a certificate of the test's choosing, or none, and change it while they run."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme

from demo.servers import MariaDB
from tests.conftest import Server

HOST = "127.0.0.1"


class Certificates:
    """An authority, what it signed, and a stranger's; the files that a client names, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.stranger = trustme.CA(), trustme.CA()
        self.trusted = self.authority.issue_cert(HOST)
        self.unknown = self.stranger.issue_cert(HOST)
        self.wrong_host = self.authority.issue_cert("db.example.org")
        self.ca = folder / "client-ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.own, self.strange = folder / "own.pem", folder / "strange.pem"
        self.authority.issue_cert("worker").private_key_and_cert_chain_pem.write_to_path(self.own)
        self.stranger.issue_cert("worker").private_key_and_cert_chain_pem.write_to_path(self.strange)

    def short(self) -> tuple[trustme.LeafCert, dt.datetime]:
        """One that is over in two seconds, and when: MySQL loads none that is over already."""
        end = dt.datetime.now(dt.timezone.utc).replace(microsecond=0) + dt.timedelta(seconds=2)
        return self.authority.issue_cert(HOST, not_after=end), end + dt.timedelta(seconds=1)


class TlsServer(Protocol):
    """`show` makes a server answer new connections with a certificate, and accept client certificates of `authority`;
    `hide` gives a server that knows no TLS."""

    certificates: Certificates

    def show(self, leaf: trustme.LeafCert, authority: trustme.CA) -> Server: ...

    def hide(self) -> Server: ...


def _write(folder: Path, leaf: trustme.LeafCert, authority: trustme.CA) -> tuple[str, str, str]:
    """ssl_ca, ssl_cert and ssl_key of a server, as file names in `folder`."""
    names = ("tests-ca.pem", "tests-cert.pem", "tests-key.pem")
    for name, blob in zip(names, (authority.cert_pem, leaf.cert_chain_pems[0], leaf.private_key_pem), strict=True):
        blob.write_to_path(folder / name)
    return names


def _run(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    """Without TLS, so that it works whatever the server shows."""
    found: list[tuple[Any, ...]] = []
    with server.connect(ssl_disabled=True, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            found = list(cursor.fetchall())
    return found


class MariadbTls:
    """Two servers, since MariaDB cannot give up TLS while it runs; the plain one starts when it is asked for."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        names = _write(folder, certificates.trusted, certificates.authority)
        files = zip(("ca", "cert", "key"), names, strict=True)
        self._folder = folder
        self._running = MariaDB(folder / "tls", [f"--ssl-{what}={folder / name}" for what, name in files])
        self._plain = MariaDB(folder / "plain", ["--skip-ssl"])

    def show(self, leaf: trustme.LeafCert, authority: trustme.CA) -> Server:
        _write(self._folder, leaf, authority)
        server = Server.from_dsn(self._running.start().dsn(), "mariadb")
        _run(server, "FLUSH SSL")
        return server

    def hide(self) -> Server:
        return Server.from_dsn(self._plain.start().dsn(), "mariadb")

    @contextlib.contextmanager
    def restored(self) -> Iterator[MariadbTls]:
        with self._running:
            try:
                yield self
            finally:
                self._plain.stop()


class MysqlTls:
    """One server, whose settings are as before at the end."""

    def __init__(self, server: Server, certificates: Certificates) -> None:
        self._server, self._data, self.certificates = server, mysql_data(server), certificates
        self._version = _run(server, "SELECT @@GLOBAL.tls_version")[0][0]

    def show(self, leaf: trustme.LeafCert, authority: trustme.CA) -> Server:
        self._reload(self._version, *_write(self._data, leaf, authority))
        return self._server

    def hide(self) -> Server:
        _run(self._server, "SET GLOBAL tls_version = ''", "ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR")
        return self._server

    def _reload(self, version: str, ca: str, cert: str, key: str) -> None:
        _run(
            self._server,
            f"SET GLOBAL tls_version = '{version}'",
            f"SET GLOBAL ssl_ca = '{ca}'",
            f"SET GLOBAL ssl_cert = '{cert}'",
            f"SET GLOBAL ssl_key = '{key}'",
            "ALTER INSTANCE RELOAD TLS",
        )

    @contextlib.contextmanager
    def restored(self) -> Iterator[MysqlTls]:
        files = _run(self._server, "SELECT @@GLOBAL.ssl_ca, @@GLOBAL.ssl_cert, @@GLOBAL.ssl_key")[0]
        try:
            yield self
        finally:
            self._reload(self._version, *files)
            for path in self._data.glob("tests-*.pem"):
                path.unlink()


def mysql_data(server: Server) -> Path:
    """The server's data folder, as this machine sees it; else the test is skipped.

    TEST_MYSQL_DATADIR names it where the server runs in a root of its own.
    """
    there, uuid = _run(server, "SELECT @@datadir, @@server_uuid")[0]
    folder = Path(os.environ.get("TEST_MYSQL_DATADIR", there))
    known = folder / "auto.cnf"
    if not (os.access(folder, os.W_OK) and known.exists() and uuid in known.read_text()):
        pytest.skip(f"the data folder of MySQL is not {folder} here (TEST_MYSQL_DATADIR), so it gets no certificates")
    return folder
