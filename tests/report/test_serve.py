"""`ltv-pipeline serve` as a process: what it answers, to whom, and that it lets every other command work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.session import LocalSession, WarehouseLocked
from tests.report.serving import SECONDS, Served, ServedShop, revenue, said, served

CELL = "/cell.json?currency=EUR&guest=0&cohort=2022-01&month=0"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For tests that change nothing."""
    with served(ServedShop(tmp_path_factory.mktemp("serve")), "--every", "0.2") as found:
        found.wait_for(lambda document: revenue(document) == "230")
        yield found


@pytest.fixture
def shop(tmp_path: Path) -> ServedShop:
    return ServedShop(tmp_path)


def command(shop: ServedShop, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pipeline", arguments[0], "-c", str(shop.folder / "shop.yaml"), *arguments[1:]]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_the_page_is_live_and_may_do_nothing_else(running: Served) -> None:
    answer = running.client.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert {name: answer.headers[name] for name in ("x-content-type-options", "referrer-policy", "cache-control")} == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers
    document = json.loads(answer.text.split('id="document">')[1].split("</script>")[0])
    assert document["is_live"] and document["shop"] == "shop" and revenue(document) == "230"
    assert document["cell_orders"] == {"limit": 0, "cells": {}}


def test_the_document_has_a_tag(running: Served) -> None:
    answer = running.client.get("/document.json")
    assert answer.headers["content-type"] == "application/json"
    tag = answer.headers["etag"]
    assert running.client.get("/document.json", headers={"if-none-match": tag}).status_code == 304
    assert running.client.get("/document.json", headers={"if-none-match": '"other"'}).status_code == 200


def test_orders_of_a_cell(running: Served) -> None:
    assert running.client.get(CELL).json() == {
        "total": 2,
        "orders": [
            {"order_id": "1", "at": "2022-01-13T11:00:00Z", "customer_id": "1", "amount": "150", "is_refund": False},
            {"order_id": "2", "at": "2022-01-13T11:00:00Z", "customer_id": "2", "amount": "75", "is_refund": False},
        ],
    }
    assert running.client.get(f"{CELL}&offset=1").json()["orders"][0]["order_id"] == "2"
    assert running.client.get(f"{CELL}&offset=2").json() == {"total": 2, "orders": []}
    assert running.client.get(CELL.replace("guest=0", "guest=1")).json() == {"total": 0, "orders": []}
    unknown = CELL.replace("EUR", "EUR' OR TRUE --")
    assert running.client.get(unknown).json() == {"total": 0, "orders": []}


def test_unexplained_orders(running: Served) -> None:
    found = running.client.get("/unexplained.json?offset=0").json()
    assert (found["total"], [order["order_id"] for order in found["orders"]]) == (2, ["2", "3"])
    assert found["orders"][0]["difference"] == "75"
    assert running.client.get("/unexplained.json?offset=1").json()["orders"] == found["orders"][1:]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/cell.json", "currency is missing"),
        (f"{CELL}&offset=-1", "offset='-1' is no whole number"),
        (f"{CELL}&offset=1e9", "offset='1e9' is no whole number"),
        (f"{CELL}&offset=99999999999999999999", "is no whole number"),
        (f"{CELL}&limit=5", "'limit' is no parameter here"),
        (CELL.replace("2022-01", "2022-13"), "cohort='2022-13' is no month"),
        (CELL.replace("2022-01", "0000-01"), "cohort='0000-01' is no month"),
        (CELL.replace("guest=0", "guest=yes"), "guest='yes' is neither 0 nor 1"),
        (CELL.replace("month=0", "month=%D9%A3"), "is no whole number"),
        (CELL.replace("EUR", "E" * 41), "currency is no currency"),
        ("/unexplained.json?offset=x", "offset='x' is no whole number"),
    ],
)
def test_what_is_asked_is_looked_at(running: Served, path: str, said: str) -> None:
    answer = running.client.get(path)
    assert answer.status_code == 400 and said in answer.text
    assert answer.headers["content-type"].startswith("text/plain") and "content-security-policy" in answer.headers


@pytest.mark.parametrize("path", ["/nothing", "/../shop.yaml", "/static/app.js", "/document"])
def test_there_is_nothing_else(running: Served, path: str) -> None:
    answer = running.client.get(path)
    assert answer.status_code == 404 and answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", ""]
)
def test_another_sites_name_is_not_answered(running: Served, host: str) -> None:
    port = running.address.rstrip("/").rpartition(":")[2]
    answer = running.client.get("/document.json", headers={"host": host.format(port=port)})
    assert answer.status_code == 421 and "EUR" not in answer.text


@pytest.mark.parametrize("host", ["localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_the_names_of_loopback_are_answered(running: Served, host: str) -> None:
    port = running.address.rstrip("/").rpartition(":")[2]
    assert running.client.get("/document.json", headers={"host": host.format(port=port)}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_get_and_head(running: Served, method: str) -> None:
    answer = running.client.request(method, "/document.json")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/document.json", "/events", CELL])
def test_head_has_no_body(running: Served, path: str) -> None:
    answer = running.client.head(path)
    assert answer.status_code == 200 and answer.content == b""


def test_only_loopback_is_listened_on(running: Served) -> None:
    port = int(running.address.rstrip("/").rpartition(":")[2])
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", port)) != 0


def next_event(lines: Iterator[str]) -> str:
    """The tag that the next event tells."""
    for line in lines:
        if line.startswith("data: "):
            return line.removeprefix("data: ")
    raise AssertionError("the stream of events has ended")


def test_a_change_is_told_and_shown(shop: ServedShop) -> None:
    with served(shop, "--every", "0.2") as running:
        running.wait_for(lambda document: revenue(document) == "230")
        with running.client.stream("GET", "/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            lines = events.iter_lines()
            first = next_event(lines)
            assert first == running.client.get("/document.json").headers["etag"]
            shop.write("order 9 2022-02-02 1 11.11")
            deadline = time.monotonic() + SECONDS
            while True:
                tag = next_event(lines)
                assert tag != first and time.monotonic() < deadline
                answer = running.client.get("/document.json")
                if revenue(answer.json()) == "241.11":
                    break
        assert answer.json()["problems"] == []
        changed = answer.json()["changes"]["orders"]
        assert [(order["order_id"], order["reason"], order["revenue"]) for order in changed] == [("9", "late", "11.11")]


def test_all_other_commands_work_beside_it(shop: ServedShop, tmp_path: Path) -> None:
    with served(shop, "--every", "0.1") as running:
        running.wait_for(lambda document: revenue(document) == "230")
        for arguments in (
            ["query", "SELECT COUNT(*) AS n FROM orders"],
            ["rollup"],
            ["report", "-o", str(tmp_path / "beside.html")],
            ["dead-letters"],
        ):
            done = command(shop, *arguments)
            assert done.returncode == 0, (arguments, done.stderr)
        assert (tmp_path / "beside.html").exists()
        assert running.document()["problems"] == []


def test_a_stream_may_come_and_go(shop: ServedShop) -> None:
    """One that holds the file and shares it, as `stream` does."""
    with served(shop, "--every", "0.1") as running:
        running.wait_for(lambda document: revenue(document) == "230")
        for number, expected in ((10, "231"), (11, "232")):
            with shop.opened(hold=True) as stream:
                shop.write(f"order {number} 2022-02-02 1 1", stream)
                running.wait_for(lambda document, expected=expected: revenue(document) == expected)
                assert running.client.get(CELL).json()["total"] == 2
            running.wait_for(lambda document: document["problems"] == [])
        shop.write("order 12 2022-02-02 1 1")
        running.wait_for(lambda document: revenue(document) == "233")


def test_a_file_that_is_held_elsewhere_is_a_banner(shop: ServedShop) -> None:
    with served(shop, "--every", "0.1") as running:
        running.wait_for(lambda document: revenue(document) == "230")
        with contextlib.closing(_held(shop.path)):
            document = running.wait_for(lambda document: document["problems"])
            (problem,) = document["problems"]
            assert problem["level"] == "warning"
            assert problem["text"].startswith("Since 20") and "is held by another process" in problem["text"]
            assert "It is tried again" in problem["hint"] and revenue(document) == "230"
            assert running.client.get(CELL).status_code == 503
        running.wait_for(lambda document: document["problems"] == [])
    assert "the page stands still" in running.log.read_text()


def _held(path: str) -> LocalSession:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return LocalSession(path)
        except WarehouseLocked:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_warehouse_that_is_not_there_yet(shop: ServedShop) -> None:
    Path(shop.path).rename(f"{shop.path}.later")
    with served(shop, "--every", "0.1") as running:
        document = running.wait_for(lambda document: said(document, "does not exist"))
        assert document["as_of"] is None and document["is_live"]
        assert running.client.get("/").status_code == 200
        Path(f"{shop.path}.later").rename(shop.path)
        running.wait_for(lambda document: revenue(document) == "230")


def test_without_rollups_it_says_what_is_behind(shop: ServedShop) -> None:
    with served(shop, "--every", "0.1", "--no-rollup", "--orders-per-cell", "0") as running:
        running.wait_for(lambda document: said(document, "there was no rollup"))
        assert command(shop, "rollup").returncode == 0
        running.wait_for(lambda document: revenue(document) == "230" and document["problems"] == [])
        shop.write("order 9 2022-02-02 1 11.11")
        document = running.wait_for(lambda document: said(document, "have been written since the rollup"))
        assert document["freshness"]["is_stale"] and revenue(document) == "230"
        assert running.client.get(CELL).status_code == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_while_pages_listen(shop: ServedShop, number: signal.Signals) -> None:
    line = [sys.executable, "-m", "pipeline", "serve", "-c", str(shop.folder / "shop.yaml"), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = process.stdout.readline().strip()
            ended: list[float] = []

            def listen() -> None:
                with (
                    contextlib.suppress(httpx.HTTPError),
                    httpx.stream("GET", f"{address}events", timeout=60) as events,
                ):
                    for _ in events.iter_lines():
                        listening.release()
                ended.append(time.monotonic())

            listening = threading.Semaphore(0)
            threads = [threading.Thread(target=listen, daemon=True) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in threads:
                assert listening.acquire(timeout=SECONDS)
            os.kill(process.pid, number)
            assert process.wait(timeout=SECONDS) == 0
            for thread in threads:
                thread.join(timeout=SECONDS)
            assert len(ended) == 3
            assert "Traceback" not in process.stderr.read()
        finally:
            if process.poll() is None:
                process.kill()


def test_listeners_that_went_away_leave_room(running: Served) -> None:
    """More than may listen at once, one after the other, each gone without a word."""
    host, _, port = running.address.removeprefix("http://").rstrip("/").partition(":")
    request = f"GET /events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    for _ in range(3):
        connections = [socket.create_connection((host, int(port)), timeout=SECONDS) for _ in range(32)]
        for connection in connections:
            connection.sendall(request)
            assert b"200 OK" in connection.recv(4096)
        assert running.client.get("/events").status_code == 503
        for connection in connections:
            connection.close()
        deadline = time.monotonic() + SECONDS
        while True:
            with running.client.stream("GET", "/events") as answer:
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_client_that_reads_nothing_holds_up_nobody(running: Served) -> None:
    host, _, port = running.address.removeprefix("http://").rstrip("/").partition(":")
    with contextlib.ExitStack() as held:
        for path in ("/", "/events", "/document.json") * 5:
            slow = held.enter_context(socket.create_connection((host, int(port)), timeout=SECONDS))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        for _ in range(5):
            assert len(running.client.get("/").content) > 500_000
        assert running.client.get(CELL).json()["total"] == 2


def test_a_port_in_use_is_named(shop: ServedShop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command(shop, "serve", "--port", port)
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} is in use\nhint: --port N names another, --port 0 any that is free\n"


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "http"], ["--every", "0"], ["--host", "::"]])
def test_wrong_options(shop: ServedShop, arguments: list[str]) -> None:
    done = command(shop, "serve", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
