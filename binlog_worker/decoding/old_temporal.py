"""TIME, DATETIME and TIMESTAMP as MariaDB 5.3 stored them, and with `mysql56_temporal_format=OFF` still does.

Without fraction that is the format of before MySQL 5.6: the digits hhmmss or YYYYMMDDhhmmss as a number, or seconds
since 1970, little-endian. With fraction they are big-endian counts in units of the last digit: of a DATETIME on a
calendar of 13 months of 32 days (MariaDB source, `pack_time`), of a TIME from -838:59:60 on; a TIMESTAMP has its
fraction behind its seconds. The log says neither the digits nor the length: they come from the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.table_map import Column
from binlog_worker.decoding.temporal import datetime_text, time_text, timestamp_text

_SIZES = {
    t.TIME_53: (3, 4, 4, 5, 5, 5, 6),
    t.DATETIME_53: (8, 6, 6, 7, 7, 7, 8),
    t.TIMESTAMP_53: (4, 5, 5, 6, 6, 7, 7),
}
_LONGEST_TIME_S = 3_020_400


def old_temporal_size(column: Column) -> int:
    """Bytes of every value of a TIME_53, DATETIME_53 or TIMESTAMP_53."""
    return _SIZES[column.kind][column.a]


def old_temporal_decoder(column: Column) -> Callable[[bytes, int], tuple[str, int]]:
    size, decode = old_temporal_size(column), _DECODERS[column.kind]
    digits = column.a

    def old_temporal(data: bytes, pos: int) -> tuple[str, int]:
        end = pos + size
        return decode(data[pos:end], digits), end

    return old_temporal


def _time(raw: bytes, digits: int) -> str:
    if not digits:
        number = int.from_bytes(raw, "little", signed=True)
        sign, number = (-1, -number) if number < 0 else (1, number)
        return time_text(sign * (_clock(number) << 24))
    unit = 10 ** (6 - digits)
    microseconds = int.from_bytes(raw, "big") * unit - _LONGEST_TIME_S * 1_000_000
    sign, microseconds = (-1, -microseconds) if microseconds < 0 else (1, microseconds)
    seconds, fraction = divmod(microseconds, 1_000_000)
    return time_text(sign * ((seconds // 3600 << 12 | seconds // 60 % 60 << 6 | seconds % 60) << 24 | fraction))


def _datetime(raw: bytes, digits: int) -> str:
    if not digits:
        day, clock = divmod(int.from_bytes(raw, "little"), 1_000_000)
        month, day_of_month = day // 100 % 100, day % 100
        if month > 12 or day_of_month > 31:
            raise ValueError(f"no date: {day}")
        return datetime_text((day // 10_000 * 13 + month << 5 | day_of_month) << 17 | _clock(clock), 0)
    second, fraction = divmod(int.from_bytes(raw, "big") * 10 ** (6 - digits), 1_000_000)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    day, hour = divmod(hour, 24)
    return datetime_text(day << 17 | hour << 12 | minute << 6 | second, fraction)


def _timestamp(raw: bytes, digits: int) -> str:
    if not digits:
        return timestamp_text(int.from_bytes(raw, "little"), 0)
    return timestamp_text(int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:], "big") * 10 ** (6 - digits))


def _clock(number: int) -> int:
    """hhmmss in decimal digits → hour << 12 | minute << 6 | second."""
    if number % 10_000 // 100 > 59 or number % 100 > 59:
        raise ValueError(f"no time of day: {number}")
    return number // 10_000 << 12 | number // 100 % 100 << 6 | number % 100


_DECODERS = {t.TIME_53: _time, t.DATETIME_53: _datetime, t.TIMESTAMP_53: _timestamp}
