"""XA transactions among others, in any order, with a restart anywhere: the same changes in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.reader import Reader
from binlog_worker.sinks.packer import Changes
from binlog_worker.sinks.sink import Mark
from binlog_worker.xa.prepared import PreparedTransactions
from binlog_worker.xa.spool import Spool
from schemas.checkpoint import Checkpoint, Identity, Place, PreparedXa, parse_checkpoint
from tests.builders import shop
from tests.past_logs import RecordedLogs
from tests.written_log import ITEMS, UNWANTED, WrittenLog

CONFIG = shop(mirror=["shop.items"])
NAMES = "pqrs"
STEPS = st.one_of(
    st.tuples(st.just("ordinary"), st.integers(0, 3)),
    st.tuples(st.just("one phase"), st.integers(0, 3)),
    st.tuples(st.sampled_from(NAMES), st.integers(0, 4)),
    st.tuples(st.sampled_from(["commit", "rollback"]), st.sampled_from(NAMES)),
    st.tuples(st.just("rotate"), st.just(0)),
)


class Written(NamedTuple):
    """`expected` are the inserted ids by the number of the step at which they became true; `starts` the places between
    the steps."""

    log: WrittenLog
    expected: list[list[int]]
    starts: list[Place]


def write(flavor: str, steps: Sequence[tuple[str, Any]]) -> Written:
    log = WrittenLog(flavor)
    prepared: dict[str, list[int]] = {}
    expected, starts = [], []
    row = 0
    for step, what in steps:
        starts.append(Place(log.file, log.position))
        made: list[int] = []
        if step == "rotate":
            log.rotate()
        elif step in ("commit", "rollback"):
            if what in prepared:
                log.end(what, step.upper())
                rows = prepared.pop(what)
                made = rows if step == "commit" else []
        elif step not in prepared:
            ids = list(range(row, row + 2 * what))
            row += len(ids)
            statements = [(ITEMS, ids[:what]), (UNWANTED, range(2)), (ITEMS, ids[what:])] if what else []
            if step == "ordinary":
                log.ordinary(*statements)
                made = ids
            elif step == "one phase":
                log.prepare("o", *statements, one_phase=True)
                made = ids
            else:
                log.prepare(step, *statements)
                prepared[step] = ids
        expected.append(made)
    return Written(log, expected, starts)


def stored(mark: Mark) -> Mark:
    """As it comes back from a checkpoint."""
    checkpoint = Checkpoint(Identity("1", "b"), 1, mark.place, prepared=mark.prepared)
    back = parse_checkpoint(checkpoint.dump(), "here")
    return mark._replace(place=back.place, prepared=back.prepared)


class Follower:
    """What runs of the worker make of a log; `restarts` says after how many events or changes each run ends."""

    def __init__(self, written: WrittenLog, place: Place, budget: int) -> None:
        self.log, self.place, self.budget = written, place, budget
        self.prepared: tuple[PreparedXa, ...] = ()
        self.lines: list[tuple[str, int]] = []

    def reader(self) -> Reader:
        prepared = PreparedTransactions(
            self.place, RecordedLogs(self.log.files), self.prepared, Spool(self.budget, most_files=1)
        )
        writer = ChangeWriter(Origin(self.log.flavor, "shop", 1))
        return Reader(CONFIG, writer, self.place, {}, prepared)

    def run(self, restarts: Sequence[tuple[int, bool]] = ()) -> list[tuple[str, int]]:
        left = list(restarts)
        reader = self.reader()
        while not self._run(reader, left.pop(0)[0] if left else -1):
            if left and left[0][1]:
                mark = stored(reader.mark(0))
                self.place, self.prepared = mark.place, mark.prepared
                reader = self.reader()
        return self.lines

    def _run(self, reader: Reader, steps: int) -> bool:
        """False where it was cut off after so many steps."""
        place = reader.restart()
        for event in self.log.after(place.file, place.position):
            for changes in reader.feed(event):
                assert isinstance(changes, Changes)
                ids = [orjson.loads(line)["after"]["id"] for line in changes.lines]
                self.lines += [(changes.sequence(index), found) for index, found in enumerate(ids)]
                steps -= 1
                if steps == 0:
                    return False
            steps -= 1
            if steps == 0:
                return False
        return True


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["mysql", "mariadb"]),
    st.lists(STEPS, min_size=1, max_size=14),
    st.integers(0, 13),
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=6),
    st.sampled_from([0, 700, 1_000_000]),
)
def test_any_interleaving_start_and_restart(
    flavor: str, steps: list[tuple[str, Any]], start: int, restarts: list[tuple[int, bool]], budget: int
) -> None:
    written = write(flavor, steps)
    start = min(start, len(steps) - 1)
    expected = [row for made in written.expected[start:] for row in made]
    whole = Follower(written.log, written.starts[start], 1_000_000).run()
    assert [row for _, row in whole] == expected
    assert [sequence for sequence, _ in whole] == sorted({sequence for sequence, _ in whole})
    assert Follower(written.log, written.starts[start], budget).run(restarts) == whole
