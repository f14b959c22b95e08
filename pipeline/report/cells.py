"""The triangles and averages of the page: those of all customers, and those of values of segments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.report.columns import Columns, month, read, shown
from pipeline.report.document import AVERAGE_MEASURES, MEASURES, Averages, Key, Triangle
from pipeline.report.segment_values import Size, Value, of_values, sizes
from pipeline.warehouse import Warehouse

CELL_BYTES, GUEST_CELL_BYTES = 150, 60
"""Of a cell with all its measures, about; guests have nothing but zeros after month 0."""

MOST_WHOLE_BYTES = 2_500_000
"""Of the triangles of all customers: a shop of seven currencies and five years."""

KEY = ("segment", "value", "is_other", "currency", "is_guest")

_BYTES = f"CAST(SUM(IF(is_guest, {GUEST_CELL_BYTES}, {CELL_BYTES})) AS INT64)"


@dataclass(frozen=True)
class Whole:
    """The currencies for whose triangles there is room. `size` in bytes, about."""

    currencies: tuple[str, ...]
    size: int


def whole(warehouse: Warehouse, currencies: Sequence[str]) -> Whole:
    """`currencies`: the most important first."""
    found = read(warehouse, "ltv_triangle WHERE segment IS NULL GROUP BY currency", ("currency", f"{_BYTES} AS size"))
    known = dict(zip(found["currency"], found["size"], strict=True))
    order = [*(code for code in currencies if code in known), *sorted(set(known) - set(currencies))]
    kept: list[str] = []
    size = 0
    for code in order:
        if not kept or size + known[code] <= MOST_WHOLE_BYTES:
            kept.append(code)
            size += known[code]
    return Whole(tuple(kept), size)


def triangle_sizes(warehouse: Warehouse, values: Sequence[Value]) -> list[Size]:
    """In bytes, about."""
    return sizes(warehouse, values, "ltv_triangle", _BYTES)


def average_sizes(warehouse: Warehouse, values: Sequence[Value]) -> list[Size]:
    """In rows."""
    return sizes(warehouse, values, "ltv_averages", "COUNT(*)")


@dataclass(frozen=True)
class _Kind:
    """A table of cells: its columns beside the key and the month number, those that are texts, and the order within a
    key."""

    table: str
    plain: tuple[str, ...]
    measures: tuple[str, ...]
    order: str


_TRIANGLES = _Kind("ltv_triangle", ("cohort_month", "customers"), MEASURES, "cohort_month, month_number")
_AVERAGES = _Kind("ltv_averages", ("cohorts", "customers"), AVERAGE_MEASURES, "month_number")

_Part = tuple[dict[str, Any], Columns]
"""A key, and the columns of its rows."""


def read_triangles(warehouse: Warehouse, currencies: Sequence[str], values: Sequence[Value]) -> list[Triangle]:
    """Of all customers, and of the values, in their order."""
    return [_triangle(key, part) for key, part in _parts(warehouse, _TRIANGLES, currencies, values)]


def read_averages(warehouse: Warehouse, currencies: Sequence[str], values: Sequence[Value]) -> list[Averages]:
    return [
        {
            "key": _key(key),
            "cohorts": _joined(part["cohorts"]),
            "customers": _joined(part["customers"]),
            "cells": {name: _joined(part[name]) for name in AVERAGE_MEASURES},
        }
        for key, part in _parts(warehouse, _AVERAGES, currencies, values)
    ]


def _parts(warehouse: Warehouse, kind: _Kind, currencies: Sequence[str], values: Sequence[Value]) -> list[_Part]:
    wanted, parameters = of_values(values)
    columns = read(
        warehouse,
        f"{kind.table} WHERE {wanted} ORDER BY {', '.join(KEY)}, {kind.order}",
        (*KEY, "month_number", *kind.plain),
        kind.measures,
        parameters,
    )
    place = {(one.segment, one.value, one.is_other): number for number, one in enumerate(values)}
    found = [
        (place.get((key["segment"], key["value"], key["is_other"]), -1), key, start, end)
        for key, start, end in _groups(columns, KEY)
        if key["currency"] in currencies
    ]
    found.sort(key=lambda part: part[0])
    return [(key, _rows(columns, start, end)) for _, key, start, end in found]


def _rows(columns: Columns, start: int, end: int) -> Columns:
    return {name: values[start:end] for name, values in columns.items()}


def _groups(columns: Columns, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Neighbours that are alike in `names`, as (their values, first row, row behind the last)."""
    keys = zip(*(columns[name] for name in names), strict=True)
    start = 0
    for key, same in groupby(keys):
        end = start + sum(1 for _ in same)
        yield dict(zip(names, key, strict=True)), start, end
        start = end


def _key(found: dict[str, Any]) -> Key:
    return {
        "segment": found["segment"],
        "value": shown(found["value"]),
        "is_other": found["is_other"],
        "currency": found["currency"],
        "is_guest": found["is_guest"],
    }


def _triangle(key: dict[str, Any], part: Columns) -> Triangle:
    made: Triangle = {"key": _key(key), "cohorts": [], "customers": [], "cells": {name: [] for name in MEASURES}}
    following: dt.date | None = None
    for group, first, behind in _groups(part, ("cohort_month",)):
        cohort, months = group["cohort_month"], behind - first
        while following is not None and following < cohort:  # a month in which nobody bought first
            _add(made, following, 0, ["-"] * (months + _months_between(following, cohort)))
            following = _next(following)
        made["cohorts"].append(month(cohort))
        made["customers"].append(part["customers"][first])
        for name in MEASURES:
            made["cells"][name].append(_joined(part[name][first:behind]))
        following = _next(cohort)
    return made


def _add(made: Triangle, cohort: dt.date, customers: int, texts: list[str]) -> None:
    made["cohorts"].append(month(cohort))
    made["customers"].append(customers)
    for name in MEASURES:
        made["cells"][name].append(" ".join(texts))


def _next(day: dt.date) -> dt.date:
    return dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _months_between(earlier: dt.date, later: dt.date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def _joined(texts: Sequence[Any]) -> str:
    return " ".join("-" if text is None else str(text) for text in texts)
