"""The threads that write: no more at once than are asked for, in order with one, and a bounded number of bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.writers import Writers


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


@pytest.mark.parametrize("threads", [1, 4])
def test_as_many_write_at_once_as_may(threads: int) -> None:
    writers = Writers(threads)
    gate, running = threading.Event(), []

    def write(number: int) -> int:
        running.append(number)
        assert gate.wait(10)
        return number

    futures = [writers.submit(lambda number=number: write(number), 1) for number in range(8)]
    until(lambda: len(running) == threads)
    assert sorted(running) == list(range(threads))
    gate.set()
    assert [future.result(10) for future in futures] == list(range(8))
    if threads == 1:
        assert running == list(range(8))
    writers.close()


def test_what_is_in_hand_is_bounded() -> None:
    writers = Writers(2, most_bytes=100)
    gate, submitted = threading.Event(), []

    def submit_all() -> None:
        for number in range(5):
            writers.submit(lambda: gate.wait(10), 40)
            submitted.append(number)

    thread = threading.Thread(target=submit_all)
    thread.start()
    until(lambda: len(submitted) == 2)
    threading.Event().wait(0.05)
    assert submitted == [0, 1], "80 of 100 bytes are in hand, a third does not fit"
    gate.set()
    thread.join(10)
    assert len(submitted) == 5
    writers.settle()
    writers.close()


def test_one_that_is_larger_than_the_bound_goes_alone() -> None:
    writers = Writers(1, most_bytes=10)
    assert writers.submit(lambda: "written", 1_000).result(10) == "written"
    assert writers.submit(lambda: "again", 1_000).result(10) == "again"
    writers.close()


def test_a_failed_write_gives_its_room_back() -> None:
    writers = Writers(1, most_bytes=10)

    def fail() -> None:
        raise RuntimeError("refused")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="refused"):
            writers.submit(fail, 10).result(10)
    writers.settle()
    writers.close()
    with pytest.raises(RuntimeError):
        writers.submit(fail, 10)
    writers.settle()


def test_settle_waits_for_what_is_underway() -> None:
    writers = Writers(2)
    gate, done = threading.Event(), []
    for _ in range(3):
        writers.submit(lambda: (gate.wait(10), done.append(1)), 1)
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    writers.settle()
    assert len(done) == 3
    writers.close()
