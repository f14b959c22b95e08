"""A value is stored exactly, or not at all (`schemas/types.md`)."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.column_values import EventValues
from pipeline.values import ValueProblem, is_zero_date, misfits, to_arrow
from schemas.columns import warehouse_type


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bigint", True), ("bigint", 1.0), ("bigint", "5"), ("bigint", 2**63), ("bigint", []), ("bigint", {}),
        ("bigint unsigned", -1.5), ("bigint unsigned", 10**20), ("bigint unsigned", True),
        ("decimal(5,2)", "12345.00"), ("decimal(5,2)", "1.234"), ("decimal(5,2)", ""), ("decimal(5,2)", "1,5"),
        ("decimal(5,2)", 1.5), ("decimal(5,2)", "Infinity"), ("decimal(5,2)", " 1"), ("decimal(5,2)", "1_0"),
        ("double", "5"), ("double", True), ("double", 2**53 + 1),
        ("varchar", 5), ("varchar", True), ("varchar", ["a"]), ("varchar", {}),
        ("set", "abc"), ("set", [1]), ("set", {}), ("set", 5),
        ("json", {"a": 1}), ("json", 5), ("json", "x"), ("json", ""), ("json", '{"a":1'), ("json", '{"a": NaN}'),
        ("date", "2022-02-30"), ("date", "2022-1-3"), ("date", "20220113"), ("date", 19005), ("date", ""),
        ("datetime", "2022-01-13T10:00:00Z"), ("datetime", "2022-01-13T24:00:00"), ("datetime", 5),
        ("datetime", "2022-01-13T10:00:00.1234567"),
        ("timestamp", "2022-01-13T10:00:00"), ("timestamp", "2022-01-13"), ("timestamp", 5),
        ("vector", "abc"), ("vector", [True]), ("vector", [None]), ("vector", ["1"]), ("vector", {}), ("vector", 5),
        ("vector", [1e39]), ("vector", [0.1234567890123]), ("vector", [1e-46]), ("vector", [float("nan")]),
        ("uuid", 5), ("inet4", ["a"]), ("inet6", True),
        ("blob", "aGk"), ("blob", "a b="), ("blob", "é"), ("blob", 5),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_spares_the_rest(kind: str, value: Any) -> None:
    column = warehouse_type(kind)
    with pytest.raises(ValueProblem) as raised:
        to_arrow([None, value], column)
    assert 0 < len(str(raised.value)) <= 200
    assert set(misfits([None, value, None], column)) == {1}


@pytest.mark.parametrize(
    "kind",
    ["bigint", "decimal(5,2)", "double", "varchar", "blob", "date", "timestamp", "set", "json", "uuid", "vector"],
)
def test_null_fits_everywhere(kind: str) -> None:
    assert to_arrow([None, None], warehouse_type(kind)).null_count == 2


@pytest.mark.parametrize(
    ("value", "zero"),
    [
        ("0000-00-00", True),
        ("0000-00-00T00:00:00.000000", True),
        ("2022-00-13", True),
        ("2022-01-00T00:00:00Z", True),
        ("2022-01-10", False),
        ("2000-10-10", False),
        (None, False),
        (0, False),
    ],
)
def test_zero_dates(value: Any, zero: bool) -> None:
    assert is_zero_date(value) is zero
    values = EventValues([None, value])
    assert values.zero_dates(warehouse_type("datetime")) == ([1] if zero else [])
    assert values.zero_dates(warehouse_type("varchar")) == [], "text may say what it likes"
    assert values.without([1]).values == [None, None]
