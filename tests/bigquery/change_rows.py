"""Which version of a row a table with upserts keeps, as BigQuery documents it («Stream table updates with change data
capture ingestion», sections «_CHANGE_SEQUENCE_NUMBER format», «Manage custom ordering», «Deleted data considerations»).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

REMEMBER_DELETES = dt.timedelta(days=2)
"""BigQuery forgets a DELETE after two days; an older UPSERT that comes later brings the row back."""

_SEQUENCE = re.compile(r"[0-9A-Fa-f]{1,16}(?:/[0-9A-Fa-f]{1,16}){0,3}")

Sequence = tuple[int, ...]
UNORDERED: Sequence = ()
"""Of a row without a sequence number: its arrival decides."""


def parse_sequence(text: str) -> Sequence:
    """One to four sections of 1 to 16 hexadecimal digits, as unsigned numbers: compared one after the other, and of two
    that are equal as far as the shorter goes the longer is the later. Raises ValueError."""
    if _SEQUENCE.fullmatch(text) is None:
        raise ValueError(f"The given value is not a valid CHANGE_SEQUENCE_NUMBER: {text[:80]!r}")
    return tuple([int(section, 16) for section in text.split("/")])


class Version(NamedTuple):
    """The newest version of a row: its message, or None after a DELETE at `deleted_at`."""

    sequence: Sequence
    row: Any
    deleted_at: dt.datetime | None = None


class ChangeRows:
    """The rows of one table by primary key. `mixed` says that rows came with and without sequence numbers, whose order
    BigQuery calls unpredictable; here those without one are the oldest."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._versions: dict[Any, Version] = {}
        self._now = now
        self._styles: set[bool] = set()
        self.remember_deletes = REMEMBER_DELETES

    @property
    def mixed(self) -> bool:
        return len(self._styles) > 1

    def upsert(self, key: Any, sequence: Sequence, row: Any) -> None:
        if self._is_newest(key, sequence):
            self._versions[key] = Version(sequence, row)

    def delete(self, key: Any, sequence: Sequence) -> None:
        if self._is_newest(key, sequence):
            self._versions[key] = Version(sequence, None, self._now())

    def _is_newest(self, key: Any, sequence: Sequence) -> bool:
        """Equal sequence numbers: what was ingested later has precedence."""
        self._styles.add(sequence is UNORDERED)
        known = self._versions.get(key)
        if known is None or sequence >= known.sequence:
            return True
        return known.deleted_at is not None and self._now() - known.deleted_at > self.remember_deletes

    def __iter__(self) -> Iterator[Any]:
        return (version.row for version in self._versions.values() if version.deleted_at is None)

    def __len__(self) -> int:
        return sum(version.deleted_at is None for version in self._versions.values())
