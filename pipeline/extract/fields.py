"""The fields of a column of an extract: text → values of change events, exactly, or what is wrong with them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.column_values import ColumnValues, EventValues
from pipeline.local_time import instant_and_date
from pipeline.values import arrow_type, as_text
from schemas.columns import ColumnType, warehouse_type
from schemas.config import Condition

DIGITS, DECIMALS = 29, 9
"""The most before and after the point that a decimal may have, as in the ltv entries' NUMERIC."""

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_DECIMAL = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?|([+-]?)\.([0-9]+)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6}0*)?)?) ?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")

Values = list[Any]
Problems = dict[int, str]


@dataclass(frozen=True)
class ExtractColumn:
    """A column of an extract: `wire` is its type as in a change event, without the digits of a decimal; those are the
    least that its values are given. `zone`: of times without an offset; "" where each must have one."""

    name: str
    wire: str
    zone: str
    whole: int = 10
    scale: int = 2


@dataclass(frozen=True)
class ParsedValues:
    """Values of a column that are an Arrow array already, all of them good; see `ColumnValues`."""

    array: pa.Array

    def to_arrow(self, kind: ColumnType) -> pa.Array:
        return self.array

    def zero_dates(self, kind: ColumnType) -> list[int]:
        return []

    def misfits(self, kind: ColumnType) -> dict[int, str]:
        return {}

    def shown(self, row: int) -> str:
        return repr(self.array[row].as_py())[:80]

    def without(self, rows: Collection[int]) -> ParsedValues:
        kept = pa.array([row not in rows for row in range(len(self.array))], pa.bool_())
        return ParsedValues(pc.if_else(kept, self.array, pa.scalar(None, self.array.type)))

    def holds(self, condition: Condition) -> pa.Array:
        return pa.array([condition.holds(text) for text in as_text(self.array).to_pylist()], pa.bool_())


def parse(column: ExtractColumn, texts: list[str | None], decimal_comma: bool) -> tuple[ColumnValues, Problems, str]:
    """n fields of a column → n values as change events have them, what is wrong by index, and the type in full."""
    kind = column.wire.partition("(")[0]
    if kind == "varchar":
        return ParsedValues(pa.array(texts, pa.string())), {}, column.wire
    if kind == "json":
        return EventValues(texts), {}, column.wire
    if kind == "set":
        return (
            EventValues([None if text is None else [part for part in text.split(",") if part] for text in texts]),
            {},
            "set",
        )
    array = _at_once(column, texts)
    if array is not None:
        return ParsedValues(array), {}, full_type(column)
    stripped = [None if text is None else text.strip() or None for text in texts]
    wire = full_type(column)
    if kind == "decimal":
        values, problems, wire = _decimals(column, stripped, decimal_comma)
    else:
        values, problems = _PARSERS[kind](column, stripped, decimal_comma)
    return EventValues(values), problems, wire


def full_type(column: ExtractColumn) -> str:
    """The type of a column as far as it is known before any of its values is."""
    return f"decimal({column.whole + column.scale},{column.scale})" if column.wire == "decimal" else column.wire


def has_offset(filled: Sequence[str]) -> bool:
    """Whether most times have one; the others are wrong then."""
    found = [bool(match["offset"]) for match in map(_TIME.fullmatch, filled) if match]
    return sum(found) * 2 > len(found)


def _at_once(column: ExtractColumn, texts: list[str | None]) -> pa.Array | None:
    """The array of a column all of whose values are written as most are; None where one of them has to be looked at."""
    array = pa.array(texts, pa.string())
    target = arrow_type(warehouse_type(full_type(column)))
    plain = _PLAIN.get(column.wire)
    if column.wire == "decimal":
        plain = rf"^-?[0-9]{{1,{column.whole}}}(\.[0-9]{{1,{column.scale}}})?$" if column.scale else _PLAIN["bigint"]
    if plain is None or (column.wire.startswith("timestamp") and column.zone):
        return None
    try:
        fits = pc.all(pc.match_substring_regex(array, plain), min_count=0).as_py()
        return array.cast(target) if fits else None
    except pa.ArrowException:
        return None


_CLOCK = r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_PLAIN = {
    "bigint": r"^(0|-?[1-9][0-9]{0,17})$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "datetime(6)": rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({_CLOCK})?$",
    "timestamp(6)": rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$",
}
"""How most values of a type are written."""


def _decimals(column: ExtractColumn, texts: Sequence[str | None], decimal_comma: bool) -> tuple[Values, Problems, str]:
    values: Values = []
    problems: Problems = {}
    whole, scale = column.whole, column.scale
    for index, text in enumerate(texts):
        if text is None:
            values.append(None)
            continue
        match = _DECIMAL.fullmatch(_point(text, decimal_comma))
        if match is None:
            problems[index] = decimal_problem(text, decimal_comma)
            values.append(None)
            continue
        sign, digits, fraction = match[1] or match[4] or "", match[2] or "0", match[3] or match[5] or ""
        digits, fraction = digits.lstrip("0") or "0", _significant(fraction, scale)
        if len(digits) > max(DIGITS, column.whole) or len(fraction) > max(DECIMALS, column.scale):
            problems[index] = f"{text[:60]} has more digits than {DIGITS} and {DECIMALS} decimals"
            values.append(None)
            continue
        whole, scale = max(whole, len(digits)), max(scale, len(fraction))
        values.append(f"{sign.replace('+', '')}{digits}.{fraction}" if fraction else f"{sign.replace('+', '')}{digits}")
    return values, problems, f"decimal({whole + scale},{scale})"


def _significant(fraction: str, scale: int) -> str:
    """Zeros beyond the column's own decimals say nothing."""
    return fraction if len(fraction) <= scale else fraction[:scale] + fraction[scale:].rstrip("0")


def _point(text: str, decimal_comma: bool) -> str:
    """The number with a point; what holds one already is none where commas are meant."""
    if not decimal_comma:
        return text
    return "" if "." in text else text.replace(",", ".", 1)


def decimal_problem(text: str, decimal_comma: bool) -> str:
    if decimal_comma and "." in text:
        return f"{text[:60]!r} has a point, and --decimal-comma was given"
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{text[:60]!r} has a decimal comma: say --decimal-comma"
    return f"{text[:60]!r} is no number"


def has_decimal_comma(text: str) -> bool:
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None


def _integers(column: ExtractColumn, texts: Sequence[str | None], decimal_comma: bool) -> tuple[Values, Problems]:
    lowest, highest = (0, 2**64) if column.wire == "bigint unsigned" else (-(2**63), 2**63)
    return _each(texts, INTEGER, int, "is no plain integer", lambda number: lowest <= number < highest)


def _floats(column: ExtractColumn, texts: Sequence[str | None], decimal_comma: bool) -> tuple[Values, Problems]:
    texts = [None if text is None else _point(text, decimal_comma) for text in texts]
    return _each(texts, _FLOAT, float, "is no number", lambda number: abs(number) < float("inf"))


def _each(
    texts: Sequence[str | None],
    pattern: re.Pattern[str],
    make: Callable[[str], Any],
    what: str,
    fits: Callable[[Any], bool],
) -> tuple[Values, Problems]:
    values: Values = []
    problems: Problems = {}
    for index, text in enumerate(texts):
        value = make(text) if text is not None and pattern.fullmatch(text) else None
        if text is not None and (value is None or not fits(value)):
            problems[index] = f"{text[:60]!r} {what}"
            value = None
        values.append(value)
    return values, problems


def _dates(column: ExtractColumn, texts: Sequence[str | None], decimal_comma: bool) -> tuple[Values, Problems]:
    """ISO 8601 dates, and those of times."""
    values: Values = []
    problems: Problems = {}
    for index, text in enumerate(texts):
        match = _TIME.fullmatch(text) if text is not None else None
        if text is not None and (match is None or (match["time"] and match["time"].strip("0:."))):
            problems[index] = f"{text[:60]!r} is no date as 2022-01-31 is one"
        values.append(match["date"] if match and index not in problems else None)
    return values, problems


def _times(column: ExtractColumn, texts: Sequence[str | None], decimal_comma: bool) -> tuple[Values, Problems]:
    """ISO 8601 dates and times: with an offset where the column is one of instants, else without."""
    instants = column.wire.startswith("timestamp")
    values: Values = []
    problems: Problems = {}
    walls: list[int] = []
    for index, text in enumerate(texts):
        match = _TIME.fullmatch(text) if text is not None else None
        if match is None:
            if text is not None:
                problems[index] = f"{text[:60]!r} is no time as 2022-01-31 10:00:00 is one"
            values.append(None)
            continue
        wall = f"{match['date']}T{_full(match['time'] or '00:00')}"
        if match["offset"] and not instants:
            problems[index] = f"{text[:60] if text else ''!r} has an offset, which others have not"
        elif match["date"].startswith("0000") or "-00" in match["date"]:
            wall += "Z" if instants else ""  # a zero date, which is counted further on
        elif instants and match["offset"]:
            wall = _in_utc(wall, match["offset"])
            if not wall:
                problems[index] = f"{str(text)[:60]!r} is no time"
        elif instants and column.zone:
            walls.append(index)
        elif instants:
            problems[index] = f"{str(text)[:60]!r} has no offset, which others have"
        values.append(None if index in problems else wall)
    if walls:
        _as_instants(values, walls, column.zone, problems)
    return values, problems


def _full(time: str) -> str:
    """Hours and minutes, and maybe more → down to microseconds."""
    clock, _, fraction = time.partition(".")
    return f"{clock if len(clock) == 8 else clock + ':00'}.{fraction[:6]:0<6}"


def _in_utc(wall: str, offset: str) -> str:
    """A wall-clock time and its offset from UTC → the same instant in UTC; "" where there is none such."""
    if offset == "Z":
        return f"{wall}Z"
    digits = offset[1:].replace(":", "").ljust(4, "0")
    away = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if offset[0] == "-" else 1)
    try:
        instant = dt.datetime.fromisoformat(wall) - away
    except (ValueError, OverflowError):
        return ""
    return f"{instant.isoformat(timespec='microseconds')}Z"


def _as_instants(values: Values, walls: Sequence[int], zone: str, problems: Problems) -> None:
    """Wall-clock times in `zone`, at the indices `walls`, as instants."""
    times: list[dt.datetime | None] = []
    for index in walls:
        try:
            times.append(dt.datetime.fromisoformat(values[index]))
        except ValueError:
            problems[index] = f"{values[index]!r} is no time"
            values[index] = None
            times.append(None)
    instants, _ = instant_and_date(pa.array(times, pa.timestamp("us")), zone, zone)
    for index, instant in zip(walls, instants.cast(pa.timestamp("us")).to_pylist(), strict=True):
        if instant is not None:
            values[index] = f"{instant.isoformat(timespec='microseconds')}Z"


_PARSERS: dict[str, Callable[[ExtractColumn, Sequence[str | None], bool], tuple[Values, Problems]]] = {
    "bigint": _integers,
    "bigint unsigned": _integers,
    "double": _floats,
    "date": _dates,
    "datetime": _times,
    "timestamp": _times,
}
