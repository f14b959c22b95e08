"""The console script: exit status, what is said where nothing is sure, and the options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from worker_shop import ORDERS, REPOSITORY, Topic

from pipeline.decode import Decoder
from pipeline.rollup import as_of_date, rollup
from pipeline.verify.options import Sample
from pipeline.warehouse import open_warehouse
from schemas.errors import UsageError
from tests.builders import decode
from tests.conftest import Server
from tests.verify.followed_shop import FollowedShop
from tests.verify.test_verified_tables import kinds


@pytest.fixture
def loaded(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """Orders, in a warehouse file that no stream feeds any more."""
    shop = FollowedShop(server, database, tmp_path, server_id, ORDERS)
    shop.configure(warehouse="duckdb:ltv.duckdb")
    shop.shop.insert(1, 30)
    topic = Topic()
    shop.shop.run(topic)
    warehouse = open_warehouse(shop.config)
    warehouse.check_settings(shop.config)
    decoder = Decoder(shop.config)
    warehouse.apply(decode(shop.config, *topic.messages, decoder=decoder))
    rollup(warehouse, shop.config, as_of_date("2022-12-31", shop.config, None))  # type: ignore[arg-type]
    warehouse.close()
    return shop


def run(shop: FollowedShop, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pipeline", "verify", "-c", str(shop.shop.folder / "shop.yaml"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY)


def test_equal(loaded: FollowedShop) -> None:
    done = run(loaded)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] if "verified:" in line else line for line in lines] == [
        ["orders", "30", "rows", "equal"],
        ["counted_refunds", "0", "rows", "equal"],
        ["ltv_cohorts", "12", "rows", "equal"],
        ["ltv_cohorts_by_segment", "0", "rows", "equal"],
        ["ltv_monthly", "1", "rows", "equal"],
        ["order_first_purchase", "30", "rows", "equal"],
        ["payment_reconciliation", "0", "rows", "equal"],
        ["product_stats", "0", "rows", "equal"],
        ["product_top_country", "0", "rows", "equal"],
        ["adds_up", "13", "rows", "equal"],
        ["gross_to_net", "65", "rows", "equal"],
        ["ltv_averages", "11", "rows", "equal"],
        ["ltv_triangle", "12", "rows", "equal"],
        ["reconciliation_states", "0", "rows", "equal"],
        ["cohort_changes", "not", "verified:"],
        ["freshness", "not", "verified:"],
        ["changed_cells", "not", "verified:"],
    ]
    done = run(loaded, "--format", "json", "--as-of", "2022-03-31", "--sample", "50%", "--chunk-rows", "3")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["table"], line["equal"]) for line in (found[0], found[2])] == [
        ("orders", True),
        ("ltv_cohorts", True),
    ]
    assert (found[0]["whole"], found[2]["as_of"], found[2]["rows"]) == (False, "2022-03-31", 3)


def test_where_no_stream_runs_nothing_is_sure(loaded: FollowedShop) -> None:
    loaded.sql("UPDATE orders SET amount = 1 WHERE id = 7")
    done = run(loaded, "--no-rollup", "--wait", "0.5")
    assert done.returncode == 1
    assert "  orders id='7': differs  (unconfirmed)\n    amount: database '1.00', warehouse '150.00'\n" in done.stdout
    assert "changes in flight cannot be told apart" in done.stderr
    assert "\nhint: " in done.stderr and "\nhint: \n" not in done.stderr

    (loaded.shop.folder / "ltv.duckdb").unlink()
    warehouse = open_warehouse(loaded.config)
    warehouse.close()
    done = run(loaded, "--no-rollup", "--limit", "2")
    assert done.returncode == 1
    assert "nothing of a stream has arrived in this warehouse" in done.stderr
    assert "hint: run `binlog-worker run` and `ltv-pipeline stream`" in done.stderr
    assert "  and 28 more rows; --limit prints more\n" in done.stdout


def test_the_stream_stands_still(
    server: Server, database: str, server_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said after a few heartbeats, long before the wait is over."""
    monkeypatch.setattr("pipeline.verify.looks.SHORTEST_STANDSTILL_S", 0.2)
    shop = FollowedShop(server, database, tmp_path, server_id, ORDERS)
    shop.shop.insert(1, 30)
    with shop.followed():
        pass
    shop.sql("UPDATE orders SET amount = 1 WHERE id = 7")
    result = shop.tables(wait=100)["orders"]
    assert "the stream stands still below the database's position" in result.problem
    assert "binlog-worker run" in result.hint
    assert kinds(result.differences) == {"7": "differs"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--sample", "0"], 2, "neither a fraction nor a number"),
        (["--as-of", "July"], 2, "is no date"),
        (["--table", "nothing"], 2, "shop.yaml names no table nothing"),
        (["--wait", "-1"], 2, "no number of seconds"),
    ],
)
def test_bad_usage(loaded: FollowedShop, arguments: list[str], status: int, said: str) -> None:
    done = run(loaded, *arguments)
    assert done.returncode == status
    assert said in done.stderr


def test_the_database_is_gone(loaded: FollowedShop) -> None:
    loaded.configure(source="mysql://root@127.0.0.1:1")
    done = run(loaded)
    assert done.returncode == 1
    assert "cannot connect to root@127.0.0.1:1" in done.stderr


def test_a_dropped_table_is_named(loaded: FollowedShop) -> None:
    loaded.sql("DROP TABLE orders")
    done = run(loaded)
    assert done.returncode == 2
    assert f"the database has no table {loaded.shop.database}.orders" in done.stderr


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.25", Sample(0.25)),
        ("25%", Sample(0.25)),
        ("100%", Sample(1.0)),
        ("1", Sample(rows=1)),
        ("5000", Sample(rows=5000)),
    ],
)
def test_samples(text: str, found: Sample) -> None:
    assert Sample.parse(text) == found


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "0%", "101%", "200%", "nan", "inf", "half"])
def test_what_is_no_sample(text: str) -> None:
    with pytest.raises(UsageError):
        Sample.parse(text)
