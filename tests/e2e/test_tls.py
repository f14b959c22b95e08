"""TLS on real servers: what each mode accepts, that the dump itself is encrypted, renewed certificates, passwords."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from proxy import Proxy
from tls_servers import TlsServer
from worker_shop import Running, Shop, Topic, until

from schemas.errors import LtvError, SourceRefused
from schemas.source import SourceAddress, connect, rows
from schemas.tls import Tls
from tests.conftest import Server

MODES = ("disabled", "preferred", "required", "verify-ca", "verify-identity")
SHOWN = ("trusted", "none", "unknown", "wrong host", "expired")
AUTHORITY, NAME, RENEW = "authority that signed", "name the host", "renew"
ENCRYPTED, PLAIN = "encrypted", "plain"
FOUND = {
    "disabled": dict.fromkeys(SHOWN, PLAIN),
    "preferred": {**dict.fromkeys(SHOWN, ENCRYPTED), "none": PLAIN},
    "required": {**dict.fromkeys(SHOWN, ENCRYPTED), "none": "ssl_cert"},
    "verify-ca": {
        "trusted": ENCRYPTED,
        "none": "ssl_cert",
        "unknown": AUTHORITY,
        "wrong host": ENCRYPTED,
        "expired": RENEW,
    },
    "verify-identity": {
        "trusted": ENCRYPTED,
        "none": "ssl_cert",
        "unknown": AUTHORITY,
        "wrong host": NAME,
        "expired": RENEW,
    },
}
"""Mode → what the server shows → how the connection is, or a part of the refusal's hint."""
PASSWORD = "p4€swörd"  # no Latin-1
NUMBERS = itertools.count()


def login(server: Server, tls: Tls, user: str | None = None, password: str = "") -> Any:
    return connect(SourceAddress.parse(f"mysql://{user or server.user}@{server.host}:{server.port}"), password, tls)


def cipher(connection: Any) -> str:
    return str(rows(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])


def refusal(server: Server, tls: Tls, user: str | None = None, password: str = "") -> LtvError:
    with pytest.raises(LtvError) as caught:
        login(server, tls, user, password).close()
    return caught.value


@contextlib.contextmanager
def account(server: Server, identified: str, rest: str = "") -> Iterator[str]:
    """A user of the worker's grants, connected to over TCP; dropped at the end."""
    name = f"tls_{next(NUMBERS)}"
    grants = "REPLICATION SLAVE, REPLICATION CLIENT, SELECT"
    with server.connect(autocommit=True, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP USER IF EXISTS {name}@'127.0.0.1'")
        cursor.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED {identified} {rest}")
        cursor.execute(f"GRANT {grants} ON *.* TO {name}@'127.0.0.1'")
        yield name
        cursor.execute(f"DROP USER {name}@'127.0.0.1'")


@pytest.fixture(scope="module", params=SHOWN)
def showing(request: pytest.FixtureRequest, tls_server: TlsServer) -> tuple[str, Server]:
    """What is shown, and the server that shows it."""
    made, shown = tls_server.certificates, request.param
    leaves = {"trusted": made.trusted, "unknown": made.unknown, "wrong host": made.wrong_host}
    if shown == "none":
        return shown, tls_server.hide()
    if shown in leaves:
        return shown, tls_server.show(leaves[shown], made.stranger if shown == "unknown" else made.authority)
    leaf, end = made.short()
    server = tls_server.show(leaf, made.authority)
    until(lambda: dt.datetime.now(dt.timezone.utc) > end)
    return shown, server


@pytest.mark.parametrize("mode", MODES)
def test_what_each_mode_accepts(tls_server: TlsServer, showing: tuple[str, Server], mode: Any) -> None:
    shown, server = showing
    tls = Tls(mode, str(tls_server.certificates.ca) if mode.startswith("verify") else None)
    wanted = FOUND[mode][shown]
    if wanted in (ENCRYPTED, PLAIN):
        with login(server, tls) as connection:
            assert bool(cipher(connection)) is (wanted == ENCRYPTED)
    else:
        error = refusal(server, tls)
        assert isinstance(error, SourceRefused)
        assert wanted in (error.hint or ""), error.hint
        assert f"{server.user}@{server.host}:{server.port}" in str(error)


@pytest.fixture
def server(tls_server: TlsServer) -> Server:
    """With a certificate that is right."""
    return tls_server.show(tls_server.certificates.trusted, tls_server.certificates.authority)


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    yield made
    made.connection.close()


def test_system_authorities_do_not_know_ours(server: Server) -> None:
    error = refusal(server, Tls("verify-identity"))
    assert isinstance(error, SourceRefused)
    assert AUTHORITY in (error.hint or "")


def test_certificate_of_the_worker(tls_server: TlsServer, server: Server) -> None:
    """REQUIRE X509; and one that the server's authority did not sign."""
    certificates = tls_server.certificates
    ca = str(certificates.ca)
    with account(server, "BY 'p'", "REQUIRE X509") as user:
        with login(server, Tls("verify-identity", ca, str(certificates.own)), user, "p") as connection:
            assert cipher(connection)
        error = refusal(server, Tls("verify-identity", ca), user, "p")
        assert isinstance(error, SourceRefused)
        assert "X509: `tls_cert`" in (error.hint or "")
    strange = Tls("verify-identity", ca, str(certificates.strange))
    errors: list[LtvError] = []  # the alert may be overtaken by the end of the connection
    until(lambda: errors.append(refusal(server, strange)) or isinstance(errors[-1], SourceRefused))
    assert "`tls_cert` must be signed" in (errors[-1].hint or "")


def test_server_that_wants_tls(server: Server) -> None:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL require_secure_transport = ON")
        try:
            error = refusal(server, Tls("disabled"))
            with login(server, Tls("preferred")) as preferred:
                assert cipher(preferred)
        finally:
            cursor.execute("SET GLOBAL require_secure_transport = OFF")
    assert isinstance(error, SourceRefused)
    assert "`tls: required`" in (error.hint or "")


def plugins(server: Server) -> list[tuple[str, str]]:
    """Authentication plugin and the IDENTIFIED clause of a user with PASSWORD."""
    if server.flavor == "mysql":
        return [(name, f"WITH {name} BY '{PASSWORD}'") for name in ("caching_sha2_password", "sha256_password")]
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("INSTALL SONAME 'auth_ed25519'")
    return [(name, f"VIA {name} USING PASSWORD('{PASSWORD}')") for name in ("mysql_native_password", "ed25519")]


def test_passwords(server: Server, tls_server: TlsServer) -> None:
    """Over TLS and without (caching_sha2_password: RSA, then from the cache); a wrong one is not in the error."""
    ca = str(tls_server.certificates.ca)
    try:
        for plugin, identified in plugins(server):
            with account(server, identified) as user:
                for tls in (Tls("disabled"), Tls("disabled"), Tls("required"), Tls("verify-identity", ca)):
                    with login(server, tls, user, PASSWORD) as connection:
                        assert bool(cipher(connection)) is (tls.mode != "disabled"), plugin
                    error = refusal(server, tls, user, f"{PASSWORD}x")
                    assert isinstance(error, SourceRefused), plugin
                    for text in (str(error), repr(error), error.hint or "", repr(error.__cause__)):
                        assert PASSWORD not in text
    finally:
        if server.flavor == "mariadb":
            with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
                cursor.execute("UNINSTALL SONAME 'auth_ed25519'")


def test_dump_is_encrypted_when_the_account_wants_it(shop: Shop, server: Server, tls_server: TlsServer) -> None:
    """A user that the server lets in over TLS alone; the server says so of the dump's connection, too."""
    ca = str(tls_server.certificates.ca)
    sink = Topic()
    with account(server, "BY 'p'", "REQUIRE SSL") as user:
        source = f"mysql://{user}:p@{server.host}:{server.port}"
        shop.write(source=source, tls="disabled")
        with pytest.raises(SourceRefused) as caught:
            shop.run(sink)
        assert "`tls: required`" in (caught.value.hint or "")
        shop.write(source=source, tls="verify-identity", ca=ca)
        with Running(shop, send=sink):
            shop.insert(1, 3)
            until(lambda: sink.ids() == [1, 2, 3])
            if server.flavor == "mysql":
                types = shop.sql(
                    "SELECT connection_type FROM performance_schema.threads"
                    f" WHERE processlist_user = '{user}' AND processlist_command LIKE 'Binlog Dump%'"
                )
                assert types == [("SSL/TLS",)]


@pytest.mark.parametrize("mode", ["disabled", "preferred", "verify-identity"])
def test_nothing_of_a_row_is_read_on_the_way(shop: Shop, server: Server, tls_server: TlsServer, mode: str) -> None:
    proxy = Proxy(server.host, server.port, listening=True)
    shop.write(source=f"mysql://{server.user}@{server.host}:{proxy.port}", tls=mode)
    if mode.startswith("verify"):
        shop.write(ca=str(tls_server.certificates.ca))
    sink = Topic()
    try:
        with Running(shop, send=sink):
            shop.insert(1, 1, note="known to nobody")
            until(lambda: sink.ids() == [1])
    finally:
        proxy.close()
    assert (b"known to nobody" in proxy.heard) is (mode == "disabled")
    assert proxy.heard


def dumps(shop: Shop) -> list[int]:
    """The server's threads that send a binlog to the shop's user."""
    return [
        int(row[0])
        for row in shop.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
    ]


def test_renewed_certificates_are_taken_up(shop: Shop, server: Server, tls_server: TlsServer, tmp_path: Path) -> None:
    """A new authority at server and worker while it runs: the next connection uses it. Without its file at the worker
    the next connection is refused."""
    certificates = tls_server.certificates
    ca = tmp_path / "ca.pem"
    certificates.authority.cert_pem.write_to_path(ca)
    shop.write(tls="verify-identity", ca=str(ca))
    sink = Topic()
    with Running(shop, send=sink) as running:
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        tls_server.show(certificates.unknown, certificates.stranger)
        certificates.stranger.cert_pem.write_to_path(ca)
        cut(shop)
        shop.insert(2, 1)
        until(lambda: sink.ids() == [1, 2])
        tls_server.show(certificates.trusted, certificates.authority)
        cut(shop)
        error = running.join()
    assert isinstance(error, SourceRefused)
    assert AUTHORITY in (error.hint or "")
    certificates.authority.cert_pem.write_to_path(ca)
    shop.insert(3, 1)
    shop.run(sink)
    assert sink.ids() == [1, 2, 3]


def cut(shop: Shop) -> None:
    (before,) = dumps(shop)
    with contextlib.suppress(pymysql.err.OperationalError):
        shop.sql(f"KILL {before}")
    until(lambda: before not in dumps(shop))


def test_programs_say_what_is_wrong_with_tls(shop: Shop, tls_server: TlsServer) -> None:
    """`check` and `run`: two lines, status 1 or 2, no traceback, no password."""
    other = tls_server.certificates.folder / "other-ca.pem"
    tls_server.certificates.stranger.cert_pem.write_to_path(other)
    for command in ("check", "run"):
        for settings, status, text in (
            ({"tls": "verify-ca", "ca": str(other)}, 1, AUTHORITY),
            ({"tls": "verify-ca", "ca": "missing.pem"}, 2, "missing.pem cannot be used"),
            ({"tls": "required", "ca": str(other)}, 2, "is not looked at"),
        ):
            shop.write(**settings)
            program = shop.program(command=command, MYSQL_PASSWORD="secret-word")
            output, errors = program.communicate(timeout=20)
            assert program.returncode == status, errors
            assert text in errors
            assert "Traceback" not in errors
            assert "secret-word" not in errors + output
