"""The database: its address, the login, and who answers.

The only module that imports PyMySQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from schemas.errors import LtvError, SourceRefused, SourceUnavailable
from schemas.tls import Tls, handshake_problem

if TYPE_CHECKING:
    import pymysql
    import pymysql.connections

Connection: TypeAlias = "pymysql.connections.Connection[Any]"

CONNECT_TIMEOUT_S = 10
FIRST_CLIENT_ERROR, LAST_CLIENT_ERROR = 2000, 2999
"""The client library's own error numbers: no connection, connection lost, protocol."""
NO_TLS = 2026
TRANSIENT = frozenset((
    1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184,
    1203, 1205, 1213, 1226, 1317, 1927, 3168, 3169, 3572, 4031,
))  # fmt: skip
"""Server error numbers that may not come again: too many connections, shutdown, network, locks, killed, idle."""

_LOGIN = (
    "check user and password (MYSQL_PASSWORD, or password_file in shop.yaml);"
    " where the server or the account requires TLS: `tls: required`; X509: `tls_cert`, too"
)
REFUSALS = {
    1044: "grant the privileges that `binlog-worker check` lists",
    1045: _LOGIN,
    1049: "check the database name",
    1130: "allow this host for the user on the server",
    1142: "grant the privileges that `binlog-worker check` lists",
    1227: "grant the privileges that `binlog-worker check` lists",
    1698: _LOGIN,
    1820: "the password has expired",
    1862: "the password has expired",
    2059: "give the user caching_sha2_password, ed25519 or mysql_native_password as authentication plugin",
    3118: "the account is locked",
    3159: "set `tls: required`, or stricter",
    4151: "the account is locked",
}
"""Error numbers with a way out that we know (MySQL, «Error Message Reference»; MariaDB, «Error Codes»)."""


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


def connect(
    address: SourceAddress,
    password: str,
    tls: Tls | None = None,
    *,
    read_timeout: float | None = 60,
    cursorclass: Any = None,
) -> pymysql.connections.Connection[Any]:
    """A logged-in connection in autocommit mode, session time zone UTC, character set utf8mb4.

    `tls` is `Tls()`, thus `preferred`, unless given. Raises SourceUnavailable where trying again may help,
    SourceRefused where it will not, ConfigError for a file that cannot be used.
    """
    import pymysql
    import pymysql.cursors

    tls = tls or Tls()
    try:
        connection = pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=password.encode("utf-8", "surrogateescape"),  # PyMySQL would take Latin-1, no server does
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout,
            write_timeout=read_timeout,
            init_command="SET time_zone = '+00:00'",
            ssl=None if tls.mode == "preferred" else tls.context(),  # None: PyMySQL 1.2 prefers TLS by itself
            ssl_disabled=tls.mode == "disabled",
            cursorclass=cursorclass or pymysql.cursors.Cursor,
        )
    except (pymysql.err.Error, OSError) as error:
        what = f"cannot connect to {address}"
        # PyMySQL keeps the cause of a failed handshake here, and of one that fails as the server's first answer is read
        # (a refused client certificate, from TLS 1.3 on) as the context.
        problem = handshake_problem(getattr(error, "original_exception", error.__context__))
        if problem is not None:
            raise SourceRefused(f"{what}: {problem[0]}", hint=problem[1]) from error
        raise source_error(error, what) from error
    return connection


def source_error(error: BaseException, what: str) -> LtvError:
    """The error of our tree for one of PyMySQL's or the socket's; decided by error number."""
    arguments = getattr(error, "args", ())
    number = server_error_number(error)
    text = str(arguments[-1]) if arguments else str(error)
    if number == NO_TLS:
        return SourceRefused(f"{what}: {text}", hint="give the server a certificate (ssl_cert, ssl_key)")
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


def records(connection: pymysql.connections.Connection[Any], sql: str) -> list[dict[str, Any]]:
    """As `rows`, each by the names of its columns."""
    import pymysql

    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            names = [str(column[0]) for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except (pymysql.err.Error, OSError) as error:
        raise source_error(error, "the database refused a query") from error


def rows(connection: pymysql.connections.Connection[Any], sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a small result. Errors become ours."""
    import pymysql

    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    except (pymysql.err.Error, OSError) as error:
        raise source_error(error, "the database refused a query") from error
