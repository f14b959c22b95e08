"""Applied up to: how far into the source everything has reached the warehouse.

A worker numbers the messages of a run without gaps, and each message's arrival is written together with its rows. The
end of the gap-free prefix of the numbers is therefore a position below which nothing is missing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.warehouse import Warehouse

ARRIVALS = "SELECT source, run, number, through, last_sequence, committed_at, received_at FROM raw.arrivals"


@dataclass(frozen=True)
class ArrivalRow:
    """Messages `number` to `through` of a run, as `raw.arrivals` keeps them."""

    source: str
    run: str
    number: int
    through: int
    last_sequence: str
    committed_at: dt.datetime
    received_at: dt.datetime


@dataclass(frozen=True)
class AppliedUpTo:
    """The gap-free prefix of one run: its last message, and the place and time at the source that it reached."""

    run: str
    through: int
    last_sequence: str
    committed_at: dt.datetime
    gap: bool  # later messages have arrived, but not all of those before


def applied_up_to(arrivals: Iterable[ArrivalRow]) -> dict[str, AppliedUpTo]:
    """Run → its gap-free prefix. A run whose first message is missing has none."""
    runs: dict[str, list[ArrivalRow]] = {}
    for arrival in arrivals:
        runs.setdefault(arrival.run, []).append(arrival)
    found = {}
    for run, rows in runs.items():
        through, sequence, committed = 0, "", None
        gap = False
        for row in sorted(rows, key=lambda row: (row.number, row.through)):
            if row.number > through + 1:
                gap = True
                break
            through = max(through, row.through)
            sequence = max(sequence, row.last_sequence)
            committed = row.committed_at if committed is None else max(committed, row.committed_at)
        if committed is not None:
            found[run] = AppliedUpTo(run, through, sequence, committed, gap)
    return found


def newest_applied(warehouse: Warehouse) -> str:
    """The highest sequence number below which everything is applied, over all runs, or ""."""
    with warehouse.query(ARRIVALS) as reader:
        rows = [ArrivalRow(**row) for batch in reader for row in batch.to_pylist()]
    return max((applied.last_sequence for applied in applied_up_to(rows).values()), default="")
