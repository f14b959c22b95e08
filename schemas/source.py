"""The database: its address, login and TLS, and what its catalogue says of tables.

The only module that imports PyMySQL.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from schemas.errors import ConfigError, LtvError, SourceRefused, SourceUnavailable

if TYPE_CHECKING:
    import pymysql
    import pymysql.connections

CONNECT_TIMEOUT_S = 10
FIRST_CLIENT_ERROR, LAST_CLIENT_ERROR = 2000, 2999
"""The client library's own error numbers: no connection, connection lost, protocol."""
NO_TLS = 2026
TRANSIENT = frozenset((
    1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184,
    1203, 1205, 1213, 1226, 1317, 1927, 3168, 3169, 3572, 4031,
))  # fmt: skip
"""Server error numbers that may not come again: too many connections, shutdown, network, locks, killed, idle."""

REFUSALS = {
    1044: "grant the privileges that `binlog-worker check` lists",
    1045: "check user and password (MYSQL_PASSWORD, or password_file in shop.yaml)",
    1049: "check the database name",
    1130: "allow this host for the user on the server",
    1142: "grant the privileges that `binlog-worker check` lists",
    1227: "grant the privileges that `binlog-worker check` lists",
    1698: "check user and password (MYSQL_PASSWORD, or password_file in shop.yaml)",
    3118: "the account is locked",
    1820: "the password has expired",
    1862: "the password has expired",
}
"""Server error numbers with a way out that we know (MySQL, «Server Error Message Reference»)."""


@dataclass(frozen=True)
class SourceAddress:
    """`mysql://user@host:port`; a password in it is kept secret, `MYSQL_PASSWORD` is the better place."""

    host: str
    port: int
    user: str
    password: SecretStr = field(default=SecretStr(""), repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> SourceAddress:
        """Raises ValueError naming what is wrong, never quoting the password."""
        parts = urlsplit(text)
        if parts.scheme not in ("mysql", "mariadb"):
            raise ValueError("must be mysql://user@host:port")
        try:
            port = parts.port or 3306
        except ValueError as error:
            raise ValueError("the port is no number from 1 to 65535") from error
        if not parts.hostname:
            raise ValueError("names no host; must be mysql://user@host:port")
        if not parts.username:
            raise ValueError("names no user; must be mysql://user@host:port")
        if parts.path not in ("", "/") or parts.query:
            raise ValueError("takes no database and no options; tables are named database.table under `tables`")
        return cls(parts.hostname, port, unquote(parts.username), SecretStr(unquote(parts.password or "")))

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def tls_context(mode: str, ca: str | None) -> ssl.SSLContext | None:
    """The context for a TLS mode, read anew at every login so that renewed certificates are taken up.

    `preferred` and `required` encrypt without checking who answers; `verify-ca` checks the chain, `verify-identity`
    the host name too (MySQL, «Configuring MySQL to Use Encrypted Connections»). Raises ConfigError.
    """
    if mode == "disabled":
        return None
    verify = mode in ("verify-ca", "verify-identity")
    try:
        context = ssl.create_default_context(cafile=ca if verify else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"ca: {ca} cannot be used: {error}"]) from error
    context.check_hostname = mode == "verify-identity"
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


def connect(
    address: SourceAddress,
    password: str,
    *,
    tls: str = "preferred",
    ca: str | None = None,
    read_timeout: float | None = 60,
    cursorclass: Any = None,
) -> pymysql.connections.Connection[Any]:
    """A logged-in connection in autocommit mode, session time zone UTC, character set utf8mb4.

    Raises SourceUnavailable where trying again may help, SourceRefused where it will not.
    """
    import pymysql
    import pymysql.cursors

    try:
        connection = pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout,
            write_timeout=read_timeout,
            init_command="SET time_zone = '+00:00'",
            ssl=None if tls == "preferred" else tls_context(tls, ca),  # None: PyMySQL 1.2 prefers TLS by itself
            ssl_disabled=tls == "disabled",
            cursorclass=cursorclass or pymysql.cursors.Cursor,
        )
    except (pymysql.err.Error, OSError) as error:
        raise source_error(error, f"cannot connect to {address}") from error
    return connection


def source_error(error: BaseException, what: str) -> LtvError:
    """The error of our tree for one of PyMySQL's or the socket's; decided by error number."""
    arguments = getattr(error, "args", ())
    number = server_error_number(error)
    text = str(arguments[-1]) if arguments else str(error)
    if isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError):
        return SourceRefused(f"{what}: {text}", hint="check `ca`, or the host name in the server's certificate")
    if number == NO_TLS:
        return SourceRefused(f"{what}: {text}", hint="enable TLS on the server, or set `tls: preferred`")
    if number in REFUSALS:
        return SourceRefused(f"{what}: {text} (error {number})", hint=REFUSALS[number])
    if number and number not in TRANSIENT and not FIRST_CLIENT_ERROR <= number <= LAST_CLIENT_ERROR:
        return SourceRefused(f"{what}: {text} (error {number})")
    return SourceUnavailable(f"{what}: {text}", hint="check host and port, and that the server runs")


def server_error_number(error: BaseException) -> int:
    """PyMySQL's error number, also of the cause of one of our errors; 0 where there is none."""
    for one in (error, error.__cause__):
        arguments: tuple[object, ...] = getattr(one, "args", ())
        if len(arguments) > 1 and isinstance(number := arguments[0], int):
            return number
    return 0


@dataclass(frozen=True)
class Server:
    """Who answers: MariaDB or MySQL, its version, and the settings that decide what the binlog says."""

    flavor: str  # "mariadb" | "mysql"
    version: tuple[int, ...]
    version_text: str
    uuid: str  # server_uuid; on MariaDB, which has none, its server_id
    variables: dict[str, str]


def describe_server(connection: pymysql.connections.Connection[Any]) -> Server:
    """Reads version and global variables (one query). Raises SourceUnavailable or SourceRefused."""
    variables = {str(name).lower(): str(value) for name, value in rows(connection, "SHOW GLOBAL VARIABLES")}
    text = variables.get("version", "")
    flavor = "mariadb" if "mariadb" in text.lower() else "mysql"
    numbers = text.split("-")[0].split(".")
    version = tuple(int(number) for number in numbers if number.isdigit())
    uuid = variables.get("server_uuid") or variables.get("server_id", "0")
    return Server(flavor, version, text, uuid, variables)


def rows(connection: pymysql.connections.Connection[Any], sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a small result. Errors become ours."""
    import pymysql

    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    except (pymysql.err.Error, OSError) as error:
        raise source_error(error, "the database refused a query") from error
