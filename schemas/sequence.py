"""The sequence number: a total order of the changes of one source, `epoch/file/position/row`.

Sections are upper-case hexadecimal of 4, 8, 16 and 8 digits, so that order as text is order as numbers. It is a valid
BigQuery `_CHANGE_SEQUENCE_NUMBER` (BigQuery, "Stream table updates with change data capture": 1 to 4 sections of 1 to
16 hexadecimal digits, compared section by section).
"""

from __future__ import annotations

import re
from typing import NamedTuple

WIDTHS = (4, 8, 16, 8)
LIMITS = tuple(16**width - 1 for width in WIDTHS)
LENGTH = sum(WIDTHS) + 3
EXTRACT_EPOCH = 0
"""Of rows that come from files instead of a server's log; a checkpoint's epoch is 1 or more."""

PATTERN = re.compile(r"[0-9A-F]{4}/[0-9A-F]{8}/[0-9A-F]{16}/[0-9A-F]{8}")
_BINLOG_NAME = re.compile(r"(?P<base>.+)\.(?P<number>[0-9]+)")


class Sequence(NamedTuple):
    """epoch of the source, number of the binlog file, start of the event in bytes, row inside the event."""

    epoch: int
    file: int
    position: int
    row: int

    def __str__(self) -> str:
        return format_sequence(*self)


def format_sequence(epoch: int, file: int, position: int, row: int) -> str:
    """The 39 characters of a sequence number. Raises ValueError where a section does not fit its width."""
    sections = (epoch, file, position, row)
    if any(not 0 <= section <= limit for section, limit in zip(sections, LIMITS, strict=True)):
        raise ValueError(f"sequence section out of range: {sections}")
    return f"{epoch:04X}/{file:08X}/{position:016X}/{row:08X}"


def sequence_prefix(epoch: int, file: int, position: int) -> str:
    """All but the row, with the slash: `prefix + f"{row:08X}"` is the sequence of a row of that event."""
    return format_sequence(epoch, file, position, 0)[:-8]


def extract_sequence(version_us: int, number: int) -> str:
    """The sequence of a row of an extract: `version_us` is its version's time in microseconds since 1970, `number` that
    of its line. Every change of a binlog is above it. Raises ValueError where one does not fit."""
    return format_sequence(EXTRACT_EPOCH, 0, version_us, number)


def parse_sequence(text: str) -> Sequence:
    """The inverse of `format_sequence`. Raises ValueError on anything else, also on lower case or other widths."""
    if not PATTERN.fullmatch(text):
        raise ValueError(f"not a sequence number: {text[:60]!r}")
    return Sequence(*(int(section, 16) for section in text.split("/")))


def binlog_number(name: str) -> tuple[str, int]:
    """Base name and number of a binlog file: `mysql-bin.000003` → ("mysql-bin", 3). Raises ValueError.

    Numbers have six digits until they pass 999,999 and more afterwards, so never compare file names as text.
    """
    match = _BINLOG_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"not a binlog file name: {name[:80]!r}")
    return match["base"], int(match["number"])
