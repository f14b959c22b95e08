"""Transactions that a run passes over, because it was started behind a GTID set and they are in it. Pure.

A log is read by position, so a start behind a set is the first place behind which something is not in the set; what is
in it nevertheless follows until the end of the log as it was at the start. A checkpoint within that part keeps it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from binlog_worker.position.gtids import MysqlGtids, split_mariadb
from schemas.checkpoint import Place
from schemas.sequence import binlog_number

_UNTIL = " until "


def _order(place: Place) -> tuple[int, int]:
    return binlog_number(place.file)[1], place.position


def _place(text: str) -> Place:
    file, _, position = text.rpartition(":")
    place = Place(file, int(position))
    _order(place)
    return place


class PassOver(ABC):
    """`until`: nothing at or behind this place is passed over."""

    until: Place

    def is_over(self, place: Place) -> bool:
        return _order(place) >= _order(self.until)

    @abstractmethod
    def holds(self, gtid: str, place: Place) -> bool:
        """Whether the transaction `gtid`, which begins at `place`, is passed over."""

    @abstractmethod
    def __str__(self) -> str:
        """What `parse_pass_over` reads."""


class MysqlPassOver(PassOver):
    """Transactions of a set, wherever they stand: sets have gaps, and those of several servers mix."""

    def __init__(self, gtids: MysqlGtids, until: Place) -> None:
        self.gtids, self.until = gtids, until

    def holds(self, gtid: str, place: Place) -> bool:
        return self.gtids.contains(gtid)

    def __str__(self) -> str:
        return f"{self.gtids}{_UNTIL}{self.until}"


class MariadbPassOver(PassOver):
    """Of each domain what stands before a place: a MariaDB position is the last of each domain, in the log's order."""

    def __init__(self, places: Mapping[int, Place]) -> None:
        self.places = {domain: _order(place) for domain, place in places.items()}
        self.until = max(places.values(), key=_order)
        self._text = ",".join(f"{domain}{_UNTIL}{place}" for domain, place in sorted(places.items()))

    def holds(self, gtid: str, place: Place) -> bool:
        return _order(place) < self.places.get(split_mariadb(gtid)[0], (0, 0))

    def __str__(self) -> str:
        return self._text


def parse_pass_over(text: str, flavor: str) -> PassOver:
    """The inverse of `str`. Raises ValueError."""
    if flavor == "mysql":
        gtids, _, until = text.rpartition(_UNTIL)
        return MysqlPassOver(MysqlGtids.parse(gtids), _place(until))
    parts = (part.partition(_UNTIL) for part in text.split(","))
    return MariadbPassOver({int(domain): _place(place) for domain, _, place in parts})
