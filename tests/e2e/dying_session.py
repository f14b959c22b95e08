"""A session with DuckDB that kills its process with SIGKILL in or behind one of its transactions."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

import pyarrow as pa
from killed_batch import Moment

from pipeline.session import LocalSession, Statement


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


class DyingSession(LocalSession):
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
        DyingSession.written += 1
        if DyingSession.written == DyingSession.at and DyingSession.moment == "inside":
            self._connection.create_function("die", _die, [], "BIGINT", side_effects=True)
            statements = [*statements, Statement("SELECT die()")]
        found = super().run(statements, inputs, own_connection=own_connection)
        if DyingSession.written == DyingSession.at:
            _die()
        return found
