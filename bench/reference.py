"""What the worker is measured beside: mysql-replication decoding the same log, MariaDB's own program printing it, and
the worker's own decoder alone."""

from __future__ import annotations

import subprocess
import time
from typing import NamedTuple

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from binlog_worker.decoding.rows import Tables, decode_rows
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import ROWS, TABLE_MAP
from demo.mariadb import find_program
from demo.process import ServerFailed
from demo.servers import MariaDB

LONGEST_S = 300.0
SERVER_ID = 5502


class Decoded(NamedTuple):
    rows: int
    seconds: float
    cpu_seconds: float


def decode(database: MariaDB, log: str, rows: int) -> Decoded:
    """mysql-replication over the first `rows` inserted rows of the log; nothing is made of them."""
    reader = BinLogStreamReader(
        connection_settings={
            "host": database.host,
            "port": database.port,
            "user": database.user,
            "passwd": database.password,
        },
        server_id=SERVER_ID,
        log_file=log,
        log_pos=4,
        resume_stream=True,
        only_events=[WriteRowsEvent],
        blocking=False,
    )
    found, began, cpu_began = 0, time.monotonic(), time.process_time()
    try:
        for event in reader:
            found += len(event.rows)
            if found >= rows:
                break
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
    finally:
        reader.close()
    if found < rows:
        raise ServerFailed(f"mysql-replication read {found:,} of {rows:,} rows of {log}")
    return Decoded(found, seconds, cpu_seconds)


def print_log(database: MariaDB, log: str) -> float | None:
    """Seconds of `mariadb-binlog -vv`, which decodes a log's file in C++ and prints it; None where not installed."""
    program = find_program("mariadb-binlog")
    if program is None:
        return None
    command = [program, "--no-defaults", "-vv", "--base64-output=decode-rows", str(database.folder / "data" / log)]
    began = time.monotonic()
    subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        timeout=LONGEST_S,
    )  # fmt: skip
    return time.monotonic() - began


def decode_ourselves(database: MariaDB, log: str, rows: int) -> float:
    """Seconds of our dump and row decoders over the first `rows` rows of the log; nothing is made of the values."""
    dump = Dump(database.connect, SERVER_ID, log, 4)
    tables = Tables(lambda layout: range(len(layout.columns)), mariadb=True)
    found, began = 0, time.monotonic()
    try:
        for event in dump:
            if event.kind == TABLE_MAP:
                tables.remember(event)
            elif event.kind in ROWS and (read := decode_rows(event, tables)) is not None:
                found += len(read.table.values.rows(event.data, read.pos, len(event.data))[0])
                if found >= rows:
                    return time.monotonic() - began
    finally:
        dump.close()
    raise ServerFailed(f"our decoder read {found:,} of {rows:,} rows of {log}")
