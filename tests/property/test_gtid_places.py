"""A start behind a GTID set delivers exactly what is not in the set, for any log: rotated and purged anywhere, sets
with gaps, domains that rest, servers that take turns, numbers that go backwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import assume, event, given
from hypothesis import strategies as st

from binlog_worker.position.gtid_logs import FIRST_POSITION, LoggedGtid, MariadbLogs, mariadb_places, mysql_file
from binlog_worker.position.gtids import MariadbGtids, MariadbState, MysqlGtids
from binlog_worker.position.pass_over import MariadbPassOver, MysqlPassOver, PassOver
from schemas.checkpoint import Place
from schemas.errors import BadPosition, PurgedBinlog

UUID = "a116e27d-e701-11f1-8e0d-02fc00000001"
SERVERS = [f"f9{UUID[2:]}", UUID, f"{UUID}:x"]


class Logged(NamedTuple):
    gtid: str
    place: Place


class Files:
    """A log of transactions, rotated after some of them; the first files may be purged."""

    def __init__(self, gtids: list[str], rotations: set[int], purged: int) -> None:
        self.before: dict[str, list[str]] = {}
        self.ends: dict[str, int] = {}
        self.all: list[Logged] = []
        file = ""
        for index, gtid in enumerate(gtids):
            if not file or index in rotations:
                file = f"b.{len(self.before) + 1:06d}"
                self.before[file], self.ends[file] = gtids[:index], 100
            self.all.append(Logged(gtid, Place(file, self.ends[file])))
            self.ends[file] += 100
        if len(gtids) in rotations or not file:
            file = f"b.{len(self.before) + 1:06d}"
            self.before[file], self.ends[file] = list(gtids), 100
        for gone in list(self.ends)[: min(purged, len(self.ends) - 1)]:
            del self.ends[gone]
        self.there = [logged for logged in self.all if logged.place.file in self.ends]

    def delivered(self, start: Place, passing: PassOver) -> list[str]:
        """As the reader does it."""
        return [
            logged.gtid
            for logged in self.there
            if logged.place.order >= start.order
            and (passing.is_over(logged.place) or not passing.holds(logged.gtid, logged.place))
        ]


@st.composite
def mysql_logs(draw: st.DrawFn) -> tuple[Files, set[str]]:
    gtids = draw(
        st.lists(st.tuples(st.sampled_from(SERVERS), st.integers(1, 9)).map(lambda one: f"{one[0]}:{one[1]}"),
                 max_size=16, unique=True)
    )  # fmt: skip
    files = Files(gtids, draw(st.sets(st.integers(0, 16), max_size=5)), draw(st.integers(0, 3)))
    wanted = set(draw(st.lists(st.sampled_from(gtids), unique=True))) if gtids else set()
    if draw(st.booleans()):  # what was delivered from this very log
        wanted |= {logged.gtid for logged in files.all[: draw(st.integers(0, len(files.all)))]}
    return files, wanted


def mysql(gtids: object) -> MysqlGtids:
    found = MysqlGtids()
    for gtid in gtids:  # type: ignore[attr-defined]
        found.add(gtid)
    return found


@given(mysql_logs())
def test_mysql(drawn: tuple[Files, set[str]]) -> None:
    files, wanted = drawn
    expected = [logged.gtid for logged in files.all if logged.gtid not in wanted]
    asked: list[str] = []

    def before(file: str) -> MysqlGtids:
        asked.append(file)
        return mysql(files.before[file])

    file = mysql_file(mysql(wanted), list(files.ends), before)
    purged = [logged.gtid for logged in files.all if logged not in files.there]
    assert (file is None) is not (set(purged) <= wanted)
    assert len(asked) <= 4, "by halves"
    if file is not None:
        until = Place(list(files.ends)[-1], list(files.ends.values())[-1])
        passing = MysqlPassOver(mysql(wanted), until)
        assert files.delivered(Place(file, FIRST_POSITION), passing) == expected


class MariadbServer:
    """Gives out GTIDs: each domain counts on, whoever writes; now and then somebody sets gtid_seq_no."""

    def __init__(self) -> None:
        self.counter: dict[int, int] = {}
        self.given: set[str] = set()

    def gtid(self, domain: int, server: int, number: int) -> str | None:
        number = number or self.counter.get(domain, 0) + 1
        gtid = f"{domain}-{server}-{number}"
        if gtid in self.given:
            return None
        self.given.add(gtid)
        self.counter[domain] = max(self.counter.get(domain, 0), number)
        return gtid


@st.composite
def mariadb_logs(draw: st.DrawFn, strict: bool) -> tuple[Files, MariadbGtids, int]:
    numbers = st.just(0) if strict else st.sampled_from([0, 0, 0, 1, 3, 7, 12])
    writes = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), numbers), max_size=16))
    server = MariadbServer()
    gtids = [gtid for write in writes if (gtid := server.gtid(*write))]
    files = Files(gtids, draw(st.sets(st.integers(0, 16), max_size=6)), draw(st.integers(0, 3)))
    delivered = draw(st.integers(0, len(gtids)))
    wanted = MariadbGtids()
    for gtid in gtids[:delivered]:
        wanted.add(gtid)
    return files, wanted, delivered


def state(gtids: list[str]) -> MariadbState:
    return MariadbState.parse(",".join(gtids))


def places(files: Files, wanted: MariadbGtids, unlogged: MariadbGtids | None = None) -> dict[int, Place]:
    def gtids(file: str) -> Iterator[LoggedGtid]:
        for logged in files.there:
            if logged.place.file == file:
                domain, server, number = map(int, logged.gtid.split("-"))
                yield LoggedGtid(domain, server, number, logged.place)

    logs = MariadbLogs(files.ends, lambda file: state(files.before[file]), gtids)
    return mariadb_places(wanted, unlogged or MariadbGtids(), state([logged.gtid for logged in files.all]), logs)


def check(files: Files, found: dict[int, Place], delivered: int) -> None:
    assume(found)
    start = min(found.values(), key=lambda place: place.order)
    expected = [logged.gtid for logged in files.all[delivered:] if logged in files.there]
    assert files.delivered(start, MariadbPassOver(found)) == expected


@given(mariadb_logs(strict=True))
def test_mariadb(drawn: tuple[Files, MariadbGtids, int]) -> None:
    files, wanted, delivered = drawn
    lost = [logged for logged in files.all[delivered:] if logged not in files.there]
    try:
        found = places(files, wanted)
    except PurgedBinlog:
        assert lost, "nothing was purged that is needed"
        event("purged")
        return
    assert not lost
    check(files, found, delivered)


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 5), st.sets(st.integers(0, 11)), st.integers(0, 3))
def test_mariadb_replica_that_did_not_log_what_it_applied(
    own: int, applied: int, since: int, rotations: set[int], purged: int
) -> None:
    """Promoted, it goes on with higher numbers; what it logged before it became a replica has lower ones."""
    last = own + applied
    numbers = [*range(1, own + 1), *range(last + 1, last + since + 1)]
    files = Files([f"0-2-{number}" for number in numbers], rotations, purged)
    wanted = MariadbGtids.parse(f"0-1-{last}")
    lost = [logged for logged in files.all[own:] if logged not in files.there]
    try:
        found = places(files, wanted, wanted)
    except PurgedBinlog:
        assert lost
        return
    assert not lost
    check(files, found, own)


@given(mariadb_logs(strict=False))
def test_mariadb_with_numbers_that_go_backwards(drawn: tuple[Files, MariadbGtids, int]) -> None:
    """Exact, or refused. One thing no server can tell: what came behind the last delivered in logs that are gone, where
    the numbers of its domain went backwards in them; as to MariaDB's own replicas, lower ones count as before."""
    files, wanted, delivered = drawn
    try:
        found = places(files, wanted)
    except (PurgedBinlog, BadPosition) as error:
        event(type(error).__name__)
        return
    for gtid in (logged.gtid for logged in files.all[delivered:] if logged not in files.there):
        event("not told by the lists")
        split = [tuple(map(int, logged.gtid.split("-"))) for logged in files.all if logged not in files.there]
        numbers = [number for domain, _, number in split if domain == int(gtid.split("-")[0])]
        assert any(later <= former for former, later in itertools.pairwise(numbers))
    check(files, found, delivered)
