"""Large transactions on disk: an event too big for memory is written to a temporary file as its packets arrive."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO
from zlib import crc32

from binlog_worker.log.events import RawEvent
from schemas.errors import Terminal

if TYPE_CHECKING:
    from typing_extensions import Self

HEAD_BYTES = 4_096
CHECKSUM_BYTES = 4


class SpilledEvent(RawEvent):
    """An event whose `data` is only its first HEAD_BYTES; all of it, without the checksum, is in `body`, a file which
    has no name and is gone with the last reference to it."""

    body: BinaryIO


class Spill:
    """The file of one event; `length` in bytes and `checksum` (CRC32) are of what has been written so far."""

    def __init__(self, at: str) -> None:
        self._at = at
        self.length = self.checksum = 0
        self.head = b""
        self._kept = False
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(prefix="binlog-worker-")  # noqa: SIM115 - see `keep`
        except OSError as error:
            raise self._no_room(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._kept:
            self._file.close()

    def fill(self, pieces: Iterable[bytes]) -> None:
        """Raises Terminal where there is no room for it, and what `pieces` raises."""
        for piece in pieces:
            try:
                self._file.write(piece)
            except OSError as error:
                raise self._no_room(error) from error
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + piece)[:HEAD_BYTES]
            self.checksum = crc32(piece, self.checksum)
            self.length += len(piece)

    def cut_checksum(self) -> None:
        self.length -= CHECKSUM_BYTES
        self._file.truncate(self.length)
        self.head = self.head[: self.length]

    def keep(self) -> BinaryIO:
        """The file, which outlives this object."""
        self._kept = True
        return self._file

    def _no_room(self, error: OSError) -> Terminal:
        return Terminal(
            f"a compressed transaction cannot be kept on disk: {error.strerror or error}",
            position=self._at,
            hint=f"it is written to a file in {tempfile.gettempdir()} first; let TMPDIR name a folder with room for it",
        )
