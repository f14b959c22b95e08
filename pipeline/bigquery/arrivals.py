"""`raw.arrivals` on BigQuery: a row a message, in partitions that go after a week, and what stays of those that went.

A run of the worker may last longer than a week. So the gap-free messages of a run are told by one row now and then, in
place of that of its first message, before that goes: it moves to the partition of today.
"""

from __future__ import annotations

import datetime as dt

from pipeline.applied import ARRIVALS
from pipeline.bigquery import own_rows
from pipeline.bigquery.appends import Append
from pipeline.bigquery.client import BigQueryClient

JOIN_S = 3_600.0
"""Each process that applies changes does so about this often; any of them is enough."""

_FIRST = f"""
WITH joined AS ({ARRIVALS}),
recent AS (SELECT run, after_run FROM joined WHERE received_at > TIMESTAMP_SUB(@now, INTERVAL 7 DAY))
SELECT * FROM joined
WHERE number = 1 AND (run IN (SELECT run FROM recent) OR run IN (SELECT after_run FROM recent))
"""


def join_arrivals(client: BigQueryClient, now: dt.datetime) -> list[Append]:
    """A row for the messages from the first on, of each run of this week, and of those that these have followed."""
    return own_rows.joined(client.rows(_FIRST, {"now": now}), now)
