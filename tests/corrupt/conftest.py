"""What a fuzz test may take of the machine."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from binlog_worker.decoding import row_code
from tests.corrupt.fuzzing import out_of_time

MOST_MEMORY = 400 << 20
"""Bytes that may come to those which are there already."""


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory and CPU time are; and fewer sets of NULL columns have code of their own, so that both ways are taken."""
    monkeypatch.setattr(row_code, "MOST_PATTERNS", 8)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGVTALRM, out_of_time)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, handler)
