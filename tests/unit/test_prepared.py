"""XA transactions held back: where their rows are kept, what is forgotten, and what cannot be known."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import pytest

from binlog_worker import metrics
from binlog_worker.log import events
from binlog_worker.log.events import RawEvent
from binlog_worker.progress import Progress
from binlog_worker.xa import prepared
from binlog_worker.xa.prepared import PreparedTransactions
from binlog_worker.xa.spool import Spool
from binlog_worker.xa.xa_log import RowNumbers, TablesNamed, read_stretch, transaction_events
from schemas.checkpoint import Place, PreparedXa
from schemas.errors import BadPosition, CorruptBinlog, PurgedBinlog, TooManyPrepared, UnknownTransaction
from tests.past_logs import RecordedLogs
from tests.written_log import ITEMS, UNWANTED, WrittenLog, xid

START = Place("b.000001", 4)


def row_event(data: bytes, first_row: int = 0, position: int = 0) -> RawEvent:
    return RawEvent(events.WRITE_V2, 1_700_000_000, 4_000_000_000, 1, "", position, 0, data, first_row)


def kept(spool: Spool, key: str) -> list[RawEvent] | None:
    found = spool.read(key)
    return None if found is None else list(found)


def test_a_table_map_without_names_is_corrupt() -> None:
    """Also of a log that is read once more, where nobody else looks at it."""
    for body in (bytes(8), bytes(8) + b"\4sho", bytes(8) + b"\1\xff\0\1t\0"):
        log = WrittenLog("mysql")
        log.prepare("a")
        log.files[log.file].insert(2, log.add(events.TABLE_MAP, body))
        with pytest.raises(CorruptBinlog, match=r"malformed TABLE_MAP event: .*position b.000001:"):
            read_stretch(log.files[log.file], log.file, None)


EVENTS = [row_event(bytes((number,)) * number * 100, number * 7, number // 3) for number in range(10)]


@pytest.mark.parametrize("budget", [1_000_000, 3_000, 0])
def test_spool_gives_back_what_it_got(budget: int) -> None:
    spool = Spool(budget)
    for key in ("a", "b"):
        spool.begin(key)
    for event in EVENTS:
        spool.add("a", event)
        spool.add("b", event._replace(kind=events.TABLE_MAP))
    spool.begin("c")
    for _ in range(2):  # a commit may be read again after a lost connection
        assert kept(spool, "a") == EVENTS
        assert kept(spool, "b") == [event._replace(kind=events.TABLE_MAP) for event in EVENTS]
    assert kept(spool, "c") == []
    spool.begin("a")
    assert kept(spool, "a") == []
    spool.drop("b")
    assert kept(spool, "b") is None
    spool.close()
    assert kept(spool, "c") is None


def test_spool_holds_no_more_than_its_budget_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(100_000)
    files: list[Any] = []
    temporary = tempfile.TemporaryFile

    def counted(**options: Any) -> Any:
        files.append(temporary(**options))
        return files[-1]

    monkeypatch.setattr("tempfile.TemporaryFile", counted)
    for key in range(50):
        spool.begin(str(key))
    for _ in range(20):
        for key in range(50):
            spool.add(str(key), row_event(bytes(200 if key else 2_000)))
            assert sum(len(event.data) for held in spool._memory.values() for event in held) <= 100_000
    assert 1 <= len(files) < 50, "the largest go first"
    assert [len(kept(spool, str(key)) or ()) for key in range(50)] == [20] * 50
    spool.close()
    assert all(file.closed for file in files)


def test_spool_forgets_what_it_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(0, most_files=1)
    for key in ("a", "b"):
        spool.begin(key)
        for event in EVENTS:
            spool.add(key, event)
    assert kept(spool, "a") == EVENTS
    assert kept(spool, "b") is None

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    other = Spool(0)
    other.begin("c")
    other.add("c", EVENTS[1])
    other.add("c", EVENTS[2])
    assert kept(other, "c") is None


def test_spool_forgets_a_file_that_cannot_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(0)
    spool.begin("a")
    spool.add("a", EVENTS[1])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("binlog_worker.xa.spool._write", full)
    spool.add("a", EVENTS[2])
    spool.add("a", EVENTS[3])
    assert kept(spool, "a") is None


def test_rows_are_numbered_upwards_without_a_repetition() -> None:
    numbers = RowNumbers()
    found = [numbers.numbered(event) for event in (EVENTS[9], EVENTS[9]._replace(kind=events.TABLE_MAP), *EVENTS[7:])]
    assert [event.first_row for event in found] == [0, 450, 450, 800, 1200]
    assert {event.position for event in found} == {0}
    numbers._offset = (1 << 31) - 2
    found = [numbers.numbered(event) for event in EVENTS[8:]]
    assert [(event.position, event.first_row) for event in found] == [(0, (1 << 30) - 1), (1, 399)]


def prepared_in(log: WrittenLog, **options: Any) -> PreparedTransactions:
    return PreparedTransactions(Place(log.file, log.position), RecordedLogs(log.files), **options)


def commit_of(log: WrittenLog, name: str) -> RawEvent:
    return log.end(name, "COMMIT")


def inside(transactions: PreparedTransactions, name: str, commit: RawEvent) -> list[int]:
    """Kinds of the events inside of it."""
    found = list(transactions.events(xid(name), commit))
    assert {(event.file, event.position, event.end) for event in found} <= {(commit.file, commit.position, commit.end)}
    return [event.kind for event in found]


ROWS_OF_TWO = [events.TABLE_MAP, events.WRITE_V1, events.TABLE_MAP, events.WRITE_V1]


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_older_logs_are_read_once_the_newest_first(flavor: str) -> None:
    log = WrittenLog(flavor)
    log.prepare("a", (ITEMS, [1]), (UNWANTED, [1]))
    log.prepare("x", (ITEMS, [1]))
    log.rotate()
    log.prepare("b", (ITEMS, [2]), (UNWANTED, [1]))
    log.prepare("c", (ITEMS, [2]), (UNWANTED, [1]))
    log.end("x", "ROLLBACK")
    log.ordinary((ITEMS, [3]))
    log.prepare("o", (ITEMS, [4]), one_phase=True)
    log.rotate()
    log.ordinary((ITEMS, [5]))
    transactions = prepared_in(log)
    past = transactions._past
    assert isinstance(past, RecordedLogs)
    assert inside(transactions, "b", commit_of(log, "b")) == ROWS_OF_TWO
    b = transactions.listed()[0]
    assert past.reads == [("b.000003", 4), ("b.000002", 4), ("b.000002", b.position)]
    assert (b.xid, b.file, b.tables) == (xid("b"), "b.000002", ("shop.items", "shop.unwanted"))
    assert inside(transactions, "c", commit_of(log, "c")) == ROWS_OF_TWO
    assert inside(transactions, "a", commit_of(log, "a")) == ROWS_OF_TWO
    assert [file for file, _ in past.reads[3:]] == ["b.000002", "b.000001", "b.000001"]
    for ended in ("x", "o", "never"):
        with pytest.raises(UnknownTransaction) as caught:
            inside(transactions, ended, commit_of(log, ended))
        assert xid(ended) in caught.value.message and caught.value.position and caught.value.hint
    assert len(past.reads) == 6, "there is nothing more to read"
    for name in "bca":
        transactions.end(xid(name))
    assert transactions.listed() == ()


def test_a_log_that_goes_while_it_is_looked_for() -> None:
    log = WrittenLog("mysql")
    log.prepare("a", (ITEMS, [1]))
    log.rotate()
    transactions = prepared_in(log)
    past = transactions._past
    assert isinstance(past, RecordedLogs)
    names = list(log.files)
    past.names = lambda: names  # type: ignore[method-assign]
    del log.files["b.000001"]
    with pytest.raises(UnknownTransaction):
        inside(transactions, "a", commit_of(log, "a"))


def test_a_known_transaction_whose_log_is_gone() -> None:
    log = WrittenLog("mysql")
    log.rotate()
    known = PreparedXa(xid("a"), "b.000000", 4, 0, ("shop.items",))
    transactions = prepared_in(log, known=(known,))
    with pytest.raises(PurgedBinlog):
        inside(transactions, "a", commit_of(log, "a"))
    assert transactions.tables_of(xid("a")) == ("shop.items",)
    assert transactions.listed() == (known,)


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_a_place_where_another_transaction_begins(flavor: str) -> None:
    log = WrittenLog(flavor)
    log.ordinary((ITEMS, [1]))
    place = log.position
    log.prepare("a", (ITEMS, [1]))
    log.prepare("b", (ITEMS, [2]))
    behind = log.position
    log.ordinary((ITEMS, [1]))
    read = RecordedLogs(log.files).read
    for name, position in (("b", place), ("a", 4), ("a", behind), ("a", place + 1)):
        wanted = PreparedXa(xid(name), log.file, position, 0, None)
        with pytest.raises(CorruptBinlog, match="does not begin there"):
            list(transaction_events(read(log.file, position), wanted, None))
    wanted = PreparedXa(xid("a"), log.file, place, 0, None)
    assert len(list(transaction_events(read(log.file, place), wanted, None))) == 2
    with pytest.raises(CorruptBinlog, match="does not end"):
        list(transaction_events(list(read(log.file, place))[:3], wanted, None))


def test_a_stretch_ends_where_it_shall() -> None:
    log = WrittenLog("mariadb")
    log.prepare("a", (ITEMS, [1]))
    end = log.position
    log.prepare("b", (ITEMS, [1]))
    log.end("z", "COMMIT")
    log.rotate()
    log.prepare("c", (ITEMS, [1]))
    read = RecordedLogs(log.files).read
    first = read_stretch(read("b.000001", 4), "b.000001", end)
    assert (set(first.prepared), first.ended) == ({xid("a")}, frozenset())
    whole = read_stretch(read("b.000001", 4), "b.000001", None)
    assert (set(whole.prepared), whole.ended) == ({xid("a"), xid("b")}, frozenset([xid("z")]))


def test_tables_are_named_up_to_a_limit() -> None:
    log = WrittenLog("mysql")
    log.prepare("a", (ITEMS, [1]), (UNWANTED, [1]), (ITEMS, [2]))
    maps = [event for event in log.files[log.file] if event.kind == events.TABLE_MAP]
    named = TablesNamed()
    for event in maps:
        named.add(event)
    assert named.names() == ("shop.items", "shop.unwanted")
    for number in range(9):
        named.add(maps[0]._replace(data=maps[0].data.replace(b"items", b"item%d" % number)))
    assert named.names() is None


def test_more_than_a_checkpoint_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "MOST_PREPARED", 2)
    log = WrittenLog("mysql")
    transactions = prepared_in(log)
    for name in ("a", "b", "a"):
        event = log.query(f"XA START {xid(name)}")
        transactions.begin(xid(name), event, event.position)
        transactions.prepare(xid(name), event)
    event = log.query(f"XA START {xid('c')}")
    transactions.begin(xid("c"), event, event.position)
    with pytest.raises(TooManyPrepared) as caught:
        transactions.prepare(xid("c"), event)
    assert caught.value.hint and f"--from {event.file}:{event.end}" in caught.value.hint


def test_the_end_of_a_transaction_that_did_not_begin() -> None:
    log = WrittenLog("mysql")
    transactions = prepared_in(log)
    with pytest.raises(BadPosition):
        transactions.prepare(xid("a"), log.query("-"))


def test_open_transactions_are_seen_from_outside() -> None:
    since = int(time.time()) - 100
    known = (PreparedXa(xid("a"), "b.000001", 4, since, ()), PreparedXa(xid("b"), "b.000001", 9, since + 50, ()))
    transactions = PreparedTransactions(START, RecordedLogs(), known)
    progress = Progress(live=False)
    assert "prepared" not in progress.facts()
    progress.prepared = transactions.listed()
    facts = progress.facts()
    assert facts["prepared"] == 2 and facts["oldest_prepared_s"] in range(99, 160)
    assert (metrics.PREPARED._value.get(), metrics.PREPARED_SINCE._value.get()) == (2, since)
    for one in known:
        transactions.end(one.xid)
    transactions.listed()
    assert (metrics.PREPARED._value.get(), metrics.PREPARED_SINCE._value.get()) == (0, 0)
