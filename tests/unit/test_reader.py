"""What the reader says is done, while a single event's changes are still leaving."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.ddl.statement_changes import Reload
from binlog_worker.log.events import RawEvent
from binlog_worker.reader import Reader
from binlog_worker.xa.prepared import PreparedTransactions
from schemas.checkpoint import Place
from tests.builders import shop
from tests.past_logs import RecordedLogs
from tests.written_log import ITEMS, WrittenLog

CONFIG = shop(mirror=["shop.items"])
RENAME = "RENAME TABLE shop.orders TO shop.o, shop.items TO shop.i, shop.charges TO shop.c"


def reading(place: Place) -> Reader:
    prepared = PreparedTransactions(place, RecordedLogs())
    return Reader(CONFIG, ChangeWriter(Origin("mariadb", "shop", 1)), place, {}, prepared)


def standalone(log: WrittenLog) -> None:
    """DDL: one event, which is a transaction of its own."""
    log._gtid(1)
    log.query(RENAME)


def within(log: WrittenLog) -> None:
    log._gtid(0)
    log.rows(ITEMS, [1, 2])
    log.query(RENAME)
    log.add(16, bytes(8))


@pytest.mark.parametrize("write", [standalone, within])
def test_a_place_is_not_behind_what_has_not_left(write: Callable[[WrittenLog], None]) -> None:
    """A checkpoint between the reload marks of one statement, and a restart there."""
    log = WrittenLog("mariadb")
    log.ordinary((ITEMS, [7]))
    write(log)
    log.ordinary((ITEMS, [8]))
    everything, places = read(log.after(log.file, 4), Place(log.file, 4))
    assert everything.count("reload") == 3
    for done, place in enumerate(places):
        rest, _ = read(log.after(log.file, place.position), place)
        wanted = everything[done + 1 :]
        assert rest[len(rest) - len(wanted) :] == wanted, "something is missing"
        assert {*rest[: len(rest) - len(wanted)]} <= {"reload"}, "only marks come again"


def read(events: list[RawEvent], start: Place) -> tuple[list[str], list[Place]]:
    """Each change, and for each what a checkpoint would say just after it was taken."""
    reader = reading(start)
    told, places = [], []
    for event in events:
        for change in reader.feed(event):
            told.append("reload" if isinstance(change, Reload) else str([line[:60] for line in change.lines]))
            places.append(reader.place)
    return told, places
