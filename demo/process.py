"""One server process of ours: started, waited for, stopped by its own pid, never left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from schemas.errors import Terminal

LOOPBACK = "127.0.0.1"
TETHER = Path(__file__).with_name("tether.py")
PORTS = range(20000, 32768)
POLL_SECONDS = 0.02


class ServerMissing(Terminal):
    """A server program is not installed."""


class ServerFailed(Terminal):
    """A server ended, or did not answer in time."""


def free_port() -> int:
    """A loopback port on which nothing listens.

    Below Linux's ephemeral range on purpose: a client that keeps trying a closed port inside that range may be given
    the same number as its own source port, connect to itself, and keep the server from starting again.
    """
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise ServerFailed(f"no free port on {LOOPBACK} between {PORTS.start} and {PORTS.stop - 1}")


class ServerProcess:
    """A child process in a process group of its own; its output goes to `log`.

    Ends with this process, however this one ends (see `tether`).
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None):
        self.name = name
        self.log = log
        tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                tethered,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=None if environment is None else dict(environment),
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Polls `answers`. Raises ServerFailed, after stopping the process, when it ends or `seconds` are over."""
        deadline = time.monotonic() + seconds
        while not answers():
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(POLL_SECONDS)
                raise self._failed(f"ended with status {status} before it answered")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failed(f"did not answer within {seconds:g} s")

    def terminate(self, seconds: float = 30.0) -> None:
        """Asks it to end; kills what is left after `seconds`."""
        if self.alive():
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole process group; returns when the process is gone."""
        if self.alive():
            self._signal(signal.SIGKILL)
            self._process.wait()
        atexit.unregister(self.kill)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)  # the pid is ours until it is waited for, so no other group can be hit

    def _failed(self, what: str) -> ServerFailed:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return ServerFailed(f"{self.name} {what}", hint="\n".join([f"the end of {self.log}:", *lines[-8:]]))
