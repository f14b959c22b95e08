"""Runs bqemulator, by its own Python: without a download, on a free port that it prints, no longer than its parent.

Each of its rewriters parses the statement anew, which is most of its time: here a text is parsed once, and then copied.
"""

import functools
import os
import socket
import sys
import threading
import time
from typing import Any

import sqlglot


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def parse_once() -> None:
    parse, parse_one = sqlglot.parse, sqlglot.parse_one

    @functools.lru_cache(128)
    def trees(sql: str, read: str) -> list[Any]:
        return parse(sql, read=read)

    @functools.lru_cache(128)
    def tree(sql: str, read: str) -> Any:
        return parse_one(sql, read=read)

    def copies(sql: str, read: Any = None, **options: Any) -> list[Any]:
        if not isinstance(read, str) or options:
            return parse(sql, read=read, **options)
        return [one and one.copy() for one in trees(sql, read)]

    def copy(sql: str, read: Any = None, **options: Any) -> Any:
        return parse_one(sql, read=read, **options) if not isinstance(read, str) or options else tree(sql, read).copy()

    sqlglot.parse, sqlglot.parse_one = copies, copy


if __name__ == "__main__":
    parse_once()
    from bqemulator.cli import main
    from duckdb_extensions import import_extension

    threading.Thread(target=end_with, args=(int(sys.argv[1]),), daemon=True).start()
    import_extension("spatial")
    rest, grpc = free_port(), free_port()
    print(rest, flush=True)
    os.dup2(2, 1)
    arguments = ["--rest-port", str(rest), "--grpc-port", str(grpc), "--log-level", "error"]
    sys.argv = ["bqemulator", "start", *arguments]
    main()
