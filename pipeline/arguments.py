"""What the words of a command line must be: counts, seconds, days, addresses."""

from __future__ import annotations

import argparse
import datetime as dt

from schemas.errors import UsageError
from schemas.source import SourceAddress

_TOO_MANY = 10**9


def whole_number(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < _TOO_MANY):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def seconds(text: str) -> float:
    """Seconds above 0, for argparse."""
    found = _number(text)
    if not 0 < found < _TOO_MANY:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return found


def seconds_from_0(text: str) -> float:
    """Seconds, which may be 0, for argparse."""
    found = _number(text)
    if not 0 <= found < _TOO_MANY:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def address(text: str) -> SourceAddress:
    """`mysql://user@host:port`, for argparse."""
    try:
        return SourceAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def as_of_day(text: str) -> dt.date:
    """`--as-of`. Raises UsageError."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--as-of {text[:40]!r} is no date", hint="write it as 2026-07-31") from error
