"""The triangles and averages of the page: those of all customers, and of as many values of each segment as there is
room for, the largest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.report.columns import Columns, month, read, rows, shown
from pipeline.report.document import AVERAGE_MEASURES, MEASURES, Averages, Key, Segment, Triangle
from pipeline.warehouse import Warehouse

CELL_BYTES, GUEST_CELL_BYTES = 150, 60
"""Of a cell with all its measures, about; guests have nothing but zeros after month 0."""

MOST_WHOLE_BYTES = 2_500_000
"""Of the triangles of all customers: a shop of seven currencies and five years."""

MOST_AVERAGES = 30
"""Values of a segment that have averages."""

MOST_AVERAGE_ROWS = 3_600
"""Of all values together: each takes 100 bytes of the page."""

KEY = ("segment", "value", "is_other", "currency", "is_guest")

_RANKED = """
  SELECT segment, COALESCE(CONCAT('=', value), '') AS name, value, is_other, SUM(customers) AS customers,
    ROW_NUMBER() OVER (PARTITION BY segment ORDER BY SUM(customers) DESC, value, is_other) AS place
  FROM ltv_cohorts_by_segment
  WHERE month_number = 0
  GROUP BY segment, value, is_other
"""
"""The values of each segment, the largest first, in the order in which `ltv_triangle` takes them."""

_BYTES = f"""CAST(SUM(
  CASE WHEN cells.is_guest THEN {GUEST_CELL_BYTES} WHEN NOT cells.is_guest THEN {CELL_BYTES} ELSE 0 END
) AS INT64)"""

_OF_VALUE = """
    ON ranked.segment = cells.segment
    AND ranked.name = COALESCE(CONCAT('=', cells.value), '')
    AND ranked.is_other = cells.is_other
"""


@dataclass(frozen=True)
class Size:
    """What a value takes, in all currencies, with guests; its place among the values of its segment."""

    segment: str
    place: int
    size: int


@dataclass(frozen=True)
class Whole:
    """The currencies for whose triangles there is room. `size` in bytes, about."""

    currencies: tuple[str, ...]
    size: int


def whole(warehouse: Warehouse, currencies: Sequence[str]) -> Whole:
    """`currencies`: the most important first."""
    found = read(
        warehouse,
        "ltv_triangle AS cells WHERE segment IS NULL GROUP BY currency",
        ("currency", f"{_BYTES} AS size"),
    )
    sizes = dict(zip(found["currency"], found["size"], strict=True))
    order = [*(code for code in currencies if code in sizes), *sorted(set(sizes) - set(currencies))]
    kept: list[str] = []
    size = 0
    for code in order:
        if not kept or size + sizes[code] <= MOST_WHOLE_BYTES:
            kept.append(code)
            size += sizes[code]
    return Whole(tuple(kept), size)


def fitting(sizes: Sequence[Size], room: int) -> dict[str, int]:
    """Segment → how many of its values, from the first, fit into `room`: in turn, a value of each."""
    chosen: dict[str, int] = {}
    full: set[str] = set()
    for size in sorted(sizes, key=lambda size: (size.place, size.segment)):
        if size.segment in full or size.size > room:
            full.add(size.segment)
            continue
        room -= size.size
        chosen[size.segment] = size.place
    return chosen


def triangle_sizes(warehouse: Warehouse) -> list[Size]:
    """In bytes, about."""
    return _sizes(warehouse, "ltv_triangle", _BYTES)


def average_sizes(warehouse: Warehouse) -> list[Size]:
    """In rows."""
    return _sizes(warehouse, "ltv_averages", "COUNT(cells.currency)")


def _sizes(warehouse: Warehouse, table: str, size: str) -> list[Size]:
    found = read(
        warehouse,
        f"({_RANKED}) AS ranked LEFT JOIN {table} AS cells {_OF_VALUE}"
        f" WHERE ranked.place <= {MOST_AVERAGES} GROUP BY ranked.segment, place",
        ("ranked.segment AS segment", "place", f"{size} AS size"),
    )
    return [Size(row["segment"], row["place"], row["size"]) for row in rows(found)]


def _chosen(places: Mapping[str, int]) -> tuple[str, dict[str, Any]]:
    """GoogleSQL: a row is of all customers, or of a value that has room; and its parameters."""
    wanted = ["cells.segment IS NULL"]
    parameters: dict[str, Any] = {}
    for number, (segment, last) in enumerate(sorted(places.items())):
        wanted.append(f"(cells.segment = @segment_{number} AND ranked.place <= {last})")
        parameters[f"segment_{number}"] = segment
    return " OR ".join(wanted), parameters


def read_triangles(warehouse: Warehouse, currencies: Sequence[str], places: Mapping[str, int]) -> list[Triangle]:
    """Of all customers, and of the first values of each segment, as many as `places` says."""
    wanted, parameters = _chosen(places)
    columns = read(
        warehouse,
        f"ltv_triangle AS cells LEFT JOIN ({_RANKED}) AS ranked {_OF_VALUE} WHERE {wanted}"
        " ORDER BY cells.segment, ranked.place, cells.currency, cells.is_guest, cells.cohort_month, cells.month_number",
        (*(f"cells.{name} AS {name}" for name in KEY), "cohort_month", "month_number", "cells.customers AS customers"),
        tuple(f"cells.{name}" for name in MEASURES),
        parameters,
    )
    groups = list(_groups(columns, KEY))
    return [_triangle(columns, key, start, end) for key, start, end in groups if key["currency"] in currencies]


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


def _triangle(columns: Columns, key: dict[str, Any], start: int, end: int) -> Triangle:
    part = {name: values[start:end] for name, values in columns.items()}
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


def read_averages(warehouse: Warehouse, currencies: Sequence[str], places: Mapping[str, int]) -> list[Averages]:
    wanted, parameters = _chosen(places)
    columns = read(
        warehouse,
        f"ltv_averages AS cells LEFT JOIN ({_RANKED}) AS ranked {_OF_VALUE} WHERE {wanted}"
        " ORDER BY cells.segment, ranked.place, cells.currency, cells.is_guest, cells.month_number",
        (*(f"cells.{name} AS {name}" for name in KEY), "month_number", "cohorts", "cells.customers AS customers"),
        tuple(f"cells.{name}" for name in AVERAGE_MEASURES),
        parameters,
    )
    return [
        {
            "key": _key(key),
            "cohorts": _joined(columns["cohorts"][start:end]),
            "customers": _joined(columns["customers"][start:end]),
            "cells": {name: _joined(columns[name][start:end]) for name in AVERAGE_MEASURES},
        }
        for key, start, end in _groups(columns, KEY)
        if key["currency"] in currencies
    ]


def read_segments(
    warehouse: Warehouse, names: Sequence[str], averages: Mapping[str, int], triangles: Mapping[str, int]
) -> list[Segment]:
    """`names`: the segments of shop.yaml, in its order."""
    values = read(
        warehouse,
        f"({_RANKED}) AS ranked WHERE place <= {MOST_AVERAGES} ORDER BY segment, place",
        ("segment", "value", "is_other", "CAST(customers AS INT64) AS customers"),
    )
    totals = read(warehouse, f"({_RANKED}) AS ranked GROUP BY segment", ("segment", "COUNT(*) AS n"))
    total = dict(zip(totals["segment"], totals["n"], strict=True))
    made: dict[str, Segment] = {}
    for group, start, end in _groups(values, ("segment",)):
        segment = group["segment"]
        last = min(end, start + averages.get(segment, 0))
        made[segment] = {
            "name": segment,
            "values": [
                {
                    "value": shown(values["value"][at]),
                    "is_other": values["is_other"][at],
                    "customers": values["customers"][at],
                }
                for at in range(start, last)
            ],
            "triangles": min(triangles.get(segment, 0), last - start),
            "left_out": total[segment] - (last - start),
        }
    return [made[name] for name in [*names, *sorted(set(made) - set(names))] if name in made]
