"""Runs bqemulator, by its own Python: without a download, on a free port that it prints, no longer than its parent."""

import os
import socket
import sys
import threading
import time


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
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
