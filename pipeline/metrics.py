"""What the graph counts, by Beam's Metrics, in the namespace `ltv`. On Dataflow the job's page and Monitoring show it.

Times are distributions in milliseconds. A metric belongs to the thread of a bundle: writers hand over what they saw.
"""

from __future__ import annotations

from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.metrics.metric import MetricResults
from apache_beam.runners.runner import PipelineResult

NAMESPACE = "ltv"

DECODED = Metrics.counter(NAMESPACE, "decoded")
"""Rows that were decoded, of every role that they play."""

ZERO_DATES = Metrics.counter(NAMESPACE, "zero_dates")
"""Values that are NULL in the warehouse since they are no dates."""

UPSERTED = Metrics.counter(NAMESPACE, "upserted")
"""Rows that the warehouse has confirmed."""

DEAD = Metrics.counter(NAMESPACE, "dead")
"""Lines that became dead letters."""

STALE = Metrics.counter(NAMESPACE, "stale")
"""Rows that lost to a later version that was there before. Only DuckDB says so: BigQuery compares after confirming."""

RETRIES = Metrics.counter(NAMESPACE, "retries")
"""Requests that the warehouse had to be sent again."""

LAG_MS = Metrics.distribution(NAMESPACE, "lag_ms")
"""Of each message: from the commit at the source until its rows were confirmed."""

APPLY_MS = Metrics.distribution(NAMESPACE, "apply_ms")
"""Of each group of changes: one `apply`, all its tables."""

APPEND_MS = Metrics.distribution(NAMESPACE, "append_ms")
"""Of each append request: sent to confirmed."""


def counted(result: PipelineResult) -> dict[str, int]:
    """Counter → what all workers have counted, in bundles that were committed where the runner tells these apart."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    return {
        counter.key.metric.name: counter.attempted if counter.committed is None else counter.committed
        for counter in found[MetricResults.COUNTERS]
    }
