"""`ltv-pipeline batch` as a program: what it prints, how it is stopped, its exit status."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from batch_shop import BatchShop
from worker_shop import REPOSITORY, until

from demo.stack import shop_config
from pipeline.cli import main
from tests.conftest import Server


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> BatchShop:
    return BatchShop(server, database, tmp_path, server_id)


def program(shop: BatchShop, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "pipeline", "batch", "-c", str(shop.folder / "shop.yaml"), *arguments]
    return subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=REPOSITORY
    )


def log_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_gone_on(shop: BatchShop, number: signal.Signals) -> None:
    slow = program(shop, "--chunk-rows", "5", "--rows-per-second", "40", "--parallel", "1")
    noted = Path(f"{shop.folder / 'ltv.duckdb'}.wal")
    until(lambda: (shop.folder / "checkpoint.json").exists() and noted.exists() and noted.stat().st_size > 5_000, 60)
    slow.send_signal(number)
    out, err = slow.communicate(timeout=60)
    assert slow.returncode == 130, err
    assert "the same command goes on there" in err
    assert "stopped " in err

    out, err = program(shop).communicate(timeout=120)
    said = [str(line["message"]) for line in log_lines(err)]
    assert any(line.startswith("going on after chunk ") for line in said), said
    assert any(line.endswith("rows") and f"{shop.database}.orders is loaded" in line for line in said)
    counts = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in out.splitlines()}
    assert counts[f"{shop.database}.orders"] == shop.sql("SELECT COUNT(*) FROM orders")[0][0]
    assert "ltv_cohorts" in counts
    shop.assert_equal()


def test_on_a_terminal(shop: BatchShop) -> None:
    """A bar for each table, with its rows."""
    ours, its = pty.openpty()
    running = program(shop, "--no-rollup", stderr=its)
    os.close(its)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    out, _ = running.communicate(timeout=60)
    os.close(ours)
    assert running.returncode == 0
    for table, count in ((line.split()[0], line.split()[1]) for line in out.splitlines()):
        assert table.split(".")[1].encode() in shown
        assert count.encode() in shown or count == "0"
    assert b"rows/s" in shown


def test_rows_that_do_not_fit(shop: BatchShop) -> None:
    shop.sql("ALTER TABLE orders MODIFY order_date DATETIME NULL", "UPDATE orders SET order_date = NULL WHERE id = 2")
    shop.sql("UPDATE orders SET status = 'shipped' WHERE id = 2")
    running = program(shop)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert f"1 of {shop.database}.orders" in err and "hint: `ltv-pipeline dead-letters`" in err
    assert "ltv_cohorts" in out, "the others are rolled up"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--table", "shop.nothing"), "not in shop.yaml"),
        (("--parallel", "0"), "no number above 0"),
        (("--replica", "replica:3306"), "must be mysql://user@host:port"),
        (("--unknown",), "unknown"),
    ],
)
def test_bad_usage(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No database is needed to say so."""
    monkeypatch.setattr("pipeline.cli.set_up_logging", lambda *_: None)  # it lasts longer than a test's stderr
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump(shop_config("mysql://root@127.0.0.1:1", 1)))
    try:
        status = main(["batch", "-c", str(config), *arguments])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert words in capsys.readouterr().err
