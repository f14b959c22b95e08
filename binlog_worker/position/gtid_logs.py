"""Where in a server's logs the transactions begin that are not in a GTID set. Pure: the logs come in as functions.

Each file begins with what is logged in the files before it: MySQL's Previous_gtids, a set; MariaDB's Gtid_list, the
last number of each server in each domain. Both only grow, so files are searched by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from binlog_worker.position.gtids import MariadbGtids, MariadbState, MysqlGtids
from schemas.checkpoint import Place
from schemas.errors import BadPosition, PurgedBinlog

FIRST_POSITION = 4
"""Behind the magic number of a binlog file."""


class LoggedGtid(NamedTuple):
    """A MariaDB transaction in a file: its GTID, and where it begins."""

    domain: int
    server: int
    number: int
    place: Place


class MariadbLogs(NamedTuple):
    """`ends`: file → its size, oldest first; `before`: file → what is logged before it; `gtids`: file → its
    transactions in order, up to that size."""

    ends: dict[str, int]
    before: Callable[[str], MariadbState]
    gtids: Callable[[str], Iterable[LoggedGtid]]


def newest(count: int, holds: Callable[[int], bool]) -> int:
    """The highest index below `count` at which `holds` is true, as it is below that and nowhere above; -1: nowhere."""
    low, high = -1, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def mysql_file(wanted: MysqlGtids, files: Sequence[str], before: Callable[[str], MysqlGtids]) -> str | None:
    """The newest file before which only transactions of `wanted` are."""
    found = newest(len(files), lambda index: wanted.covers(before(files[index])))
    return files[found] if found >= 0 else None


def mariadb_places(
    wanted: MariadbGtids, unlogged: MariadbGtids, domains: Iterable[int], logs: MariadbLogs
) -> dict[int, Place]:
    """Domain → the place at and behind which its transactions follow the one in `wanted`.

    `domains` are all of the log. `unlogged` are those of `wanted` that the server has applied but not logged: what it
    logged of its own behind them has higher numbers. Raises PurgedBinlog, BadPosition.
    """
    return {
        domain: _Domain(domain, logs).place(wanted.last.get(domain), domain in unlogged.last)
        for domain in sorted({*domains, *wanted.last})
    }


class _Domain:
    def __init__(self, domain: int, logs: MariadbLogs) -> None:
        self._domain, self._logs, self._files = domain, logs, list(logs.ends)

    def place(self, last: tuple[int, int] | None, unlogged: bool) -> Place:
        if last is None:
            index = self._newest(lambda servers: not servers)
            return self._start(index) if index >= 0 else self._purged("all of it")
        server, number = last
        if unlogged:
            index = self._newest(lambda servers: max(servers.values(), default=0) < number)
            return self._first_above(index, number) if index >= 0 else self._purged(f"what follows {number}")
        index = self._newest(lambda servers: servers.get(server, 0) < number)
        if index < 0:
            if self._logs.before(self._files[0]).goes_on(self._domain, server, number):
                return self._purged(f"what follows {self._domain}-{server}-{number}")
            return self._unchanged_since(0)
        behind, follows = self._behind(index, server, number)
        return behind if follows or index + 1 == len(self._files) else self._unchanged_since(index + 1)

    def _before(self, index: int) -> dict[int, int]:
        return self._logs.before(self._files[index]).get(self._domain, {})

    def _newest(self, holds: Callable[[dict[int, int]], bool]) -> int:
        return newest(len(self._files), lambda index: holds(self._before(index)))

    def _start(self, index: int) -> Place:
        return Place(self._files[index], FIRST_POSITION)

    def _unchanged_since(self, index: int) -> Place:
        """The start of the newest file up to which the domain was not used since file `index` began: one that rests
        holds nobody back."""
        servers, count = self._before(index), len(self._files) - index
        return self._start(index + newest(count, lambda more: self._before(index + more) == servers))

    def _behind(self, index: int, server: int, number: int) -> tuple[Place, bool]:
        """Where the transaction server-number of a file ends; whether another of the domain follows there."""
        wanted = (self._domain, server, number)
        behind, seen = None, False
        for gtid in self._logs.gtids(self._files[index]):
            if seen:
                behind = behind or gtid.place
                if gtid.domain == self._domain:
                    return behind, True
            seen = seen or gtid[:3] == wanted
        if not seen:
            raise BadPosition(
                f"--from: {self._domain}-{server}-{number} is not in {self._files[index]}, where its number belongs",
                hint="numbers of one server went backwards (gtid_seq_no, gtid_strict_mode=OFF): give FILE:POSITION",
            )
        return behind or Place(self._files[index], self._logs.ends[self._files[index]]), False

    def _first_above(self, index: int, number: int) -> Place:
        file = self._files[index]
        above = (gtid.place for gtid in self._logs.gtids(file) if gtid.domain == self._domain and gtid.number > number)
        return next(iter(above), Place(file, self._logs.ends[file]))

    def _purged(self, what: str) -> Place:
        raise PurgedBinlog(
            f"--from: of domain {self._domain}, {what} is in logs that the server no longer has",
            hint=f"its oldest log is {self._files[0]}: start there with --from earliest; what was before is lost",
        )
