"""Where a run begins: the checkpoint, else `--from`, else the earliest log that the server has."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from binlog_worker.log import events
from binlog_worker.log.event_gtids import MariadbGtid
from binlog_worker.log.events import RawEvent, parse
from binlog_worker.position.failover import Standing, missing, way_on
from binlog_worker.position.gtid_logs import FIRST_POSITION, LoggedGtid, MariadbLogs, mariadb_places, mysql_file
from binlog_worker.position.gtids import (
    GtidSet,
    MariadbGtids,
    MariadbState,
    MysqlGtids,
    parse_from_gtids,
    parse_gtids,
    split_mariadb,
)
from binlog_worker.position.identity import Beginning, check_identity
from binlog_worker.position.pass_over import MariadbPassOver, MysqlPassOver, PassOver, parse_pass_over
from binlog_worker.server import (
    gtids_below,
    has_gtids,
    logged_before,
    read_mariadb_history,
    read_mysql_history,
)
from schemas.checkpoint import NEW_START, Checkpoint, Place
from schemas.errors import BadPosition, CheckpointError, PurgedBinlog, SourceChanged, UsageError
from schemas.log_position import read_position
from schemas.sequence import binlog_number
from schemas.server_logs import ServerLogs
from schemas.source import Server

if TYPE_CHECKING:
    from binlog_worker.server import Connection


class PastLogs(Protocol):
    def read(self, file: str, position: int) -> Generator[RawEvent]: ...


class Start(NamedTuple):
    """`passing`: what is passed over behind the place, where the start is a GTID set; `gtids`: the transactions below
    it, and those passed over, where they are known. `why` is for the log."""

    place: Place
    epoch: int
    passing: PassOver | None
    gtids: GtidSet | None
    why: str


def decide_start(
    beginning: Beginning,
    begin: str | None,
    found: ServerLogs,
    server: Server,
    connection: Connection,
    tables: Sequence[str],
    past: PastLogs,
) -> Start:
    """`begin` is the option --from. Raises SourceChanged, PurgedBinlog, BadPosition, UsageError, CheckpointError."""
    checkpoint, epoch = beginning.checkpoint, beginning.epoch
    if checkpoint is not None:
        check_identity(checkpoint, found, tables, lambda: standing(checkpoint, found, server, connection))
        return _from_checkpoint(checkpoint, server, connection)
    if begin is None or begin == "earliest":
        oldest = found.logs[0].name if found.logs else found.current.file
        place, why = Place(oldest, FIRST_POSITION), "earliest log"
    elif begin == "now":
        place, why = found.current, "now"
    else:
        named = parse_place(begin)
        if named is None:
            return _from_gtids(parse_from_gtids(begin, server.flavor), epoch, found, server, connection, tables, past)
        check_place(named, found)
        place, why = named, "--from"
    return Start(place, epoch, None, gtids_below(connection, server, place), why)


def _from_checkpoint(checkpoint: Checkpoint, server: Server, connection: Connection) -> Start:
    try:
        passing = parse_pass_over(checkpoint.passing, server.flavor) if checkpoint.passing else None
        gtids = parse_gtids(checkpoint.gtid_set, server.flavor) if checkpoint.gtid_set else None
        if gtids is None:
            gtids = gtids_below(connection, server, checkpoint.place)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint's GTIDs: {error}", hint=NEW_START) from error
    return Start(checkpoint.place, checkpoint.epoch, passing, gtids, "checkpoint")


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


def standing(checkpoint: Checkpoint, found: ServerLogs, server: Server, connection: Connection) -> Standing | None:
    """What this server has of the transactions below a checkpoint; None where that is not known."""
    if not checkpoint.gtid_set or not has_gtids(server):
        return None
    try:
        delivered = parse_gtids(checkpoint.gtid_set, server.flavor)
    except ValueError:
        return None  # MySQL's, and this is MariaDB, or the other way round
    if isinstance(delivered, MysqlGtids):
        return read_mysql_history(connection).standing(delivered)
    return read_mariadb_history(connection, found.logs[0].name).standing(cast(MariadbGtids, delivered))


def _from_gtids(
    wanted: GtidSet,
    epoch: int,
    found: ServerLogs,
    server: Server,
    connection: Connection,
    tables: Sequence[str],
    past: PastLogs,
) -> Start:
    """Behind the transactions of `wanted`: none of the others is left out, none of them delivered."""
    if not has_gtids(server):
        raise UsageError("--from: the server has no GTIDs (gtid_mode)", hint="give --from FILE:POSITION")
    why = "--from a GTID set"
    if isinstance(wanted, MysqlGtids):
        history = read_mysql_history(connection)
        until = read_position(connection, server)  # of everything executed by now
        _refuse(history.standing(wanted), epoch, tables)
        names = [log.name for log in found.logs]
        file = mysql_file(wanted, names, lambda name: MysqlGtids.parse(logged_before(connection, name)))
        if file is None:
            raise PurgedBinlog(
                "--from: transactions behind that GTID set are in logs that the server no longer has",
                hint=f"its oldest log is {names[0]}; start there with --from earliest",
            )
        passed = MysqlPassOver(MysqlGtids.parse(str(wanted)), until)
        return Start(Place(file, FIRST_POSITION), epoch, passed, wanted, why)
    assert isinstance(wanted, MariadbGtids)
    log_history = read_mariadb_history(connection, found.logs[0].name)
    _refuse(log_history.standing(wanted), epoch, tables)
    before = functools.cache(lambda name: MariadbState.parse(logged_before(connection, name)))
    sizes = found.sizes()
    logs = MariadbLogs(sizes, before, lambda name: _logged_gtids(past, name, sizes[name]))
    places = mariadb_places(wanted, log_history.unlogged(wanted), log_history.logged, logs)
    passing = MariadbPassOver(places)
    first = min(places.values(), key=lambda place: place.order)
    return Start(first, epoch, None if passing.is_over(first) else passing, wanted, why)


def _refuse(found: Standing, epoch: int, tables: Sequence[str]) -> None:
    if missed := missing(found):
        kind = SourceChanged if found.lacks else PurgedBinlog
        raise kind(f"--from a GTID set: {'; '.join(missed)}", hint=way_on(found, epoch, tables))


def _logged_gtids(past: PastLogs, file: str, size: int) -> Iterator[LoggedGtid]:
    """The transactions of a MariaDB log, up to that size."""
    with closing(past.read(file, FIRST_POSITION)) as log:
        for event in log:
            if event.file != file:
                return
            if event.kind == events.MARIADB_GTID and event.position < size:
                gtid = cast(MariadbGtid, parse(event))
                yield LoggedGtid(*split_mariadb(gtid.text), Place(file, event.position))
            if event.end >= size:
                return
