"""The same graph through a job server, as Flink or Prism takes it: serialized, and run by Beam's portable workers.

Beam's own job server comes with it. Prism, which Go builds, is tried where PRISM names its binary.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from demo.servers import PubSubEmulator
from pipeline.process_warehouse import release
from pipeline.replay import replay
from pipeline.stream import stream
from pipeline.warehouse import open_warehouse
from schemas import topic
from schemas.config import ShopConfig
from schemas.errors import UsageError
from tests.bigquery.faults import Faults
from tests.bigquery.server import BigQueryServer
from tests.builders import CHARGES, ORDERS, charge, event, message, order, shop

ROOT = Path(__file__).parents[2]
ROWS = 300


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., int]]:
    """Starts a server on a port of its own, waits until it answers, ends it at the end."""
    folder = tmp_path_factory.mktemp("servers")
    running: list[subprocess.Popen[bytes]] = []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts its workers as `python`

    def start(*command: str) -> int:
        port = free_port()
        log = (folder / f"{port}.log").open("wb")
        full = [part.format(port=port) for part in command]
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(full, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
        running.append(process)
        until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / f"{port}.log").read_text()
        return port

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(20)


@pytest.fixture(scope="module", params=["beam", "prism"])
def job_server(request: pytest.FixtureRequest, started: Callable[..., int]) -> list[str]:
    """The options that name a job server."""
    if request.param == "beam":
        module = "apache_beam.runners.portability.local_job_service_main"
        port = started(sys.executable, "-m", module, "--port", "{port}")
    else:
        binary = os.environ.get("PRISM")
        if not binary:
            pytest.skip("PRISM does not name Prism's binary; `go install` builds it: see the README, «Other runners»")
        port = started(binary, "-job_port", "{port}", "-web_port", str(free_port()), "-log_level", "warn")
    return ["--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{port}"]


@pytest.fixture(scope="module")
def workers(started: Callable[..., int]) -> list[str]:
    """The options that have the stages run in other processes."""
    port = started(sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", "{port}")
    return ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[ShopConfig]:
    made = shop(project="local-shop", warehouse=f"duckdb:{tmp_path / 'ltv.duckdb'}", subscription=f"s{os.getpid()}")
    yield made
    release(made)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three files: inserts, changes that win, changes that lose, and a line that no warehouse takes."""
    lines = [
        [ORDERS.line(), *(event("c", order(key), key) for key in range(1, ROWS + 1))],
        [ORDERS.line(), *(event("u", order(key, amount="80.00"), ROWS + key) for key in range(1, 101)), b"{broken"],
        [CHARGES.line(), event("c", charge(1, 5), 5_000), ORDERS.line(), event("u", order(7, amount="1.00"), 3)],
    ]
    paths = [tmp_path / f"changes-{number}.jsonl" for number in range(3)]
    for path, content in zip(paths, lines, strict=True):
        path.write_bytes(b"\n".join(content) + b"\n")
    return [str(path) for path in paths]


def check(config: ShopConfig) -> None:
    warehouse = open_warehouse(config)
    try:
        sql = "SELECT COUNT(*) AS rows_, SUM(amount) AS amount FROM {}"
        with warehouse.query(sql.format("orders")) as reader:
            assert reader.read_all().to_pylist() == [{"rows_": ROWS, "amount": Decimal(23_000)}]
        with warehouse.query(sql.format("ltv_entries")) as reader:
            assert reader.read_all().to_pylist() == [{"rows_": ROWS + 1, "amount": Decimal(22_995)}]
        assert [letter.reason for letter in warehouse.dead_letters()] == ["not_json"]
    finally:
        warehouse.close()


def test_replay_in_this_process(job_server: list[str], config: ShopConfig, files: list[str]) -> None:
    replay(config, files, job_server)
    check(config)


def test_replay_in_other_processes(
    job_server: list[str], workers: list[str], config: ShopConfig, files: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        replay(config, files, [*job_server, *workers])
        check(config)
    (said, again) = [record for record in caplog.records if record.getMessage() == "replayed"]
    assert (said.upserted, said.dead) == (ROWS + 102, 1)  # type: ignore[attr-defined]
    assert again.upserted == ROWS + 102  # type: ignore[attr-defined]


def test_workers_in_other_processes_write_to_bigquery(
    job_server: list[str],
    bigquery: BigQueryServer,
    started: Callable[..., int],
    files: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on Dataflow: the stages come serialized, and each process opens the warehouse by itself; requests fail."""
    port = started(sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", "{port}")
    config = shop(warehouse=bigquery.warehouse)
    bigquery.faults = Faults(share=0.2)
    caplog.set_level("INFO")
    replay(config, files, [*job_server, "--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"])
    happened, bigquery.faults = sum(bigquery.faults.happened.values()), Faults()
    check(config)
    (said,) = [record for record in caplog.records if record.getMessage() == "replayed"]
    assert (said.upserted, said.dead) == (ROWS + 102, 1)  # type: ignore[attr-defined]
    assert bool(said.retries) == bool(happened)  # type: ignore[attr-defined]


def test_stream(
    job_server: list[str], config: ShopConfig, pubsub: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.ensure("local-shop", config.topic, config.subscription)
    sent = [message(ORDERS, event("c", order(key), key), run="r", number=str(key)) for key in range(1, ROWS + 1)]
    client = topic.publisher()
    topic.publish(client, topic.topic_path("local-shop", config.topic), sent)
    client.transport.close()
    monkeypatch.setattr("pipeline.stream.RUN_SECONDS", 1.0)
    stream(config, job_server, until_idle=2.5)
    warehouse = open_warehouse(config)
    with warehouse.query("SELECT COUNT(*) AS rows_ FROM orders") as reader:
        assert reader.read_all().to_pylist() == [{"rows_": ROWS}]
    warehouse.close()
    left = topic.Subscription("local-shop", config.subscription)
    assert left.pull(1) == [], "all is acknowledged"
    left.close()


def test_what_a_job_server_cannot_do(config: ShopConfig) -> None:
    with pytest.raises(UsageError, match="needs --job_endpoint"):
        replay(config, ["x"], ["--runner=PortableRunner"])
    with pytest.raises(UsageError, match="reads in its own process"):
        stream(config, ["--runner=PortableRunner", "--job_endpoint=127.0.0.1:1", "--environment_type=EXTERNAL"])
    with pytest.raises(UsageError, match="FlinkRunner is not supported"):
        replay(config, ["x"], ["--runner=FlinkRunner"])
