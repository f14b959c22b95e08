"""GTID sets: executed transactions, as MySQL (`uuid[:tag]:1-5:7`) and MariaDB (`domain-server-sequence`) write them.

MySQL: «GTID Sets». MariaDB: «Global Transaction ID»; a MariaDB set names the last transaction of every domain, in the
order of the log: numbers need not grow in it (gtid_strict_mode=OFF), so no number says what was before it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right

from schemas.checkpoint import Place
from schemas.errors import UsageError

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")
_MARIADB = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})")


class GtidSet(ABC):
    """What has been read of a log, transaction by transaction, each named by the text of its GTID."""

    @abstractmethod
    def add(self, gtid: str) -> None:
        """The transaction that was committed next."""

    @abstractmethod
    def add_run(self, key: str, low: int, high: int) -> None:
        """The transactions `key` followed by each number from `low` to `high`, committed in this order."""

    @abstractmethod
    def __str__(self) -> str: ...

    def at(self, place: Place) -> str:
        """All transactions below `place`, up to which the log has been read; empty where they are not known yet."""
        return str(self)


class MysqlGtids(GtidSet):
    """uuid or uuid:tag → sorted disjoint intervals, both ends inclusive. A gap stays a gap."""

    def __init__(self) -> None:
        self.intervals: dict[str, list[tuple[int, int]]] = {}

    @classmethod
    def parse(cls, text: str) -> MysqlGtids:
        """Raises ValueError."""
        found = cls()
        for part in filter(None, (part.strip().lower() for part in text.replace("\n", "").split(","))):
            uuid, *rest = part.split(":")
            if not _UUID.fullmatch(uuid) or not rest:
                raise ValueError(f"not a GTID set: {part[:80]!r}")
            key = uuid
            for item in (item.strip() for item in rest):
                match = _INTERVAL.fullmatch(item)
                if match:
                    low, high = int(match[1]), int(match[2] or match[1])
                    if not 1 <= low <= high:
                        raise ValueError(f"not a GTID interval: {item!r}")
                    found._add(key, low, high)
                elif _TAG.fullmatch(item):
                    key = f"{uuid}:{item}"
                else:
                    raise ValueError(f"not a GTID interval: {item[:40]!r}")
        return found

    def add(self, gtid: str) -> None:
        key, _, number = gtid.rpartition(":")
        self._add(key, int(number), int(number))

    def add_run(self, key: str, low: int, high: int) -> None:
        self._add(key[:-1], low, high)

    def _add(self, key: str, low: int, high: int) -> None:
        intervals = self.intervals.setdefault(key, [])
        if intervals and intervals[-1][1] + 1 == low:
            intervals[-1] = (intervals[-1][0], high)
            return
        merged: list[tuple[int, int]] = []
        for start, end in sorted([*intervals, (low, high)]):
            if merged and start <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        self.intervals[key] = merged

    def contains(self, gtid: str) -> bool:
        key, _, number = gtid.rpartition(":")
        return number.isdigit() and self._holds(key, int(number), int(number))

    def _holds(self, key: str, low: int, high: int) -> bool:
        intervals = self.intervals.get(key, [])
        index = bisect_right(intervals, (low, 2**64)) - 1
        return index >= 0 and intervals[index][0] <= low and high <= intervals[index][1]

    def covers(self, other: MysqlGtids) -> bool:
        """Whether every transaction of `other` is in this one."""
        return all(self._holds(key, *interval) for key, intervals in other.intervals.items() for interval in intervals)

    def without(self, other: MysqlGtids) -> MysqlGtids:
        """The transactions that are not in `other`."""
        left = MysqlGtids()
        for key, intervals in self.intervals.items():
            taken = other.intervals.get(key, [])
            for low, high in intervals:
                for start, end in taken:
                    if low <= end and start <= high:
                        if low < start:
                            left._add(key, low, start - 1)
                        low = end + 1
                if low <= high:
                    left._add(key, low, high)
        return left

    def __str__(self) -> str:
        return ",".join(
            f"{key}:{':'.join(f'{low}-{high}' if low != high else str(low) for low, high in intervals)}"
            for key, intervals in sorted(self.intervals.items())
        )


class MysqlGtidsSince(MysqlGtids):
    """What has been read from a start in the middle of a log, where nobody says what is below. But all that was
    executed later, at a time when everything below the start was, is known to be below `until`."""

    def __init__(self, executed: MysqlGtids, until: Place) -> None:
        super().__init__()
        self._executed, self._until = executed, until

    def at(self, place: Place) -> str:
        if place.order < self._until.order:
            return ""
        for key, intervals in self._executed.intervals.items():
            for low, high in intervals:
                self._add(key, low, high)
        self._executed = MysqlGtids()
        return str(self)


class MariadbGtids(GtidSet):
    """domain → (server, number) of its last transaction."""

    def __init__(self) -> None:
        self.last: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> MariadbGtids:
        """Raises ValueError."""
        found = cls()
        for part in filter(None, (part.strip() for part in text.split(","))):
            if split_mariadb(part)[0] in found.last:
                raise ValueError(f"names domain {split_mariadb(part)[0]} twice")
            found.add(part)
        return found

    def add(self, gtid: str) -> None:
        domain, server, number = split_mariadb(gtid)
        self.last[domain] = (server, number)

    def add_run(self, key: str, low: int, high: int) -> None:
        self.add(f"{key}{high}")

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.last.items()))


class MariadbState(dict[int, dict[int, int]]):
    """domain → server → its last number: what a MariaDB log keeps of itself (Gtid_list, gtid_binlog_state).

    Trap: which of the servers was the last is not told (10.11 lists them by number, whatever was logged last).
    """

    @classmethod
    def parse(cls, text: str) -> MariadbState:
        """Raises ValueError."""
        found = cls()
        for part in filter(None, (part.strip() for part in text.split(","))):
            domain, server, number = split_mariadb(part)
            found.setdefault(domain, {})[server] = number
        return found

    def highest(self, domain: int) -> int:
        return max(self.get(domain, {}).values(), default=0)

    def goes_on(self, domain: int, server: int, number: int) -> bool:
        """Whether something of the domain stands behind server-number, as long as its numbers grow."""
        servers = self.get(domain, {})
        return any(found > number or (found == number and other != server) for other, found in servers.items())


def split_mariadb(gtid: str) -> tuple[int, int, int]:
    """Domain, server, number. Raises ValueError."""
    match = _MARIADB.fullmatch(gtid)
    if match is None:
        raise ValueError(f"not a MariaDB GTID: {gtid[:60]!r}")
    return int(match[1]), int(match[2]), int(match[3])


def parse_gtids(text: str, flavor: str) -> GtidSet:
    """`flavor` is that of `schemas.source.Server`. Raises ValueError."""
    return MariadbGtids.parse(text) if flavor == "mariadb" else MysqlGtids.parse(text)


def parse_from_gtids(text: str, flavor: str) -> GtidSet:
    """A GTID set given to --from. Raises UsageError."""
    try:
        found = parse_gtids(text, flavor)
    except ValueError as error:
        raise UsageError(
            f"--from {text[:80]}: {error}", hint="give earliest, now, FILE:POSITION or a GTID set of this server"
        ) from error
    if not str(found):
        raise UsageError("--from: the GTID set is empty", hint="give --from earliest")
    return found
