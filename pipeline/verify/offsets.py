"""Time zones as SQL that needs none of the server's zone tables, which are usually empty: a zone's offsets as a tree of
comparisons with literals."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

UTC = dt.timezone.utc
FIRST, LAST = dt.datetime(1900, 1, 1, tzinfo=UTC), dt.datetime(2200, 1, 1, tzinfo=UTC)


class Transition(NamedTuple):
    """From `at` on (UTC, without zone) the clock is `after` seconds east of UTC; `before` it was so many."""

    at: dt.datetime
    before: int
    after: int


class Leaf(NamedTuple):
    """What holds up to `until` (None: for ever): so many seconds to add, or one instant for all."""

    until: dt.datetime | None
    seconds: int
    fixed: dt.datetime | None = None


@functools.lru_cache(16)
def transitions(zone: str) -> tuple[Transition, ...]:
    """Every change of a zone's offset between 1900 and 2200, found to the second."""
    local = ZoneInfo(zone)

    def offset(at: dt.datetime) -> int:
        found = at.astimezone(local).utcoffset()
        return int(found.total_seconds()) if found is not None else 0

    found, day = [], FIRST
    known = offset(day)
    while day < LAST:
        following = day + dt.timedelta(days=1)
        if (new := offset(following)) != known:
            low, high = day, following
            while high - low > dt.timedelta(seconds=1):
                middle = low + dt.timedelta(seconds=(high - low) // dt.timedelta(seconds=2))
                low, high = (middle, high) if offset(middle) == known else (low, middle)
            found.append(Transition(high.replace(tzinfo=None), known, new))
            known = new
        day = following
    return tuple(found)


class Period(NamedTuple):
    """The times that there are, without zone; beyond them an expression may be wrong, and all the shorter."""

    first: dt.datetime = FIRST.replace(tzinfo=None)
    last: dt.datetime = LAST.replace(tzinfo=None)

    def changes(self, zone: str) -> tuple[list[Transition], int]:
        """Those of the zone's clock, and the offset after the last of them."""
        day = dt.timedelta(days=2)  # more than any offset, on either side
        found = [change for change in transitions(zone) if self.first - day <= change.at <= self.last + day]
        offset = self.last.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() or dt.timedelta()
        return found, found[-1].after if found else int(offset.total_seconds())


def to_local(utc: str, zone: str, period: Period) -> str:
    """SQL: what a clock in `zone` shows at an instant, given as SQL of a time in UTC."""
    changes, last = period.changes(zone)
    return _tree(utc, [*(Leaf(change.at, change.before) for change in changes), Leaf(None, last)])


def to_utc(wall: str, zone: str, period: Period) -> str:
    """SQL: the instant, in UTC, of a wall-clock time in `zone`. As the pipeline takes it: a time that the clock skipped
    is the first instant after the gap, one that it showed twice the first of the two."""
    leaves = []
    changes, last = period.changes(zone)
    for change in changes:
        until = change.at + dt.timedelta(seconds=change.before)
        leaves.append(Leaf(until, -change.before))
        if change.after > change.before:
            leaves.append(Leaf(change.at + dt.timedelta(seconds=change.after), 0, change.at))
    return _tree(wall, [*leaves, Leaf(None, -last)])


def _tree(time: str, leaves: Sequence[Leaf]) -> str:
    if len(leaves) == 1:
        (leaf,) = leaves
        if leaf.fixed is not None:
            return _literal(leaf.fixed)
        return f"({time} + INTERVAL {leaf.seconds} SECOND)"
    half = len(leaves) // 2
    until = leaves[half - 1].until
    assert until is not None
    return f"IF({time} < {_literal(until)}, {_tree(time, leaves[:half])}, {_tree(time, leaves[half:])})"


def _literal(at: dt.datetime) -> str:
    return f"TIMESTAMP'{at:%Y-%m-%d %H:%M:%S}'"
