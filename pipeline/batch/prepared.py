"""XA transactions that are being committed: in the log already, and not visible to a read yet.

An XA COMMIT stands outside the order in which other commits become visible (measured on MariaDB 10.11 and MySQL 9.7).
But the transaction is listed as prepared until it is visible.
"""

from __future__ import annotations

import re
import time

from pipeline.batch.stamps import MISSING_GRANT, granting
from schemas.errors import SourceRefused, SourceUnavailable
from schemas.source import Connection, rows, server_error_number

POLL_S = 0.002
USUAL_COMMIT_S = 0.05
_COMMIT = re.compile(r"xa\b.*\bcommit", re.IGNORECASE | re.DOTALL)


def wait_for_committing(connection: Connection, seconds: float = 10.0) -> None:
    """Returns when every XA COMMIT that was in the log at the time of the call is visible to a read that begins now.

    Those that stay prepared for long, because nobody commits them, are told from those that are being committed by the
    statements that the server runs. Raises SourceRefused where these may not be seen, SourceUnavailable where one takes
    longer.
    """
    started = time.monotonic()
    waiting = read_prepared(connection)
    while waiting:
        time.sleep(POLL_S)
        waiting &= read_prepared(connection)
        waited = time.monotonic() - started
        if not waiting or waited < USUAL_COMMIT_S:
            continue
        what = f"{len(waiting)} XA transactions are prepared for more than {seconds:g} s"
        try:
            if not _is_committing(connection):
                return
        except SourceRefused as error:
            if server_error_number(error) not in MISSING_GRANT:
                raise
            if waited > seconds:
                raise SourceRefused(
                    f"{what}, and without the privilege PROCESS nobody can tell whether they are being committed",
                    hint=f"{granting(connection, 'PROCESS')}; or end them (XA RECOVER lists them)",
                ) from error
        if waited > seconds:
            raise SourceUnavailable(f"{what}, and one is being committed", hint="try again when it is done")


def read_prepared(connection: Connection) -> frozenset[tuple[object, ...]]:
    """Format, lengths and bytes of each xid. MySQL needs XA_RECOVER_ADMIN for it."""
    return frozenset(rows(connection, "XA RECOVER"))


def _is_committing(connection: Connection) -> bool:
    """Trap: the list of statements is silently one's own without PROCESS; the list of transactions is refused."""
    rows(connection, "SELECT COUNT(*) FROM information_schema.innodb_trx")
    return any(_COMMIT.search(str(row[7])) for row in rows(connection, "SHOW FULL PROCESSLIST"))
