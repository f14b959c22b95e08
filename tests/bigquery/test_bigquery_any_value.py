"""Any value of any type comes through: event → decode → protobuf → the Storage Write API → query, exactly."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, rows
from tests.builders import decode, event, message, schema, shop
from tests.conftest import LONG
from tests.property.test_any_value import TYPES

NAMES = {f"x{number}": kind for number, kind in enumerate(TYPES)}
ANY = schema("shop.any", {"id": "int", **NAMES})
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | TYPES[kind][0] for name, kind in NAMES.items()}), min_size=1, max_size=12
)


def test_values_come_through(bigquery: BigQueryServer) -> None:
    config = shop(mirror=["shop.any"])
    with bigquery_warehouse(bigquery, mirror=["shop.any"]) as warehouse:

        @settings(
            max_examples=60 if LONG else 12,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(ROWS)
        def check(values: list[dict[str, Any]]) -> None:
            bigquery.clear()
            lines = [event("c", {"id": index, **row}, index + 1) for index, row in enumerate(values)]
            changes = decode(config, message(ANY, *lines))
            assert not changes.dead, changes.dead
            applied = warehouse.apply(changes)
            assert (applied.rows, applied.dead) == (len(values), 0), warehouse.dead_letters()
            stored = rows(warehouse, f"SELECT {', '.join(NAMES)} FROM `any` ORDER BY id")
            for place, (name, kind) in enumerate(NAMES.items()):
                found = [row[place] for row in stored]
                wanted = [_expected(kind, row[name]) for row in values]
                assert found == wanted, kind
                assert [type(value) for value in found] == [type(value) for value in wanted], kind
                if kind == "double":
                    assert [str(value) for value in found] == [str(value) for value in wanted], "-0.0 is not 0.0"

        check()


def _expected(kind: str, value: Any) -> Any:
    if value is None:
        return [] if kind in ("set", "vector") else None  # BigQuery stores no NULL in place of an array
    return TYPES[kind][1](value)
