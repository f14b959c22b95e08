"""A command of the product run to its end, seen from outside: seconds, peak memory, processor time, its log."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from demo.process import TETHER, ServerFailed

SAMPLE_S = 0.02
LONGEST_S = 900.0


@dataclass(frozen=True)
class Finished:
    began_at: float  # time.time()
    seconds: float
    peak_rss: int  # bytes, sampled every 20 ms
    cpu_seconds: float
    log: Path

    def facts(self, message: str) -> dict[str, Any]:
        """The `extra` of the last log line that says `message`. Raises ServerFailed where none does."""
        for line in reversed(self.log.read_text(encoding="utf-8", errors="replace").splitlines()):
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if isinstance(fields, dict) and fields.get("message") == message:
                    return fields
        raise ServerFailed(f"no line «{message}» in {self.log}")


def run_command(module: str, arguments: list[str], log: Path, environment: Mapping[str, str]) -> Finished:
    """`python -m MODULE ARGUMENTS` until it ends by itself, for 15 minutes at most; it cannot outlive this process.

    Raises ServerFailed with the end of its log where its exit status is not 0.
    """
    line = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), sys.executable, "-m", module, *arguments]
    began_at, began = time.time(), time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment), start_new_session=True
        )
    peak, cpu_seconds = 0, 0.0
    try:
        for rss, cpu in _samples(process):
            peak, cpu_seconds = max(peak, rss), cpu
            if time.monotonic() - began > LONGEST_S:
                raise ServerFailed(f"{module} {arguments[0]} did not end within {LONGEST_S:g} s", hint=str(log))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    seconds = time.monotonic() - began
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ServerFailed(
            f"{module} {arguments[0]} ended with status {process.returncode}", hint="\n".join(lines[-8:])
        )
    return Finished(began_at, seconds, peak, cpu_seconds, log)


def _samples(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, float]]:
    """Resident bytes and processor seconds, until the process ends."""
    seen = psutil.Process(process.pid)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SAMPLE_S)
            return
        with contextlib.suppress(psutil.Error):
            times = seen.cpu_times()
            yield seen.memory_info().rss, times.user + times.system
