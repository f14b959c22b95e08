"""Any value of any type comes through: event → decode → DuckDB → query, exactly."""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.singles import shortest_single
from tests.builders import apply, event, memory, message, rows, schema, shop

CONFIG = shop(mirror=["shop.any"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
UTC = dt.timezone.utc
SAME: Any = lambda value: value  # noqa: E731


def times(first: int, last: int) -> Any:
    """Wall-clock times as text, from the year `first` to before the year `last`."""
    days = st.integers(dt.date(first, 1, 1).toordinal(), dt.date(last, 1, 1).toordinal() - 1).map(dt.date.fromordinal)
    return st.builds(dt.datetime.combine, days, st.times()).map(lambda at: at.isoformat(timespec="microseconds"))


def fixed(precision: int, scale: int) -> Any:
    limit = 10**precision - 1
    return st.integers(-limit, limit).map(lambda unscaled: f"{Decimal(unscaled).scaleb(-scale, CONTEXT):.{scale}f}")


def singles(numbers: list[float]) -> list[float]:
    """As four bytes hold them."""
    return list(struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}f", *numbers)))


CONTEXT = Context(prec=80)
TYPES: dict[str, tuple[Any, Any]] = {
    "tinyint": (st.integers(-128, 127), SAME),
    "bigint": (st.integers(-(2**63), 2**63 - 1), SAME),
    "bigint unsigned": (st.integers(0, 2**64 - 1), Decimal),
    "bit(64)": (st.integers(0, 2**64 - 1), Decimal),
    "year": (st.integers(0, 2155), SAME),
    "decimal(12,2)": (fixed(12, 2), Decimal),
    "decimal(38,9)": (fixed(38, 9), lambda text: CONTEXT.create_decimal(text)),
    "decimal(38,38)": (fixed(38, 38), lambda text: CONTEXT.create_decimal(text)),
    "decimal(65,30)": (fixed(65, 30), SAME),
    "double": (st.floats(allow_nan=False, allow_infinity=False), SAME),
    "varchar": (TEXT, SAME),
    "enum": (TEXT, SAME),
    "time": (st.sampled_from(["-838:59:59.000000", "00:00:00.000001"]), SAME),
    "set": (st.lists(TEXT, max_size=4), SAME),
    "blob": (st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode()), base64.b64decode),
    "json": (st.recursive(st.none() | st.booleans() | st.integers(-99, 99) | TEXT, st.lists).map(json.dumps), SAME),
    "uuid": (st.uuids().map(str), SAME),
    "inet4": (st.ip_addresses(v=4).map(str), SAME),
    "inet6": (st.ip_addresses(v=6).map(str), SAME),
    "vector": (st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32).map(shortest_single)), singles),
    "date": (st.dates(dt.date(1000, 1, 1)).map(dt.date.isoformat), dt.date.fromisoformat),
    "datetime(6)": (times(1000, 9999), dt.datetime.fromisoformat),
    "timestamp(6)": (
        times(1970, 2038).map(lambda text: f"{text}Z"),
        lambda text: dt.datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_value_comes_through(kind: str, data: st.DataObject) -> None:
    strategy, expected = TYPES[kind]
    values = data.draw(st.lists(st.none() | strategy, min_size=1, max_size=20))
    lines = [event("c", {"id": index, "x": value}, index + 1) for index, value in enumerate(values)]
    warehouse = memory()
    changes = apply(warehouse, CONFIG, message(schema("shop.any", {"id": "int", "x": kind}), *lines))
    assert not changes.dead, changes.dead
    found = [value for (value,) in rows(warehouse, "SELECT x FROM `any` ORDER BY id")]
    wanted = [None if value is None else expected(value) for value in values]
    assert found == wanted
    assert [type(value) for value in found] == [type(value) for value in wanted]
    if kind == "double":
        assert [str(value) for value in found] == [str(value) for value in wanted], "-0.0 is not 0.0"
