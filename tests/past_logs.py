"""Logs that a test has in memory, in place of a server's."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from binlog_worker.log.events import RawEvent
from binlog_worker.xa.prepared import PastLogs
from schemas.errors import PurgedBinlog


class RecordedLogs(PastLogs):
    """`files`: name → its events, oldest first; may change. `reads` is where each reading began."""

    def __init__(self, files: Mapping[str, Sequence[RawEvent]] | None = None) -> None:
        self.files = files or {}
        self.reads: list[tuple[str, int]] = []

    def names(self) -> Sequence[str]:
        return list(self.files)

    def read(self, file: str, position: int) -> Generator[RawEvent]:
        self.reads.append((file, position))
        if file not in self.files:
            raise PurgedBinlog(f"the server no longer has {file}", position=f"{file}:{position}")
        for name, events in self.files.items():
            for event in events:
                if (name == file and event.position >= position) or name > file:
                    yield event
