"""The baseline of `stream` and `replay`: the same lines parsed by orjson, and nothing else done with them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import orjson

from schemas.topic import Subscription

LONGEST_S = 120.0


def parse_subscription(project: str, subscription: str, rows: int) -> float:
    """Rows per second of pulling `rows` events, parsing every line and acknowledging."""
    pulling = Subscription(project, subscription)
    found, began = 0, time.monotonic()
    try:
        while found < rows and time.monotonic() - began < LONGEST_S:
            pulled = pulling.pull()
            for item in pulled:
                found += _parse(item.message.data.splitlines()) - 1  # one line is the schema
            pulling.acknowledge([item.ack_id for item in pulled])
        return found / (time.monotonic() - began)
    finally:
        pulling.close()


def parse_files(paths: Iterable[Path]) -> float:
    """Lines per second of reading and parsing."""
    began, lines = time.monotonic(), 0
    for path in paths:
        with path.open("rb") as file:
            lines += _parse(file)
    return lines / (time.monotonic() - began)


def _parse(lines: Iterable[bytes]) -> int:
    count = 0
    for line in lines:
        orjson.loads(line)
        count += 1
    return count
