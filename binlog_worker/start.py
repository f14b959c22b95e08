"""Where a run begins: the checkpoint, else `--from`, else the earliest log that the server has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from binlog_worker.gtids import GtidSet, parse_from_gtids
from binlog_worker.identity import Beginning, ServerLogs, check_identity
from binlog_worker.server import gtids_before, read_executed
from schemas.checkpoint import Place
from schemas.errors import BadPosition, PurgedBinlog, SourceChanged, UsageError
from schemas.sequence import binlog_number
from schemas.source import Server

if TYPE_CHECKING:
    from binlog_worker.server import Connection

FIRST_POSITION = 4
"""Behind the magic number of a binlog file."""


class Start(NamedTuple):
    """`delivered`: transactions to pass over, where the start was given as a GTID set. `why` is for the log."""

    place: Place
    epoch: int
    delivered: GtidSet | None
    why: str


def decide_start(
    beginning: Beginning,
    begin: str | None,
    found: ServerLogs,
    server: Server,
    connection: Connection,
    tables: Sequence[str],
) -> Start:
    """`begin` is the option --from. Raises SourceChanged, PurgedBinlog, BadPosition, UsageError."""
    checkpoint = beginning.checkpoint
    if checkpoint is not None:
        check_identity(checkpoint, found, tables)
        return Start(checkpoint.place, beginning.epoch, None, "checkpoint")
    if begin is None or begin == "earliest":
        oldest = found.logs[0].name if found.logs else found.current.file
        return Start(Place(oldest, FIRST_POSITION), beginning.epoch, None, "earliest log")
    if begin == "now":
        return Start(found.current, beginning.epoch, None, "now")
    place = parse_place(begin)
    if place is not None:
        check_place(place, found)
        return Start(place, beginning.epoch, None, "--from")
    wanted = parse_from_gtids(begin, server.flavor)
    return Start(gtid_place(wanted, found, server, connection), beginning.epoch, wanted, "--from a GTID set")


def parse_place(text: str) -> Place | None:
    """FILE:POSITION, such as mysql-bin.000003:1842; None where it is not of that form (a GTID set, perhaps)."""
    file, colon, position = text.rpartition(":")
    if not colon or not position.isdigit() or len(position) > 18 or ":" in file:
        return None
    try:
        binlog_number(file)
    except ValueError:
        return None
    if int(position) < FIRST_POSITION:
        raise UsageError(f"--from {text}: a binlog begins at position {FIRST_POSITION}")
    return Place(file, int(position))


def check_place(place: Place, found: ServerLogs) -> None:
    """Raises where the server has no such place."""
    sizes = found.sizes()
    base, number = binlog_number(place.file)
    if place.file not in sizes:
        oldest = found.logs[0].name if found.logs else found.current.file
        if base == found.base and number < binlog_number(oldest)[1]:
            raise PurgedBinlog(
                f"--from: the server no longer has {place.file}",
                position=str(place),
                hint=f"its oldest log is {oldest}",
            )
        raise BadPosition(
            f"--from: the server has no {place.file}", position=str(place), hint=f"it writes at {found.current} now"
        )
    if place.position > sizes[place.file]:
        raise BadPosition(
            f"--from: {place.file} ends at {sizes[place.file]}", position=str(place), hint="name an earlier position"
        )


def gtid_place(wanted: GtidSet, found: ServerLogs, server: Server, connection: Connection) -> Place:
    """The start of the newest file before which only transactions of `wanted` are."""
    executed = read_executed(connection, server)
    if executed is None:
        raise UsageError("--from: the server has no GTIDs (gtid_mode)", hint="give --from FILE:POSITION")
    if not executed.covers(wanted):
        raise SourceChanged(
            "--from: the server lacks transactions of that GTID set",
            hint=f"it has executed {str(executed)[:300]}; what it lacks was lost in a failover, or is another server's",
        )
    for log in reversed(found.logs):
        if wanted.covers(gtids_before(connection, server, log.name)):
            return Place(log.name, FIRST_POSITION)
    raise PurgedBinlog(
        "--from: transactions behind that GTID set are in logs that the server no longer has",
        hint=f"its oldest log is {found.logs[0].name}; start there with --from earliest",
    )
