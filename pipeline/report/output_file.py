"""Where a report goes: a file that is there whole or as it was before, or standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from schemas.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

PRINT = "-"


class OutputFile:
    """Opened before anything is read, so that one that cannot be written is said at once; `write` puts it in place."""

    def __init__(self, name: str) -> None:
        """Raises UsageError."""
        self.name = name
        self._target = Path(name)
        self._beside: Path | None = None
        self._file: IO[bytes] | None = None
        if name == PRINT:
            return
        try:
            self._file = self._open()
        except OSError as error:
            raise self._refused(error) from error

    def _open(self) -> IO[bytes]:
        if self._target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if self._target.exists():
            if not os.access(self._target, os.W_OK):
                raise PermissionError(13, "Permission denied")
            if not self._target.is_file():  # a pipe, a terminal
                return self._target.open("wb")
        self._beside = self._target.with_name(f".{self._target.name[:60]}.{os.getpid()}.part")
        return self._beside.open("wb")

    def write(self, content: bytes) -> None:
        """Raises UsageError; then what was there before is there still."""
        if self._file is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        try:
            self._file.write(content)
            self._file.close()
            if self._beside:
                if self._target.exists():
                    self._beside.chmod(self._target.stat().st_mode & 0o777)
                self._beside.replace(self._target)
                self._beside = None
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> UsageError:
        return UsageError(f"{self.name} cannot be written: {error.strerror}", hint="-o FILE names another")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        if self._beside:
            self._beside.unlink(missing_ok=True)
