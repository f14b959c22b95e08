"""kill -9 behind the events of a log with a large transaction, XA, rotation, ALTER, TRUNCATE and compression in it.

Behind every other event, in the long run behind each, a worker is killed. What had arrived by then, what its
checkpoint says, in which pieces it received the log, how much of prepared transactions it keeps, and whether its
successor is killed too, changes from boundary to boundary (see `killed_worker.Run`). Wherever it was: the tables are
the database's, and nothing else was sent.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml
from boundary_log import (
    COMPRESSED_ROWS,
    ITEMS,
    NOISE,
    Sessions,
    applied,
    boundaries,
    in_database,
    inner_count,
    logged,
    write_log,
)
from killed_worker import AS_IT_COMES, AT_ONCE, ENDED, FILES, GAP, KILLED, OLDER, Job, Run, run_jobs, sent
from worker_shop import Shop

from binlog_worker.log import events
from binlog_worker.log.dump import RECEIVE_BYTES
from schemas.event import Message
from tests.conftest import LONG, SERVER_IDS

HOW = (AT_ONCE, OLDER, GAP, AS_IT_COMES, FILES)
EVERY = 1 if LONG else 2
"""Every one of so many boundaries; each way, and each with a second kill and without, is still met."""

Lines = dict[tuple[str, str], bytes]
"""(table, sequence) → change event, without the time at which it was made."""


class Recorded(NamedTuple):
    """A log, and what stands in its database. `expected` is what a worker sends that nobody kills."""

    shop: Shop
    begin: str
    boundaries: list[int]
    inner: int
    kinds: set[int]
    expected: Lines


@pytest.fixture
def recorded(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Recorded]:
    mariadb = server.flavor == "mariadb"
    shop = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    shop.sql(ITEMS, NOISE)
    shop.write(tls="disabled", mirror=[f"{database}.items"], max_events_per_message=60)
    begin, sessions = shop.position(), Sessions(shop)
    try:
        write_log(shop, sessions, mariadb)
        log = logged(shop, begin)
        (ends,) = run_jobs([a_job(shop, "whole", begin, [Run()])])
        assert ends == [ENDED], ends
        expected = Lines()
        take(expected, sent(tmp_path / "whole", 0))
        yield Recorded(
            shop, begin, boundaries(log, database), inner_count(log), {event.kind for event in log}, expected
        )
    finally:
        sessions.end_all()
        shop.connection.close()


def a_job(shop: Shop, name: str, begin: str, runs: list[Run]) -> Job:
    """In a folder of its own; every run under a server_id of its own, for they run side by side."""
    folder = shop.folder / name
    folder.mkdir()
    settings = {**shop.settings, "server_id": next(SERVER_IDS)}
    (folder / "shop.yaml").write_text(yaml.safe_dump(settings))
    return Job(folder, begin, runs)


def runs(number: int, chance: random.Random, *, events: int = 0, inner: int = 0) -> list[Run]:
    """One that is killed there, in every third case another one that is killed soon after, and one that ends."""
    how = HOW[number % len(HOW)]
    killed = Run(
        events,
        inner,
        how,
        earlier=chance.randrange(1, 12) if how == OLDER else chance.choice((0, 5)),
        missing=chance.randrange(1, 40),
        receive_bytes=chance.choice((RECEIVE_BYTES, chance.randrange(50, 3000))),
        spool_bytes=chance.choice((8_000_000, 0)),
    )
    found = [killed]
    if number % 3 == 0:
        second = FILES if how == FILES else chance.choice(HOW[:4])
        found.append(replace(killed, events=chance.randrange(1, 60), inner=0, how=second))
    return [*found, Run(how=how, spool_bytes=killed.spool_bytes)]


def take(lines: Lines, messages: Iterable[Message]) -> None:
    """What was sent before must be the same when it is sent again."""
    for message in messages:
        if message.attributes.get("kind") == "heartbeat":
            continue
        assert "kind" not in message.attributes, message.data
        take_lines(lines, message.data.split(b"\n")[1:])


def take_lines(lines: Lines, found: Iterable[bytes]) -> None:
    for line in found:
        made = line[: line.rindex(b',"ts_ms":')] + b"}"
        assert lines.setdefault(key_of(made), made) == made


@lru_cache(maxsize=10_000)
def key_of(line: bytes) -> tuple[str, str]:
    source = orjson.loads(line)["source"]
    return source["table"], source["sequence"]


def in_files(folder: Path) -> list[bytes]:
    files = sorted((folder / "out").glob("changes-*.jsonl"))
    found = [line for path in files for line in path.read_bytes().splitlines()]
    return [line for line in found if line.startswith(b'{"op"')]


def first_sequence(messages: Iterable[Message]) -> str:
    """The lowest of its changes."""
    return min((one.attributes["first_sequence"] for one in messages if "kind" not in one.attributes), default="")


def check_confirmed(each: list[list[Message]]) -> None:
    """What a checkpoint called confirmed has arrived, and a run that ends leaves no gap in its numbers."""
    for number, messages in enumerate(each):
        arrived = {
            (message.attributes["run"], int(message.attributes["number"]))
            for before in each[:number]
            for message in before
        }
        for after in {message.attributes["after"] for message in messages if "after" in message.attributes}:
            run, _, last = after.partition(":")
            assert {(run, one) for one in range(1, int(last) + 1)} <= arrived
    numbers = [int(message.attributes["number"]) for message in each[-1]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def inside_of_the_largest(expected: Lines) -> set[str]:
    """The sequence numbers in the transaction with the most changes, less its first."""
    of: dict[str, list[str]] = {}
    for (_, sequence), line in expected.items():
        of.setdefault(orjson.loads(line)["source"]["gtid"], []).append(sequence)
    return set(sorted(max(of.values(), key=len))[1:])


def jobs_of(recorded: Recorded) -> Iterator[Job]:
    """Behind every event (see EVERY), and inside of MySQL's compressed transactions, which are one event."""
    chance = random.Random(3)
    for number, count in list(enumerate(recorded.boundaries))[::EVERY]:
        yield a_job(recorded.shop, f"behind-{count}", recorded.begin, runs(number, chance, events=count))
    for count in range(1, recorded.inner, EVERY):
        yield a_job(recorded.shop, f"inside-{count}", recorded.begin, runs(count, chance, inner=count))


def test_the_same_tables_wherever_it_is_killed(recorded: Recorded, server: Any) -> None:
    expected = recorded.expected
    packed = {events.TRANSACTION_PAYLOAD} if server.flavor == "mysql" else COMPRESSED_ROWS
    assert recorded.kinds >= {events.ROTATE, events.XA_PREPARE, events.XID} and recorded.kinds & packed
    assert {orjson.loads(line)["op"] for line in expected.values()} == set("cudt")
    assert applied(expected) == in_database(recorded.shop), "and so are the tables of whatever equals it"
    inside, went_on_inside = inside_of_the_largest(expected), 0
    jobs = list(jobs_of(recorded))
    for job, ends in zip(jobs, run_jobs(jobs), strict=True):
        assert ends[0] == KILLED and ends[-1] == ENDED and len(ends) == len(job.runs), (job, ends)
        lines = Lines()
        if job.runs[0].how == FILES:
            found = in_files(job.folder)
            take_lines(lines, found)
            assert len(found) == len(lines), "files hold every change once"
        else:
            each = [sent(job.folder, number) for number in range(len(job.runs))]
            for messages in each:
                take(lines, messages)
            check_confirmed(each)
            went_on_inside += first_sequence(each[1]) in inside
        assert lines == expected, job
    assert went_on_inside > 20 // EVERY, "a checkpoint inside of the large transaction is what is tested here"
