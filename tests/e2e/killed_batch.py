"""Batches that kill themselves with SIGKILL in or behind one of their transactions, each in a process of its own.

The processes are forked from one that has imported everything once, but for DuckDB: its import starts a thread, which
could hold a lock of the allocator just as the process is forked, and in the child nobody gives it back.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from pipeline.batch.command import BatchOptions, batch
from schemas.config_file import load_config
from schemas.errors import LtvError

FAILED = 3
LONGEST_S = 180.0
Moment = Literal["inside", "behind"]


def _run(folder: Path, at: int, moment: Moment, file_bytes: int, options: dict[str, Any]) -> None:
    from dying_session import DyingSession

    from pipeline import duckdb_warehouse
    from pipeline.batch import mariadb_snapshot

    duckdb_warehouse.LocalSession = DyingSession  # type: ignore[misc]
    DyingSession.at, DyingSession.moment, DyingSession.written = at, moment, 0
    mariadb_snapshot.QUIET_S = 0.05  # nobody else writes
    faulthandler.dump_traceback_later(LONGEST_S * 0.8)  # where a batch that does not end is
    if file_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        batch(load_config(folder / "shop.yaml"), BatchOptions(rollup=False, tries=2, **options))
    except LtvError as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}\n{error.hint}")
        os._exit(FAILED)
    os._exit(0)


def start(folder: Path, at: int = 0, moment: Moment = "behind", *, file_bytes: int = 0, **options: Any) -> BaseProcess:
    """`at` 0: it is not killed. `file_bytes`: how large a file may become, as on a disk that is full."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(folder, at, moment, file_bytes, options), daemon=True)
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Its exit status; -9 where it was killed."""
    process.join(LONGEST_S)
    assert process.exitcode is not None, "the batch did not end"
    return process.exitcode
