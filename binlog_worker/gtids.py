"""GTID sets: executed transactions, as MySQL (`uuid[:tag]:1-5:7`) and MariaDB (`domain-server-sequence`) write them.

MySQL: «GTID Sets». MariaDB: «Global Transaction ID»; a MariaDB set names the last transaction of every domain.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right

from schemas.errors import UsageError

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")
_MARIADB = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})")


class GtidSet(ABC):
    """Transactions, told apart by the text of their GTID."""

    @abstractmethod
    def add(self, gtid: str) -> None: ...

    @abstractmethod
    def contains(self, gtid: str) -> bool: ...

    @abstractmethod
    def covers(self, other: GtidSet) -> bool:
        """Whether every transaction of `other` is in this one."""

    @abstractmethod
    def __str__(self) -> str: ...


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

    def covers(self, other: GtidSet) -> bool:
        return isinstance(other, MysqlGtids) and all(
            self._holds(key, *interval) for key, intervals in other.intervals.items() for interval in intervals
        )

    def __str__(self) -> str:
        return ",".join(
            f"{key}:{':'.join(f'{low}-{high}' if low != high else str(low) for low, high in intervals)}"
            for key, intervals in sorted(self.intervals.items())
        )


class MariadbGtids(GtidSet):
    """domain → (server, sequence) of its last transaction. Within a domain the sequence grows."""

    def __init__(self) -> None:
        self.last: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> MariadbGtids:
        """Raises ValueError."""
        found = cls()
        for part in filter(None, (part.strip() for part in text.split(","))):
            found.add(part)
        return found

    def add(self, gtid: str) -> None:
        domain, server, sequence = self._split(gtid)
        if sequence >= self.last.get(domain, (0, 0))[1]:
            self.last[domain] = (server, sequence)

    @staticmethod
    def _split(gtid: str) -> tuple[int, int, int]:
        match = _MARIADB.fullmatch(gtid)
        if match is None:
            raise ValueError(f"not a MariaDB GTID: {gtid[:60]!r}")
        return int(match[1]), int(match[2]), int(match[3])

    def contains(self, gtid: str) -> bool:
        domain, _, sequence = self._split(gtid)
        return sequence <= self.last.get(domain, (0, 0))[1]

    def covers(self, other: GtidSet) -> bool:
        return isinstance(other, MariadbGtids) and all(
            sequence <= self.last.get(domain, (0, 0))[1] for domain, (_, sequence) in other.last.items()
        )

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.last.items()))


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
