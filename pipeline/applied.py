"""Applied up to: how far into the source everything has reached the warehouse.

A worker numbers the messages of a run without gaps, and each message's arrival is written together with its rows. The
end of the gap-free prefix of the numbers is therefore a place below which nothing of that run is missing; and nothing
of the runs before it, once they have arrived up to the message after which it began.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.warehouse import Warehouse

ARRIVALS = """
WITH ordered AS (
  SELECT *, MAX(through) OVER (PARTITION BY run ORDER BY number, through
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM raw.arrivals
),
islands AS (
  SELECT *, SUM(IF(before IS NULL OR number > before + 1, 1, 0))
    OVER (PARTITION BY run ORDER BY number, through ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS island
  FROM ordered
)
SELECT run, MAX(source) AS source, MIN(number) AS number, MAX(through) AS through, MAX(after_run) AS after_run,
  MAX(after_number) AS after_number, MAX(last_sequence) AS last_sequence, MAX(committed_at) AS committed_at,
  MAX(received_at) AS received_at
FROM islands
GROUP BY run, island
"""
"""What has arrived without gaps, a row each: BigQuery keeps a row a message."""

FORGOTTEN = dt.timedelta(days=7)
"""How long a run that has ended is remembered: as long as Pub/Sub keeps what nobody acknowledged."""


@dataclass(frozen=True)
class ArrivalRow:
    """Messages `number` to `through` of a run, as `raw.arrivals` keeps them."""

    run: str
    number: int
    through: int
    after_run: str
    after_number: int
    last_sequence: str
    committed_at: dt.datetime
    received_at: dt.datetime
    source: str = ""


@dataclass(frozen=True)
class AppliedUpTo:
    """The gap-free prefix of one run: its last message, and the place and time at the source that it reached.

    `gap`: later messages have arrived, but not all of those before. `whole`: the runs before it have arrived as far as
    it needs, so that everything below `last_sequence` is applied.
    """

    run: str
    through: int
    last_sequence: str
    committed_at: dt.datetime
    gap: bool
    whole: bool


def applied_up_to(arrivals: Iterable[ArrivalRow], now: dt.datetime) -> dict[str, AppliedUpTo]:
    """Run → its gap-free prefix. A run whose first message has not arrived has none."""
    runs: dict[str, list[ArrivalRow]] = {}
    for arrival in arrivals:
        runs.setdefault(arrival.run, []).append(arrival)
    prefixes = {run: _prefix(rows) for run, rows in runs.items()}

    def whole(run: str) -> bool:
        seen = set()
        while run not in seen:
            seen.add(run)
            row = runs[run][0]
            if not row.after_run or row.after_number == 0:
                return True
            before = prefixes.get(row.after_run)
            if before is None:
                return row.after_run not in runs and max(r.received_at for r in runs[run]) < now - FORGOTTEN
            if before[0] < row.after_number:
                return False
            run = row.after_run
        return False

    return {
        run: AppliedUpTo(run, prefix[0], prefix[1], prefix[2], prefix[3], whole(run))
        for run, prefix in prefixes.items()
        if prefix is not None
    }


def _prefix(rows: list[ArrivalRow]) -> tuple[int, str, dt.datetime, bool] | None:
    through, sequence, committed = 0, "", None
    for row in sorted(rows, key=lambda row: (row.number, row.through)):
        if row.number > through + 1:
            return None if committed is None else (through, sequence, committed, True)
        through = max(through, row.through)
        sequence = max(sequence, row.last_sequence)
        committed = row.committed_at if committed is None else max(committed, row.committed_at)
    return None if committed is None else (through, sequence, committed, False)


def newest_applied(warehouse: Warehouse, now: dt.datetime) -> str:
    """The highest sequence number below which everything is applied, or ""."""
    with warehouse.query(ARRIVALS) as reader:
        rows = [ArrivalRow(**row) for batch in reader for row in batch.to_pylist()]
    applied = applied_up_to(rows, now).values()
    return max((run.last_sequence for run in applied if run.whole), default="")
