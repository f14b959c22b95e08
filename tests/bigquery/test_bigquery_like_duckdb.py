"""The two warehouses after the same changes: every raw table, view and rolled-up table row by row."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.changes import Floor, Reload
from pipeline.rollup import ROLLED_UP, rollup, rollup_queries
from schemas.event import Message
from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, columns_of, contents, differences, rows
from tests.builders import (
    ORDER_COLUMNS,
    apply,
    by_words,
    decode,
    event,
    letter,
    memory,
    message,
    order,
    schema,
    sequence,
    shop,
)
from tests.conftest import LONG
from tests.rollup_cases import CASES, config_of, found_and_expected, rolled_up_case

ANY_TYPE = {
    "id": "int", "u": "bigint unsigned", "d": "decimal(12,2)", "e": "decimal(38,30)", "f": "double", "s": "varchar(9)",
    "b": "blob", "day": "date", "at": "datetime(6)", "ts": "timestamp(6)", "j": "json", "many": "set", "v": "vector",
}  # fmt: skip
ANY_VALUES = [
    {"id": 1, "u": 2**64 - 1, "d": "-0.01", "e": "12345678.000000000000000000000000000001", "f": 0.1, "s": "é'\\`\n",
     "b": "/wA=", "day": "1000-01-01", "at": "9999-12-31T23:59:59.999999", "ts": "2038-01-19T03:14:07.999999Z",
     "j": '{"b": 1, "a": [1.50, null]}', "many": ["a", "b,c"], "v": [1.5, -0.25]},
    {"id": 2, "u": 0, "d": "9999999999.99", "e": "-99999999.999999999999999999999999999999", "f": -1e300, "s": "",
     "b": "", "day": "9999-12-31", "at": "1000-01-01T00:00:00.000000", "ts": "1970-01-01T00:00:01.000000Z", "j": "null",
     "many": [], "v": []},
    {"id": 3, **dict.fromkeys(list(ANY_TYPE)[1:])},
]  # fmt: skip


def a_stream() -> list[Message]:
    """Every kind of change: versions, deletes, refunds, a truncate, a mirrored table, dead letters, a new column."""
    chance = random.Random(11)
    words = []
    for at in range(60):
        key, day = chance.randint(1, 12), dt.date(2022, 1, 1) + dt.timedelta(days=at * 2)
        if chance.random() < 0.7:
            status = chance.choice(["completed", "shipped", "cancelled"])
            words.append(
                f"order {key} {day} {chance.choice(['-', '1', '2', '3'])} {chance.choice(['10.00', '0.01'])} {status}"
            )
        else:
            words.append(f"charge {key} {chance.randint(1, 12)} -{chance.choice(['1.50', '0.01'])} {day}")
    words += ["delete " + " ".join(word.split()[:2]) for word in words if chance.random() < 0.1]
    messages = by_words(words)
    for number, item in enumerate(messages, 1):
        item.attributes.update(source="s", run="r", number=str(number), committed_at="1657811000000000",
                               first_sequence=sequence(number), last_sequence=sequence(number))  # fmt: skip
    wide = schema("shop.orders", {**ORDER_COLUMNS, "note": "varchar", "weight": "decimal(38,20)"})
    any_table = schema("shop.any", ANY_TYPE)
    return [
        *messages,
        message(wide, event("u", order(3, note="ñ", weight="0.00000000000000000001"), 1001), id="wide"),
        message(any_table, *(event("c", row, 1002 + at) for at, row in enumerate(ANY_VALUES)), id="any"),
        message(any_table, event("d", ANY_VALUES[1], 1010), id="gone"),
        message(schema("shop.orders", {"id": "bigint"}), letter(7, 1011), b"{", id="dead"),
        message(schema("shop.charges", {"id": "bigint"}), event("t", None, sequence(20)), id="floor"),
    ]


CONFIG: dict[str, Any] = {"mirror": ["shop.any"]}


@pytest.mark.parametrize("groups", ["one by one", "all at once", "shuffled, each twice"])
def test_every_table_is_the_same(bigquery: BigQueryServer, groups: str) -> None:
    config, messages, duckdb = shop(**CONFIG), a_stream(), memory()
    changes = decode(config, *messages)
    changes.floors.append(Floor("orders", sequence(2)))
    changes.reloads.append(Reload("shop.any", sequence(30), "ADD COLUMN"))
    duckdb.check_settings(config)
    duckdb.apply(changes)
    with bigquery_warehouse(bigquery, **CONFIG) as warehouse:
        warehouse.check_settings(config)
        if groups == "all at once":
            warehouse.apply(changes)
        else:
            single = [*messages, *messages] if "twice" in groups else list(messages)
            if "twice" in groups:
                random.Random(5).shuffle(single)
            for item in single:
                warehouse.apply(decode(config, item))
            last = decode(config, messages[-1])
            last.floors, last.reloads = changes.floors, changes.reloads
            warehouse.apply(last)
        assert {table: set(names) for table, names in columns_of(warehouse).items()} == {
            table: set(names) for table, names in columns_of(duckdb).items()
        }
        for one in (warehouse, duckdb):
            rollup(one, config, dt.date(2022, 4, 15))
        columns = columns_of(duckdb)
        found = contents(warehouse, columns, rolled_up=True), contents(duckdb, columns, rolled_up=True)
        unlike = differences(*found)
        assert not unlike, "\n".join(unlike)
        assert len(found[0]["raw.orders_history"]) > 30 and len(found[0]["ltv_cohorts"]) > 3
        assert not any(table.changes.mixed for table in bigquery.tables.of("local-shop", f"{bigquery.dataset}_raw"))


INEXACT = (
    "product_stats: the price is rounded half away from zero",
    *(f"{table}: an LTV whose ten-thousandths" for table in ("ltv_cohorts", "ltv_cohorts_by_segment")),
    *(f"{table}: sums whose ten-thousandths" for table in ("ltv_triangle", "ltv_averages")),
)
"""Cases that the emulator cannot have right: it divides NUMERIC as floats."""


def test_cases_of_the_rollup(bigquery: BigQueryServer) -> None:
    """On both engines, and as the case says; those of shops that are configured alike in one dataset. Each takes many
    statements, so of each table every fourth case is run, and all where LONG_TESTS is set."""
    alike: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    numbers: dict[str, int] = {}
    for name, case in CASES:
        numbers[name.split(":")[0]] = number = numbers.get(name.split(":")[0], -1) + 1
        if name.startswith(INEXACT) or not (LONG or number % 4 == 0):
            continue
        alike.setdefault(config_of(case).model_dump_json(), []).append((name, case))
    failed = []
    for cases in alike.values():
        with bigquery.fresh(), bigquery_warehouse(bigquery) as warehouse:
            for name, case in cases:
                duckdb = memory()
                bigquery.clear()
                for one in (duckdb, warehouse):
                    rolled_up_case(case, one, all_tables=False)
                both = zip(found_and_expected(case, warehouse), found_and_expected(case, duckdb), strict=True)
                for (what, theirs, wanted), (_, ours, _) in both:
                    found = _plain(theirs), _plain(ours)
                    failed += [f"{name}, {what}: {found[0]} and {found[1]}"] if found[0] != found[1] else []
                    failed += [f"{name}, {what}: {found[0]}, not {wanted}"] if found[0] != _plain(wanted) else []
    assert not failed, "\n".join(failed)


def _plain(lines: list[str]) -> list[str]:
    """Numbers without the zeros that tell a scale."""
    return sorted(
        " ".join(word.rstrip("0").rstrip(".") if "." in word else word for word in line.split()) for line in lines
    )


@pytest.mark.parametrize(("table", "query"), rollup_queries())
def test_a_rollup_names_what_it_reads(table: str, query: str) -> None:
    tree = sqlglot.parse_one(query, read="bigquery")
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    for select in tree.find_all(exp.Select):
        sources = {source.name for source in select.find_all(exp.Table) if source.parent_select is select}
        if sources - own:
            assert not any(one.is_star for one in select.expressions), f"SELECT * from {sources - own} in {table}"


def test_a_rollup_reads_only_what_it_needs(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery) as warehouse:
        apply_to(warehouse, ["order 1 2022-01-13 1 75", "charge 1 1 -5 2022-02-01"])
        rollup(warehouse, shop(), dt.date(2022, 3, 1))
        for table, query in rollup_queries():
            before = warehouse.client.bytes_scanned
            warehouse.replace_tables([(table, query)], {"as_of": dt.date(2022, 3, 1)})
            read = warehouse.client.bytes_scanned - before
            tables = ["orders", "charges"] if "_facts" in query or "order_amounts" in query else []
            tables += ["ltv_entries"] if tables or " ltv_entries" in query or "raw." in query else []
            most = sum(
                one.bytes_of({column.name.lower() for column in one.layout.columns})
                for one in map(bigquery.table, tables)
            )
            # rolled-up tables weigh nothing in the emulator
            assert 0 < read < most + 200 if tables else read == 0, table


def apply_to(warehouse: BigQueryWarehouse, words: list[str]) -> None:
    changes = decode(shop(), *by_words(words))
    warehouse.apply(changes)
    assert not changes.dead


def test_a_rollup_is_cut_sorted_and_replaced(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery) as warehouse:
        apply_to(warehouse, ["order 1 2022-01-13 1 75"])
        for _ in range(2):
            counts = rollup(warehouse, shop(), dt.date(2022, 3, 1))
        assert set(counts) == {table for table, _ in rollup_queries()}
        assert {"ltv_cohorts": 3, "ltv_monthly": 1, "order_first_purchase": 1}.items() <= counts.items()
        stored = warehouse.client.table(bigquery.dataset, "ltv_cohorts")
        assert stored is not None and (stored.partition, stored.cluster) == (
            "cohort_month",
            ("currency", "month_number"),
        )
        apply_to(warehouse, ["order 1 2022-01-13 1 75", "delete order 1"])
        assert rollup(warehouse, shop(), dt.date(2022, 3, 1))["ltv_cohorts"] == 0
        assert rows(warehouse, "SELECT as_of FROM rolled_up") == [(dt.date(2022, 3, 1),)]
        assert "entries_mark" in ROLLED_UP


def test_both_are_derived_from_the_same_messages(bigquery: BigQueryServer) -> None:
    """A later process writes on: settings, epoch and tables are those that the first has made."""
    config, duckdb = shop(), memory()
    apply(duckdb, config, *by_words(["order 1 2022-01-13 1 75"]))
    with bigquery_warehouse(bigquery) as warehouse:
        warehouse.check_settings(config)
        warehouse.apply(decode(config, *by_words(["order 1 2022-01-13 1 75"])))
    with bigquery_warehouse(bigquery) as again:
        assert again.highest_epoch() == duckdb.highest_epoch() == "0001"
        again.check_settings(config)
        again.remember("x", "1")
        assert (again.recall("x"), again.recall("nothing")) == ("1", None)
        assert set(again.raw_tables()["orders"].columns) == set(duckdb.raw_tables()["orders"].columns)
        assert again.raw_tables()["orders"].key == ("id",)
