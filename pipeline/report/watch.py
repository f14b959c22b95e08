"""Follows the warehouse for a live page: rolls up when something was written, and publishes what changed.

What fails is tried again for ever; meanwhile the page keeps its figures and says since when they do not move.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pipeline.report import problems
from pipeline.report.document import Document, Problem
from pipeline.report.figures import empty_document, read_document, with_freshness
from pipeline.report.freshness import freshness_now
from pipeline.report.publication import Feed
from pipeline.report.rolled_up import RolledUp, last_rollup, present_mark
from pipeline.report.turns import Turns
from pipeline.rollup import rollup
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from schemas.errors import LtvError

LOG = logging.getLogger(__name__)
RESTS = 3.0
"""Times as long as a rollup took, nothing is rolled up after it: it never takes more than a fourth of the time."""

FRESHNESS_S = 30.0
"""How often the page learns how far the stream is while nothing else changes."""


@dataclass
class Pace:
    """When the next rollup may be; times of a monotonic clock."""

    next_at: float = 0.0

    def done(self, began: float, ended: float) -> None:
        self.next_at = ended + RESTS * (ended - began)


def is_due(last: RolledUp | None, mark: str | None, today: dt.date) -> bool:
    """Whether a rollup would show anything else: of entries, or of a new day. `mark` None: there are no entries."""
    if mark is None:
        return False
    return last is None or mark != last.entries_mark or last.as_of < today


@dataclass
class Watch:
    """`every`: seconds between two looks. `shows_orders`: customers' ids may be on the page."""

    config: ShopConfig
    turns: Turns
    feed: Feed
    every: float
    rolls_up: bool = True
    shows_orders: bool = True
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.timezone.utc))

    def __post_init__(self) -> None:
        self._pace = Pace()
        self._shown: RolledUp | None = None
        self._document: Document | None = None
        self._freshness_at = 0.0
        self._failing_since: dt.datetime | None = None

    def follow(self, stop: threading.Event) -> None:
        """Until `stop` is set. Raises only what is no LtvError."""
        while not stop.is_set():
            began = time.monotonic()
            self.look()
            stop.wait(max(0.05, began + self.every - time.monotonic()))

    def look(self) -> None:
        """Once: roll up where it is due, publish where something is new."""
        failure = None
        try:
            failure = self._refresh()
        except LtvError as error:
            failure = error
        shown = self._document or empty_document(self.config, self.clock(), [], is_live=True)
        if failure is not None:
            shown = {**shown, "problems": [self._failed(failure), *shown["problems"]]}
        elif self._failing_since is not None:
            LOG.warning("the warehouse can be read again")
            self._failing_since = None
        self.feed.publish(shown)

    def _refresh(self) -> LtvError | None:
        """Reads what is new. Why the rollup failed, if it did: what is there is shown all the same."""
        with self.turns.warehouse() as warehouse:
            last, mark = last_rollup(warehouse), present_mark(warehouse)
            due = self.rolls_up and is_due(last, mark, self._today()) and time.monotonic() >= self._pace.next_at
            if not due:
                self._read(warehouse, last, mark)
                return None
        failure = self._roll_up()
        with self.turns.warehouse() as warehouse:
            self._read(warehouse, last_rollup(warehouse), present_mark(warehouse))
        return failure

    def _roll_up(self) -> LtvError | None:
        began = time.monotonic()
        try:
            with self.turns.warehouse(writing=True) as warehouse:
                rollup(warehouse, self.config, self._today())
        except LtvError as error:
            return error
        finally:
            self._pace.done(began, time.monotonic())
        return None

    def _read(self, warehouse: Warehouse, last: RolledUp | None, mark: str | None) -> None:
        if self._document is None or last is None or last != self._shown:
            orders = None if self.shows_orders else 0
            self._document = read_document(warehouse, self.config, self.clock(), orders_per_cell=orders, is_live=True)
            self._shown = last
        freshness = self._document["freshness"]
        if last is None or freshness is None:
            return
        if self.rolls_up and time.monotonic() - self._freshness_at >= FRESHNESS_S:
            self._freshness_at = time.monotonic()
            freshness = freshness_now(warehouse, last, False) or freshness
        # What is about to be rolled up is not called late.
        is_stale = not self.rolls_up and mark is not None and mark != last.entries_mark
        self._document = with_freshness(self._document, {**freshness, "is_stale": is_stale}, self.config, self.clock())

    def _failed(self, error: LtvError) -> Problem:
        if self._failing_since is None:
            self._failing_since = self.clock()
            LOG.warning("the page stands still: %s", error, extra={"hint": error.hint})
        return problems.unreadable(error, self._failing_since)

    def _today(self) -> dt.date:
        return self.clock().astimezone(ZoneInfo(self.config.time_zone)).date()
