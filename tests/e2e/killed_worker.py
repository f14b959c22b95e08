"""Workers that kill themselves with SIGKILL behind a certain event, each in a process of its own.

A program: it imports everything once and forks for every run; `run_jobs` gives it jobs (JSON) and returns their ends.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

import binlog_worker.run as worker
from binlog_worker import tail
from binlog_worker.checkpointer import Checkpointer
from binlog_worker.log import dump
from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import FLAG_ARTIFICIAL, HEADER, HEARTBEAT, HEARTBEAT_V2, RawEvent
from binlog_worker.sinks.files import FilesSink
from binlog_worker.sinks.publisher import Publisher
from binlog_worker.sinks.sink import Sink
from binlog_worker.stopping import Stopping
from schemas.config_file import load_config
from schemas.event import Message

KILLED, ENDED = "killed", "ended"
AT_ONCE, OLDER, GAP, AS_IT_COMES, FILES = "confirmed at once", "older checkpoint", "a gap", "as it comes", "files"
NEVER_S = 3600.0
SETTLED_WITHIN_S = 30.0
LONGEST_S = 90


@dataclass(frozen=True)
class Run:
    """A run that is killed once `events` of the log, or `inner` ones of compressed transactions, have been dealt with;
    with neither it ends by itself, as one does that is not the first of its job: once it is caught up.

    `how`: what of the messages has arrived and what the checkpoint says when it is killed. AT_ONCE: everything, and the
    checkpoint says so. OLDER: everything, but the checkpoint is of `earlier` events before. GAP: one message has not,
    all behind it have. AS_IT_COMES: whatever was sent and confirmed by then. FILES: as AT_ONCE (`earlier` 0) or OLDER,
    in files.
    """

    events: int = 0
    inner: int = 0
    how: str = AT_ONCE
    earlier: int = 0
    missing: int = 0
    receive_bytes: int = dump.RECEIVE_BYTES
    spool_bytes: int = 8_000_000

    @property
    def is_killed(self) -> bool:
        return bool(self.events or self.inner)


class Job(NamedTuple):
    """Runs on one checkpoint, one after the other; `folder` has their shop.yaml and takes what they send."""

    folder: Path
    begin: str
    runs: Sequence[Run]


def run_jobs(jobs: Sequence[Job], at_once: int = 3) -> list[list[str]]:
    """KILLED, ENDED or an error for every run of every job. Fails where one does not come to its end in time."""
    given = [{"folder": str(job.folder), "begin": job.begin, "runs": [asdict(run) for run in job.runs]} for job in jobs]
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.killed_worker"],
        input=json.dumps({"jobs": given, "at_once": at_once}),
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    ends: list[list[str]] = json.loads(done.stdout)
    return ends


def sent(folder: Path, run: int) -> list[Message]:
    """What has arrived of a run, counted from 0."""
    path = folder / f"{run}.messages"
    data = path.read_bytes() if path.exists() else b""
    found, pos = [], 0
    while pos + 4 <= len(data):
        end = pos + 4 + int.from_bytes(data[pos : pos + 4], "little")
        if end > len(data):
            break  # the kill came while it was written
        attributes, _, body = data[pos + 4 : end].partition(b"\n")
        found.append(Message(body, orjson.loads(attributes)))
        pos = end
    return found


class _Arrivals:
    """A topic in a file; message number `missing` never arrives, and is never confirmed."""

    def __init__(self, path: Path, missing: int) -> None:
        self._file = path.open("ab", buffering=0)
        self._missing = missing
        self._lock = threading.Lock()
        self.count = 0
        self.stuck = 0

    def __call__(self, messages: Sequence[Message]) -> None:
        if self._missing and any(int(message.attributes["number"]) == self._missing for message in messages):
            self.stuck = len(messages)
            time.sleep(NEVER_S)
        bodies = [orjson.dumps(message.attributes) + b"\n" + message.data for message in messages]
        with self._lock:
            self._file.write(b"".join(len(body).to_bytes(4, "little") + body for body in bodies))
            self.count += len(messages)


class Victim:
    """The run of this process, and its end."""

    def __init__(self, run: Run, folder: Path, number: int) -> None:
        self.run, self.folder = run, folder
        self.arrivals = _Arrivals(folder / f"{number}.messages", run.missing if run.how == GAP else 0)
        self.checkpointer: Checkpointer | None = None
        self.sink: Sink | None = None
        self.put = 0

    def checkpoint(self) -> None:
        """What has been read so far arrives, and the checkpoint says how much of it has without a gap."""
        assert self.sink is not None and self.checkpointer is not None
        if self.run.how == AS_IT_COMES:
            return
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while not isinstance(self.sink, FilesSink) and self.arrivals.count + self.arrivals.stuck < self.put:
            assert time.monotonic() < deadline, f"{self.arrivals.count} of {self.put} messages arrived"
            time.sleep(0.0005)
        if not self.arrivals.stuck:
            assert self.sink.flush(SETTLED_WITHIN_S)
        self.checkpointer.write()

    def die(self) -> None:
        if self.run.how != OLDER and not (self.run.how == FILES and self.run.earlier):
            self.checkpoint()
        elif isinstance(self.sink, FilesSink):
            self.sink.confirmed()  # it is in the file, behind what the checkpoint speaks of
        else:
            assert self.sink is not None and self.sink.flush(SETTLED_WITHIN_S)
        os.kill(os.getpid(), signal.SIGKILL)

    def work(self, begin: str, until_caught_up: bool) -> None:
        self._lay_hands_on()
        options = worker.Options(
            begin=begin,
            until_caught_up=until_caught_up,
            folder=self.folder / "out" if self.run.how == FILES else None,
            checkpoint_s=(0.002 if self.run.how == AS_IT_COMES else NEVER_S) if self.run.is_killed else 0.5,
            spool_bytes=self.run.spool_bytes,
            limits={"request_messages": 1} if self.run.how == GAP else {},
        )
        send = None if self.run.how == FILES else self.arrivals
        worker.run(load_config(self.folder / "shop.yaml"), options, Stopping(), send)

    def _lay_hands_on(self) -> None:
        victim = self

        class Watched(Checkpointer):
            def __init__(self, store: Any, sink: Sink, *arguments: Any, **options: Any) -> None:
                super().__init__(store, sink, *arguments, **options)
                victim.sink, victim.checkpointer = sink, self

        class Counting(Publisher):
            def put(self, message: Message) -> None:
                super().put(message)
                victim.put += 1

        class CutDump(Dump):
            def _start(self, server_id: int, heartbeat: float) -> socket.socket:
                given = super()._start(server_id, heartbeat)
                return _CutSocket(given, victim) if victim.run.events else given

        class CutEvents(PlainEvents):
            def __iter__(self) -> Iterator[RawEvent]:
                inner = 0
                for event in super().__iter__():
                    yield event
                    inner += self.unpacking
                    if self.unpacking and inner == victim.run.inner:
                        victim.die()

        worker.Checkpointer, worker.Publisher, worker.Dump = Watched, Counting, CutDump  # type: ignore[misc]
        tail.PlainEvents = CutEvents  # type: ignore[misc]
        dump.RECEIVE_BYTES = self.run.receive_bytes
        if self.run.is_killed and self.run.how != AS_IT_COMES:
            tail.LONGEST_OPEN_S = tail.PACE_S = 0.0  # what is read leaves at once


class _CutSocket(socket.socket):
    """Gives the bytes up to the end of the last event that is wanted: whoever asks for more has dealt with all of
    them. Stops in the same way where an earlier checkpoint is to be made."""

    def __init__(self, given: socket.socket, victim: Victim) -> None:
        super().__init__(fileno=os.dup(given.fileno()))
        self.settimeout(given.gettimeout())
        self._victim = victim
        self._first = max(victim.run.events - victim.run.earlier, 0)
        self._seen = 0
        self._packets = bytearray()
        self._kept = b""

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._seen == self._victim.run.events:
            self._victim.die()
        if self._seen == self._first and self._first:
            self._first = 0
            self._victim.checkpoint()
        piece = self._kept or super().recv(size, flags)
        self._kept = b""
        self._packets += piece
        while len(self._packets) >= 24:
            length = 4 + int.from_bytes(self._packets[:3], "little")
            if len(self._packets) < length:
                break
            self._seen += is_logged(bytes(self._packets[5:24]))
            del self._packets[:length]
            if self._seen in (self._first, self._victim.run.events):
                behind = len(self._packets)
                self._kept = piece[len(piece) - behind :]
                self._packets.clear()
                return piece[: len(piece) - behind]
        return piece


def is_logged(header: bytes) -> bool:
    """Whether an event stands in the log; others are sent to a reader only."""
    _, kind, _, _, end, flags = HEADER.unpack(header)
    return bool(end) and not flags & FLAG_ARTIFICIAL and kind not in (HEARTBEAT, HEARTBEAT_V2)


def _child(job: dict[str, Any], number: int) -> int:
    """Returns its process number; does not return in the child."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    signal.alarm(LONGEST_S)
    try:
        folder = Path(job["folder"])
        sys.stderr = (folder / f"{number}.log").open("w")
        run = Run(**job["runs"][number])
        Victim(run, folder, number).work(job["begin"], number > 0 or not run.is_killed)
        status = 0
    except BaseException:  # noqa: BLE001 - told by the exit status
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _end(status: int, folder: str, number: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return KILLED
    if status == 0:
        return ENDED
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return (Path(folder) / f"{number}.log").read_text()[-1500:]


def main() -> None:
    given = json.load(sys.stdin)
    jobs: list[dict[str, Any]] = given["jobs"]
    ends: list[list[str]] = [[] for _ in jobs]
    gc.freeze()  # what was imported is never looked at again: the pages stay shared
    waiting, running = list(range(len(jobs)))[::-1], dict[int, int]()
    with suppress(ChildProcessError):
        while waiting or running:
            while waiting and len(running) < given["at_once"]:
                index = waiting.pop()
                running[_child(jobs[index], len(ends[index]))] = index
            pid, status = os.wait()
            index = running.pop(pid)
            job = jobs[index]
            ends[index].append(_end(status, job["folder"], len(ends[index])))
            if len(ends[index]) < len(job["runs"]) and ends[index][-1] in (KILLED, ENDED):
                waiting.append(index)
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
