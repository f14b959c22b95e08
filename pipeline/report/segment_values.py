"""The values of the segments: their ranks, read once, and for how many of each there is room on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.report.columns import read, rows, shown
from pipeline.report.document import Segment
from pipeline.warehouse import Warehouse

MOST_AVERAGES = 30
"""Values of a segment that have averages."""

MOST_AVERAGE_ROWS = 3_600
"""Of all values together: each takes 100 bytes of the page."""

_RANKED = """(
  SELECT segment, value, is_other, SUM(customers) AS customers,
    ROW_NUMBER() OVER (PARTITION BY segment ORDER BY SUM(customers) DESC, value, is_other) AS place,
    COUNT(*) OVER (PARTITION BY segment) AS values_of_segment
  FROM ltv_cohorts_by_segment
  WHERE month_number = 0
  GROUP BY segment, value, is_other
) AS ranked"""
"""In the order in which `ltv_triangle` takes them."""


@dataclass(frozen=True)
class Value:
    """`place`: its rank in its segment by customers, from 1. `of`: how many values the segment has."""

    segment: str
    value: str | None
    is_other: bool
    customers: int
    place: int
    of: int


@dataclass(frozen=True)
class Size:
    """What a value takes, in all currencies, with guests; its place among the values of its segment."""

    segment: str
    place: int
    size: int


def read_values(warehouse: Warehouse) -> list[Value]:
    """The first 30 of each segment, by segment and place."""
    found = read(
        warehouse,
        f"{_RANKED} WHERE place <= {MOST_AVERAGES} ORDER BY segment, place",
        ("segment", "value", "is_other", "CAST(customers AS INT64) AS customers", "place", "values_of_segment AS of"),
    )
    return [Value(**row) for row in rows(found)]


def sizes(warehouse: Warehouse, values: Sequence[Value], table: str, size: str) -> list[Size]:
    """`size`: GoogleSQL over the rows of a value in `table`."""
    found = read(
        warehouse,
        f"{table} WHERE segment IS NOT NULL GROUP BY segment, value, is_other",
        ("segment", "value", "is_other", f"{size} AS size"),
    )
    known = {(row["segment"], row["value"], row["is_other"]): row["size"] for row in rows(found)}
    return [
        Size(value.segment, value.place, known.get((value.segment, value.value, value.is_other), 0)) for value in values
    ]


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


def first(values: Sequence[Value], places: Mapping[str, int]) -> list[Value]:
    return [value for value in values if value.place <= places.get(value.segment, 0)]


def of_values(values: Sequence[Value]) -> tuple[str, dict[str, Any]]:
    """GoogleSQL: a row is of all customers, or of one of the values; and its parameters."""
    wanted = ["segment IS NULL"]
    parameters: dict[str, Any] = {}
    for number, one in enumerate(values):
        parameters[f"segment_{number}"] = one.segment
        if one.value is not None:
            parameters[f"value_{number}"] = one.value
        value = "IS NULL" if one.value is None else f"= @value_{number}"
        other = "" if one.is_other else "NOT "
        wanted.append(f"(segment = @segment_{number} AND value {value} AND {other}is_other)")
    return " OR ".join(wanted), parameters


def segments(
    names: Sequence[str], values: Sequence[Value], averages: Mapping[str, int], triangles: Mapping[str, int]
) -> list[Segment]:
    """`names`: the segments of shop.yaml, in its order. `averages`, `triangles`: how many of the values have them."""
    made: dict[str, Segment] = {}
    for name, group in groupby(values, key=lambda value: value.segment):
        ranked = list(group)
        listed = first(ranked, averages)
        made[name] = {
            "name": name,
            "values": [
                {"value": shown(value.value), "is_other": value.is_other, "customers": value.customers}
                for value in listed
            ],
            "triangles": min(triangles.get(name, 0), len(listed)),
            "left_out": ranked[0].of - len(listed),
        }
    return [made[name] for name in [*names, *sorted(set(made) - set(names))] if name in made]
