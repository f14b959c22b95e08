"""Counters and gauges of the worker, for Prometheus. The only module that imports its client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, start_http_server

from schemas.errors import LtvError

EVENTS = Counter("ltv_worker_binlog_events", "binlog events read")
ROWS = Counter("ltv_worker_rows", "change events made", ["table", "op"])
MESSAGES = Counter("ltv_worker_messages", "messages that the sink has taken for good")
BYTES = Counter("ltv_worker_bytes", "bytes of those messages")
RETRIES = Counter("ltv_worker_retries", "what had to be tried again", ["what"])
HEARTBEATS = Counter("ltv_worker_heartbeats", "heartbeat messages")
RELOADS = Counter("ltv_worker_reloads", "DDL after which a table must be loaded again", ["table"])
PREPARED = Gauge("ltv_worker_prepared_transactions", "XA transactions neither committed nor rolled back yet")
PREPARED_SINCE = Gauge("ltv_worker_prepared_since_seconds", "when the oldest of them was prepared, since 1970; 0: none")
OVERSIZED = Counter("ltv_worker_oversized_rows", "rows too large for a message, and what became of them",
                    ["table", "outcome"])  # fmt: skip
UNSUPPORTED = Counter("ltv_worker_unsupported_events", "binlog events that are not understood and stop the worker",
                      ["event"])  # fmt: skip
IGNORED = Counter("ltv_worker_ignored_events", "unknown binlog events that the server says may be ignored", ["event"])
STOPS = Counter("ltv_worker_stops", "runs that ended with an error, by its name in schemas/errors.py", ["error"])
LAG = Gauge("ltv_worker_lag_seconds", "server's clock minus commit time of the last transaction read; 0 when idle")
POSITION_FILE = Gauge("ltv_worker_position_file", "number of the binlog file that is read")
POSITION = Gauge("ltv_worker_position_bytes", "position in it")
CHECKPOINT_TIME = Gauge("ltv_worker_checkpoint_time_seconds", "when the checkpoint was last written, since 1970")


@contextmanager
def counting_stops() -> Iterator[None]:
    try:
        yield
    except LtvError as error:
        STOPS.labels(type(error).__name__).inc()
        raise
    except Exception:
        STOPS.labels("unexpected").inc()
        raise


def serve(port: int, address: str = "127.0.0.1") -> None:
    """Answers on http://address:port/metrics from a thread of its own. Raises OSError where the port is taken."""
    start_http_server(port, addr=address)
