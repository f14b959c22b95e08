"""A private MariaDB with its binlog, on a free loopback port."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pymysql

from demo.process import LOOPBACK, ServerFailed, ServerMissing, ServerProcess, free_port

if TYPE_CHECKING:
    from typing_extensions import Self

SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/mysql/bin")
LONGEST_SOCKET_PATH = 100  # sun_path of unix(7) holds 108 bytes
INSTALL_MARIADB = ("apt-get", "install", "--yes", "--no-install-recommends", "mariadb-server")


def find_program(name: str) -> str | None:
    """Its path, from PATH or the folders where distributions keep servers."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SERVER_FOLDERS))


def require_program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise ServerMissing(
            f"{name} was found neither on PATH nor in {', '.join(SERVER_FOLDERS)}",
            hint="install MariaDB 10.11 or later: `apt-get install mariadb-server` as root, or `brew install mariadb`",
        )
    return found


def ensure_mariadb() -> None:
    """Installs MariaDB with apt-get where it is missing and we are root; else raises ServerMissing with what to run."""
    with _one_at_a_time():
        _ensure_mariadb()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of several processes that find it missing, as tests do, one installs it: apt-get does not wait for another."""
    folder = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _ensure_mariadb() -> None:
    if find_program("mariadbd") and find_program("mariadb-install-db"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"MariaDB is missing; running: {' '.join(INSTALL_MARIADB)}", file=sys.stderr, flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (("apt-get", "update"), INSTALL_MARIADB):
            if status := subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
                raise ServerFailed(f"`{' '.join(command)}` ended with status {status}", hint="run it by hand")
    require_program("mariadbd")
    require_program("mariadb-install-db")


class MariaDB:
    """A MariaDB server with row-based binlog; root without a password on 127.0.0.1.

    `extra_options` come last and win, e.g. `["--log-bin-compress=ON"]`. Durable across `kill()` and `restart()` (the
    operating system keeps what was written), not across a power cut.
    """

    host = LOOPBACK
    user = "root"
    password = ""

    def __init__(self, folder: Path | str, extra_options: Sequence[str] = ()) -> None:
        self.folder = Path(folder).resolve()
        self.extra_options = list(extra_options)
        self.port = 0
        self._process: ServerProcess | None = None
        self._socket_folder: str | None = None

    def start(self) -> Self:
        """Creates the data folder where it is missing, starts, waits until it answers. Keeps the port once chosen."""
        if self.running:
            return self
        server, install = require_program("mariadbd"), require_program("mariadb-install-db")
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        if not (self.folder / "data" / "mysql").exists():
            self._initialise(install)
        self.port = self.port or free_port()
        command = [server, *self._options(), *self.extra_options]
        self._process = ServerProcess("mariadbd", command, self.folder / "mariadbd.log")
        self._process.wait_until(self._answers, seconds=60)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    def kill(self) -> None:
        """As a crash: SIGKILL, no shutdown."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> Self:
        """On the same port and data; after `kill()` this is crash recovery."""
        self.stop()
        return self.start()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.alive()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def dsn(self) -> str:
        return f"mysql://{self.user}@{self.host}:{self.port}"

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        return pymysql.connect(
            **{"host": self.host, "port": self.port, "user": self.user, "password": self.password, **options}
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _environment(self) -> list[str]:
        """Trap: a server that starts removes temporary tables from its tmpdir, those of its neighbours in /tmp, too."""
        return [*(["--user=root"] if os.geteuid() == 0 else []), f"--tmpdir={self.folder / 'tmp'}"]

    def _initialise(self, install: str) -> None:
        """Faster than the defaults (0.8 s instead of 3): a small log file and no waiting for the disk."""
        command = [
            install, "--no-defaults", *self._environment(), f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
            "--innodb-log-file-size=16M", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0",
            "--skip-innodb-doublewrite", "--innodb-buffer-pool-size=16M",
        ]  # fmt: skip
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            output = (done.stdout + done.stderr).strip().splitlines()
            raise ServerFailed("mariadb-install-db could not create the data folder", hint="\n".join(output[-8:]))

    def _options(self) -> list[str]:
        return [
            "--no-defaults", *self._environment(), f"--datadir={self.folder / 'data'}", f"--port={self.port}",
            f"--bind-address={self.host}", "--skip-name-resolve", f"--socket={self._socket()}",
            f"--pid-file={self.folder / 'mariadbd.pid'}", "--log-bin=mysql-bin", "--server-id=1",
            "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
            "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=128M", "--performance-schema=OFF", "--character-set-server=utf8mb4",
        ]  # fmt: skip

    def _socket(self) -> str:
        path = str(self.folder / "s.sock")
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        if self._socket_folder is None:
            self._socket_folder = tempfile.mkdtemp(prefix="ltv-")
        return f"{self._socket_folder}/s.sock"

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.err.OperationalError:
            return False
        return True
