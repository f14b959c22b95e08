"""What the graph counts, read from a local run's own metrics; and what is said of an error that stops a bundle."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from pipeline.changes import Arrival, Changes
from pipeline.graph import build
from pipeline.metrics import NAMESPACE, counted
from pipeline.process_warehouse import process_warehouse, release, share
from pipeline.progress import PROGRESS
from pipeline.stages import lags
from pipeline.warehouse import Applied, open_warehouse
from schemas.config import ShopConfig
from schemas.errors import LtvError, WarehouseError, WarehouseUnavailable
from schemas.event import Message
from tests.builders import CHARGES, ORDER_COLUMNS, ORDERS, charge, event, message, order, schema, shop


@pytest.fixture
def config(tmp_path: Path) -> Iterator[ShopConfig]:
    made = shop(warehouse=f"duckdb:{tmp_path / 'ltv.duckdb'}")
    yield made
    release(made)


def run(config: ShopConfig, *messages: Message) -> PipelineResult:
    pipeline = beam.Pipeline("FnApiRunner")
    build(pipeline, beam.Create([list(messages)], reshuffle=False), config)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def distributions(result: PipelineResult) -> dict[str, Any]:
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    return {each.key.metric.name: each.result for each in found["distributions"]}


def committed(seconds_ago: float) -> str:
    instant = time.time() - seconds_ago
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(instant)) + f".{int(instant % 1 * 1e6):06}Z"


def sent(number: int, *lines: bytes, seconds_ago: float = 5.0) -> Message:
    return message(ORDERS, *lines, id=f"m{number}", run="r", number=str(number), committed_at=committed(seconds_ago))


def test_rows_dead_lines_and_times(config: ShopConfig) -> None:
    result = run(
        config,
        sent(1, event("c", order(1), 1), event("c", order(2), 2), b"{not json", seconds_ago=5),
        sent(2, event("c", order(3, date="0000-00-00T00:00:00.000000"), 3), seconds_ago=60),
        sent(3, event("u", order(1, amount="80.00"), 4), seconds_ago=1),
    )
    counts = counted(result)
    assert (counts["decoded"], counts["upserted"], counts["dead"], counts["retries"]) == (3, 3, 2, 0)
    assert counts["stale"] == 0, "a row that is overtaken by another of its group was not late"
    found = distributions(result)
    assert found["lag_ms"].count == 3, "one for each message"
    assert 900 <= found["lag_ms"].min < 4_000
    assert 59_000 <= found["lag_ms"].max < 70_000
    assert found["apply_ms"].count == 1
    assert 0 <= found["apply_ms"].min <= found["apply_ms"].max < 60_000
    assert "append_ms" not in found, "DuckDB makes no requests"


def test_zero_dates_are_counted_where_they_are_no_roles(config: ShopConfig) -> None:
    mirrored = shop(warehouse=config.warehouse, mirror=["shop.notes"])
    notes = (
        b'{"schema":{"table":"shop.notes","primary_key":["id"],"columns":[{"name":"id","type":"bigint"},'
        b'{"name":"seen_at","type":"datetime"}]}}'
    )
    line = event("c", {"id": 1, "seen_at": "0000-00-00T00:00:00.000000"}, 1)
    assert counted(run(mirrored, Message(notes + b"\n" + line, {}, "m")))["zero_dates"] == 1


def test_rows_that_came_too_late_are_stale(config: ShopConfig) -> None:
    charges = [event("c", charge(key), 50 + key) for key in (1, 2)]
    first = [message(ORDERS, event("c", order(1), 10), event("c", order(2), 11)), message(CHARGES, *charges)]
    assert counted(run(config, *first))["stale"] == 0
    assert counted(run(config, *first))["stale"] == 0, "the same again is written again"
    late = [event("u", order(1), 9), event("u", order(1), 8), event("u", order(2), 12), event("c", order(3), 1)]
    counts = counted(run(config, message(ORDERS, *late), message(CHARGES, event("u", charge(2), 3))))
    assert (counts["stale"], counts["upserted"]) == (2, 5), "orders 1 and charge 2 had later versions"
    widened = schema("shop.orders", {**ORDER_COLUMNS, "note": "varchar"})
    both = [message(ORDERS, event("u", order(1), 13)), message(widened, event("u", order(1, note="x"), 14))]
    assert counted(run(config, *both))["stale"] == 0, "one key in two inputs"


class Answering:
    """A warehouse that says of each `apply` what it was told, or raises it."""

    writers = 2

    def __init__(self, answer: Applied | LtvError) -> None:
        self.answer = answer

    def highest_epoch(self) -> str:
        return ""

    def apply(self, changes: Changes) -> Applied:
        if isinstance(self.answer, LtvError):
            raise self.answer
        return self.answer

    def close(self) -> None: ...


def test_what_only_some_warehouses_say(config: ShopConfig) -> None:
    share(config, Answering(Applied(4, 0, 0.25, stale=3, retries=2, append_ms=(10, 40))))  # type: ignore[arg-type]
    result = run(config, sent(1, event("c", order(1), 1)))
    counts, found = counted(result), distributions(result)
    assert (counts["stale"], counts["retries"], counts["upserted"]) == (3, 2, 4)
    assert (found["append_ms"].count, found["append_ms"].sum, found["append_ms"].max) == (2, 50, 40)
    assert (found["apply_ms"].min, found["apply_ms"].max) == (250, 250)


def test_a_message_without_its_commit_time_has_no_lag() -> None:
    changes = Changes(arrivals=[Arrival("s", "r", 1, "", 0), Arrival("s", "r", 2, "", 9_000_000)])
    assert lags(changes, 10.0) == [1.0]
    assert lags(changes, 5.0) == [0.0], "a clock that is behind"


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (WarehouseError("no such dataset", hint="deploy makes it"), logging.ERROR),
        (WarehouseUnavailable("the service is away", hint="it is tried again"), logging.WARNING),
    ],
)
def test_a_worker_logs_what_stops_a_bundle_by_its_name(
    config: ShopConfig, error: LtvError, level: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.process_warehouse.open_warehouse", lambda config: Answering(error))
    process_warehouse(config)  # as a worker does, in whose process no command has shared one
    with pytest.raises(Exception, match=error.message):
        run(config, sent(1, event("c", order(1), 1)))
    said = [record for record in caplog.records if record.name == "pipeline.failures"]
    assert said
    assert said[0].levelno == level
    assert said[0].getMessage() == f"{type(error).__name__}: {error.message} ({error.hint})"


def test_a_command_raises_it_instead(config: ShopConfig, caplog: pytest.LogCaptureFixture) -> None:
    error = WarehouseError("no such dataset")
    share(config, Answering(error))  # type: ignore[arg-type]
    PROGRESS.failure = None
    with pytest.raises(Exception, match="no such dataset"):
        run(config, sent(1, event("c", order(1), 1)))
    assert PROGRESS.failure is error
    assert not [record for record in caplog.records if record.name == "pipeline.failures"]


def test_a_local_run_shares_its_warehouse_and_leaves_it_closed(config: ShopConfig) -> None:
    warehouse = open_warehouse(config)
    share(config, warehouse)
    assert counted(run(config, sent(1, event("c", order(1), 1))))["upserted"] == 1
    assert process_warehouse(config) is warehouse
