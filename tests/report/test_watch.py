"""When the live page rolls up, what it publishes, and that it does not let go of what it has."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from pipeline.report import watch as watching
from pipeline.report.figures import empty_document
from pipeline.report.publication import MOST_LISTENERS, Feed
from pipeline.report.rolled_up import RolledUp
from pipeline.report.turns import Turns
from pipeline.report.watch import Pace, Watch, is_due
from pipeline.session import Statement
from tests.builders import shop as shop_config
from tests.report.serving import ServedShop, revenue

NOW = dt.datetime(2022, 4, 15, 10, 0, tzinfo=dt.timezone.utc)
TODAY = NOW.date()
ROLLED_UP = RolledUp(TODAY, NOW, "7 marks")


@pytest.mark.parametrize(
    ("last", "mark", "today", "due"),
    [
        (None, None, TODAY, False),
        (None, "7 marks", TODAY, True),
        (ROLLED_UP, "7 marks", TODAY, False),
        (ROLLED_UP, "8 marks", TODAY, True),
        (ROLLED_UP, "7 marks", TODAY + dt.timedelta(days=1), True),
        (ROLLED_UP, "7 marks", TODAY - dt.timedelta(days=1), False),
        (ROLLED_UP, None, TODAY, False),
    ],
)
def test_a_rollup_is_due_when_it_would_show_something_else(
    last: RolledUp | None, mark: str | None, today: dt.date, due: bool
) -> None:
    assert is_due(last, mark, today) is due


def test_rollups_take_no_more_than_a_fourth_of_the_time() -> None:
    pace = Pace()
    pace.done(100.0, 102.5)
    assert pace.next_at == 110.0
    assert (102.5 - 100.0) / (pace.next_at - 100.0) == 0.25


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


class Watched:
    """A watch whose looks are taken by hand."""

    def __init__(self, folder: Path, *, rolls_up: bool = True) -> None:
        self.shop = ServedShop(folder)
        self.clock = Clock()
        self.feed = Feed(empty_document(self.shop.config, NOW, [], is_live=True))
        self.turns = Turns(self.shop.config)
        self.watch = Watch(self.shop.config, self.turns, self.feed, 1.0, rolls_up, clock=self.clock)

    def looks(self) -> str:
        """The tag of what is published after a look."""
        self.watch.look()
        return self.feed.present.etag


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(watching, "RESTS", 0.0)
    return Watched(tmp_path)


def test_nothing_is_published_twice(watched: Watched) -> None:
    first = watched.looks()
    assert revenue(watched.feed.present.document) == "230"
    made = watched.feed.present
    assert watched.looks() == first
    assert watched.feed.present is made
    watched.shop.write("order 8 2022-03-01 1 1")
    assert watched.looks() != first
    assert revenue(watched.feed.present.document) == "231"


def test_the_rest_after_a_rollup_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "RESTS", 1e6)
    watched = Watched(tmp_path)
    watched.looks()
    watched.shop.write("order 8 2022-03-01 1 1")
    for _ in range(3):
        watched.looks()
    document = watched.feed.present.document
    assert revenue(document) == "230"
    assert document["problems"] == [], "what is about to be rolled up is no problem"


def test_a_new_day_is_rolled_up(watched: Watched) -> None:
    watched.looks()
    watched.clock.now += dt.timedelta(days=1)
    watched.looks()
    assert watched.feed.present.document["as_of"] == "2022-04-16"


def test_how_far_the_stream_is_moves_while_nobody_buys(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    first = watched.looks()
    with watched.shop.opened() as warehouse:
        warehouse.session.run(
            [
                Statement(
                    "INSERT INTO raw.arrivals SELECT 's', 'r', 1, 1, '', 0, '0001/00000001/0000000000000001/00000000',"
                    " TIMESTAMPTZ '2022-04-15 09:59:00Z', TIMESTAMPTZ '2022-04-15 09:59:01Z'"
                ),
                Statement("INSERT INTO raw.arrivals SELECT 's', 'r', 3, 3, '', 0, '0001/00000001/9', now(), now()"),
            ]
        )
    assert watched.looks() == first, "not at every look"
    monkeypatch.setattr(watching, "FRESHNESS_S", 0.0)
    assert watched.looks() != first
    document = watched.feed.present.document
    assert document["freshness"] and document["freshness"]["applied_at"] == "2022-04-15T09:59:00Z"
    assert document["freshness"]["gaps"] == 1
    assert any("not all before them" in problem["text"] for problem in document["problems"])
    assert revenue(document) == "230"
    with watched.shop.opened() as warehouse:
        warehouse.session.run([Statement("DELETE FROM raw.arrivals")])
    watched.looks()
    assert watched.feed.present.document["problems"] == []


def test_other_settings_are_said_and_the_figures_stay(watched: Watched) -> None:
    watched.looks()
    others = shop_config(warehouse=f"duckdb:{watched.shop.path}", time_zone="UTC")
    watch = Watch(others, watched.turns, watched.feed, 1.0, clock=watched.clock)
    watched.shop.write("order 8 2022-03-01 1 1")
    watch.look()
    tag = watched.feed.present.etag
    document = watched.feed.present.document
    assert revenue(document) == "230"
    assert "derived with other settings" in document["problems"][0]["text"]
    watched.clock.now += dt.timedelta(minutes=5)
    watch.look()
    assert watched.feed.present.etag == tag, "it says since when, not a moment later each time"


def test_what_was_not_foreseen_ends_it(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "read_document", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        watched.looks()


def test_listeners_are_bounded_and_woken() -> None:
    feed = Feed(empty_document(shop_config(), NOW, []))

    async def listen() -> None:
        events = [feed.listen() for _ in range(MOST_LISTENERS)]
        assert all(events) and feed.listen() is None
        assert feed.publish(empty_document(shop_config(name="other"), NOW, []))
        for event in events:
            assert event is not None
            await asyncio.wait_for(event.wait(), 10)
            feed.leave(event)
        assert feed.listen() is not None

    asyncio.run(listen())


def test_the_moment_alone_is_no_news() -> None:
    feed = Feed(empty_document(shop_config(), NOW, []))
    assert not feed.publish(empty_document(shop_config(), NOW + dt.timedelta(seconds=5), []))
