"""The server's packed dates and times → ISO text, always with six fraction digits.

Layouts: MySQL Internals Manual "Date and Time Data Type Representation" (TIMESTAMP2, DATETIME2, TIME2, MariaDB the
same). Dates are written as stored, zero dates and zero months too; what is no date and no time raises ValueError.
Parts repeat, so their texts are kept in bounded tables.
"""

from __future__ import annotations

from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()
_MAX_CACHED = 100_000
_MAX_MICROSECONDS, _MAX_HOURS = 999_999, 838
_dates: dict[int, str] = {}
_days: dict[int, str] = {}
_clock: dict[int, str] = {}
_seconds: dict[int, str] = {}


def date_text(packed: int) -> str:
    """(year * 13 + month) << 5 | day."""
    text = _dates.get(packed)
    if text is None:
        months = packed >> 5
        if not 0 <= months < 13 * 10_000:
            raise ValueError(f"no date: {packed:#x}")
        text = f"{months // 13:04d}-{months % 13:02d}-{packed & 31:02d}"
        if len(_dates) >= _MAX_CACHED:
            _dates.clear()
        _dates[packed] = text
    return text


def datetime_text(packed: int, microseconds: int) -> str:
    """Date as above << 17 | hour << 12 | minute << 6 | second."""
    clock = packed & 0x1FFFF
    text = _clock.get(clock)
    if text is None:
        if clock >> 12 > 23 or clock >> 6 & 63 > 59 or clock & 63 > 59:
            raise ValueError(f"no time of day: {clock:#x}")
        text = _clock[clock] = f"T{clock >> 12:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}."
    if microseconds > _MAX_MICROSECONDS:
        raise ValueError(f"{microseconds} microseconds")
    day = packed >> 17
    return f"{_dates.get(day) or date_text(day)}{text}{microseconds:06d}"


def timestamp_text(seconds: int, microseconds: int) -> str:
    """Seconds since 1970 in UTC; zero stands for the zero timestamp."""
    if not seconds and not microseconds:
        return "0000-00-00T00:00:00.000000Z"
    day, second = divmod(seconds, 86400)
    text = _days.get(day)
    if text is None:
        if len(_days) >= _MAX_CACHED:
            _days.clear()
        text = _days[day] = date.fromordinal(_EPOCH + day).isoformat()
    clock = _seconds.get(second)
    if clock is None:
        clock = _seconds[second] = f"T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}."
    if microseconds > _MAX_MICROSECONDS:
        raise ValueError(f"{microseconds} microseconds")
    return f"{text}{clock}{microseconds:06d}Z"


def time_text(packed: int) -> str:
    """Signed: (hour << 12 | minute << 6 | second) << 24 | microseconds."""
    sign, packed = ("-", -packed) if packed < 0 else ("", packed)
    clock, microseconds = packed >> 24, packed & 0xFFFFFF
    hour, minute, second = clock >> 12, clock >> 6 & 63, clock & 63
    if hour > _MAX_HOURS or minute > 59 or second > 59 or microseconds > _MAX_MICROSECONDS:
        raise ValueError(f"no time: {packed:#x}")
    return f"{sign}{hour:02d}:{minute:02d}:{second:02d}.{microseconds:06d}"
