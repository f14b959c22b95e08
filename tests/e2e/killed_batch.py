"""Batches that kill themselves with SIGKILL in or behind one of their transactions, each in a process of its own.

The processes are forked from one that has imported everything once.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from pipeline.batch.command import BatchOptions, batch
from pipeline.session import LocalSession, Statement
from schemas.config_file import load_config
from schemas.errors import LtvError

FAILED = 3
LONGEST_S = 180.0
Moment = Literal["inside", "behind"]


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


class Dying(LocalSession):
    """Dies `moment` its transaction number `at` that writes."""

    at = 0
    moment: Moment = "behind"
    written = 0

    def run(
        self,
        statements: Sequence[Statement],
        inputs: Mapping[str, pa.Table] | None = None,
        *,
        own_connection: bool = False,
    ) -> pa.RecordBatchReader:
        if all(statement.sql.lstrip().startswith(("SELECT", "CREATE SCHEMA")) for statement in statements[:1]):
            return super().run(statements, inputs, own_connection=own_connection)
        Dying.written += 1
        if Dying.written == Dying.at and Dying.moment == "inside":
            self._connection.create_function("die", _die, [], "BIGINT", side_effects=True)
            statements = [*statements, Statement("SELECT die()")]
        found = super().run(statements, inputs, own_connection=own_connection)
        if Dying.written == Dying.at:
            _die()
        return found


def _run(folder: Path, at: int, moment: Moment, file_bytes: int, options: dict[str, Any]) -> None:
    from pipeline import duckdb_warehouse

    duckdb_warehouse.LocalSession = Dying  # type: ignore[misc]
    Dying.at, Dying.moment, Dying.written = at, moment, 0
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
