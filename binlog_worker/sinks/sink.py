"""Where messages go, and what is known to have arrived: Pub/Sub (`publisher`) or files (`files`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from schemas.checkpoint import FilesMark, Place, PreparedXa
from schemas.event import Message


class Mark(NamedTuple):
    """What a checkpoint says once all messages put before it are confirmed.

    `created` is the creation time of the place's file (seconds since 1970), `number` that of the last message,
    `committed_us` the commit time of the last transaction (microseconds since 1970), `prepared` those of XA that are
    neither committed nor rolled back at the place, `passing` what is passed over behind it (`pass_over`).
    """

    place: Place
    created: int
    gtid: str
    gtid_set: str
    number: int
    committed_us: int
    prepared: tuple[PreparedXa, ...] = ()
    passing: str = ""


class Confirmed(NamedTuple):
    """The newest mark below which everything has arrived for good; `files` only where the sink is files."""

    mark: Mark
    files: FilesMark | None = None


class Sink(ABC):
    """Takes messages in order. Traps: only what `confirmed` returns may be checkpointed, and a message that was `put`
    without a later `mark` is sent again after a restart."""

    @abstractmethod
    def put(self, message: Message) -> None:
        """Waits while too much is underway. Raises what ended the sink for good, `Stopped` when told to stop."""

    @abstractmethod
    def mark(self, mark: Mark) -> None:
        """Everything put so far is all that there is below `mark`, nothing of it is above."""

    @abstractmethod
    def confirmed(self) -> Confirmed | None:
        """None before the first mark. May be called from another thread than `put`."""

    @abstractmethod
    def flush(self, seconds: float) -> bool:
        """Waits until everything put has arrived; False where `seconds` did not suffice."""

    @abstractmethod
    def close(self) -> None:
        """Ends threads and files; drops what has not arrived."""
