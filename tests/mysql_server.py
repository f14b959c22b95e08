"""A private MySQL, of the installation that the tests use: one on PATH, or that of TEST_MYSQL_DATADIR.

Such a data folder may be part of a root of its own (`ROOT/var/lib/mysql`), with libraries that are not this system's:
its server is then run by its own dynamic linker (ld.so(8), «--library-path»).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pymysql

from demo.mariadb import find_program
from demo.process import LOOPBACK, ServerFailed, ServerProcess, free_port
from tests.conftest import Server

DATA = Path("var/lib/mysql")
ROOT_OVER_TCP = "CREATE USER 'root'@'127.0.0.1';\nGRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"


@cache
def mysqld() -> tuple[str, ...] | None:
    """The words that run the server; None where there is none (what Debian calls mysqld may be a MariaDB)."""
    data = os.environ.get("TEST_MYSQL_DATADIR", "")
    if data.endswith(f"/{DATA}"):
        root = Path(data.removesuffix(f"/{DATA}")) / "usr"
        for linker in sorted(root.glob("lib*/ld-linux*.so*")):
            libraries = ":".join(str(folder) for folder in (*sorted(root.glob("lib/*-linux-gnu")), root / "lib/mysql"))
            command = (str(linker), "--library-path", libraries, str(root / "sbin/mysqld"))
            if _is_mysql(command):
                return (*command, "--no-defaults", f"--basedir={root}")
    found = find_program("mysqld")
    return (found, "--no-defaults") if found and _is_mysql((found,)) else None


def _is_mysql(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run([*command, "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and "MariaDB" not in done.stdout


@contextmanager
def mysql_server(folder: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    """With a binlog and GTIDs, root without a password; `options` come last and win. Gone with its data at the end.

    Starts in some three seconds. Raises ServerFailed with the end of the server's log.
    """
    program = mysqld()
    assert program is not None, "there is no MySQL that could be started here"
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(LOOPBACK, free_port(), "root", "", "mysql")
    command = [
        *program, *(["--user=root"] if os.geteuid() == 0 else []), f"--datadir={folder / 'data'}",
        f"--tmpdir={folder}", "--secure-file-priv=NULL", "--innodb-buffer-pool-size=64M",
        "--innodb-redo-log-capacity=16M", "--innodb-flush-method=nosync", "--skip-innodb-doublewrite",
        "--innodb-flush-log-at-trx-commit=2",
    ]  # fmt: skip
    users = folder / "users.sql"
    users.write_text(ROOT_OVER_TCP)
    first = [*command, "--initialize-insecure", f"--init-file={users}", "--skip-log-bin"]
    done = subprocess.run(first, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed("mysqld could not create its data folder", hint=done.stderr[-1500:])
    command += [
        f"--port={server.port}", f"--bind-address={LOOPBACK}", "--mysqlx=OFF", "--socket=s.sock",
        f"--pid-file={folder / 'mysqld.pid'}", "--server-id=1", "--log-bin=mysql-bin", "--sync-binlog=0",
        "--binlog-row-metadata=FULL", "--gtid-mode=ON", "--enforce-gtid-consistency=ON", *options,
    ]  # fmt: skip
    process = ServerProcess("mysqld", command, folder / "mysqld.log")
    process.wait_until(lambda: _answers(server), seconds=60)
    yield server
    process.kill()


def _answers(server: Server) -> bool:
    try:
        server.connect(connect_timeout=2).close()
    except pymysql.err.OperationalError:
        return False
    return True
