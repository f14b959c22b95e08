"""The files sink: change events as newline-delimited JSON, for `ltv-pipeline replay`.

A file is a sequence of messages, each its schema line and then its events; a heartbeat is one line. The checkpoint
keeps file and length, and a restart cuts off what lies behind, so the files hold every change exactly once.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path
from typing import BinaryIO

from binlog_worker import metrics
from binlog_worker.sinks.sink import Confirmed, Mark, Sink
from binlog_worker.stopping import Stopping
from schemas.checkpoint import FilesMark
from schemas.errors import CheckpointError, Terminal
from schemas.event import Message

SEGMENT_BYTES = 256_000_000
_NAME = re.compile(r"changes-(\d{8})\.jsonl")


def segment_name(number: int) -> str:
    return f"changes-{number:08d}.jsonl"


def segments(folder: Path) -> list[str]:
    """Names of the segment files in it, oldest first."""
    return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))


class FilesSink(Sink):
    """Appends in the caller's thread; `confirmed` makes durable what the newest mark covers."""

    def __init__(
        self, folder: Path, kept: FilesMark | None, stopping: Stopping, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """`kept` is the checkpoint's mark. Raises Terminal or CheckpointError where the folder does not fit it."""
        self.folder, self._stopping, self._segment_bytes = folder.resolve(), stopping, segment_bytes
        self._lock = threading.Lock()
        self._latest: Confirmed | None = None
        self._unsynced: list[BinaryIO] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = self._cut(kept) if kept is not None and kept.folder == str(self.folder) else self._fresh()
            self._open(number)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _fresh(self) -> int:
        found = [self.folder / name for name in segments(self.folder)]
        if any(path.stat().st_size for path in found):
            raise Terminal(
                f"{self.folder} holds {len(found)} files of change events that are not the checkpoint's",
                hint="name an empty folder, or remove them: otherwise changes would be in the files twice",
            )
        for path in found:  # of a run that ended before its first checkpoint
            path.unlink()
        return 1

    def _cut(self, kept: FilesMark) -> int:
        """Removes what lies behind the checkpoint; returns the number of the segment to go on in."""
        path = self.folder / kept.name
        match = _NAME.fullmatch(kept.name)
        if match is None or not path.exists() or path.stat().st_size < kept.length:
            raise CheckpointError(
                f"{path} is missing, or shorter than the {kept.length:,} bytes that the checkpoint counts on",
                hint="restore it, or begin anew: an empty folder, and no checkpoint",
            )
        for name in segments(self.folder):
            if name > kept.name:
                (self.folder / name).unlink()
        os.truncate(path, kept.length)
        return int(match[1])

    def _open(self, number: int) -> None:
        self._number = number
        self._path = self.folder / segment_name(number)
        self._file: BinaryIO = self._path.open("ab", buffering=1 << 20)
        self._length = self._file.tell()
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def put(self, message: Message) -> None:
        self._stopping.check()
        data = message.data
        try:
            with self._lock:
                if self._length and self._length + len(data) > self._segment_bytes:
                    self._file.flush()
                    self._unsynced.append(self._file)
                    self._open(self._number + 1)
                self._file.write(data)
                self._file.write(b"\n")
                self._length += len(data) + 1
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        metrics.MESSAGES.inc()
        metrics.BYTES.inc(len(data) + 1)

    def mark(self, mark: Mark) -> None:
        with self._lock:
            self._latest = Confirmed(mark, FilesMark(str(self.folder), self._path.name, self._length))

    def confirmed(self) -> Confirmed | None:
        try:
            with self._lock:
                latest, unsynced, file = self._latest, self._unsynced, self._file
                self._unsynced = []
                file.flush()
                handle = os.dup(file.fileno())
            try:
                for done in unsynced:
                    os.fsync(done.fileno())
                    done.close()
                os.fsync(handle)  # outside the lock: `put` goes on meanwhile
            finally:
                os.close(handle)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return latest

    def flush(self, seconds: float) -> bool:
        return True

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            for file in (*self._unsynced, self._file):
                file.close()


def _unwritable(folder: Path, error: OSError) -> Terminal:
    return Terminal(f"{folder}: {error.strerror or error}", hint="name a folder with room that the worker may write")
