"""The cases of `unit/rollup/*.yaml`: changes in words, and what the rolled-up tables hold then.

`changes`, and `then` what comes after a first rollup (of `first_as_of`); `as_of`; `expect`: table → header and rows. In
place of a table stands a SELECT in parentheses, or `table.cte`: one CTE of the table's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.changes import Changes
from pipeline.deploy.rollup_scripts import read_tables
from pipeline.facts import before_views, fact_views
from pipeline.rollup import rollup, rollup_queries
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from tests.builders import FURTHER, MAPPED, by_words, decode, shop, texts

CASES = [
    (f"{file.stem}: {case['name']}", case)
    for file in sorted((Path(__file__).parent / "unit" / "rollup").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
LAST_SELECT = "\n)\nSELECT"


def config_of(case: dict[str, Any]) -> ShopConfig:
    """The shop of a case: it maps what the changes name."""
    kinds = {line.removeprefix("delete ").split()[0] for line in [*case["changes"], *case.get("then", [])]}
    roles = {role: dict(table) for role, table in MAPPED.items() if role in ("orders", *case.get("roles", ["charges"]))}
    for kind, role in (("item", "order_items"), ("refund", "refunds"), ("customer", "customers")):
        if kind in kinds:
            roles[role] = dict(FURTHER[role])
    more: dict[str, Any] = {}
    if any("country=" in line for line in case["changes"]):
        roles["orders"]["columns"] = {**roles["orders"]["columns"], "country": "country"}
        more["segments"] = ["country"]
    if case.get("currencies"):
        more["currency"] = None
        for role in ("orders", "charges", "refunds"):
            if role in roles:
                roles[role]["columns"] = {**roles[role]["columns"], "currency": "currency"}
    return shop(tables=roles, **more)


def rolled_up_case(case: dict[str, Any], warehouse: Warehouse, *, all_tables: bool = True) -> None:
    """Applies the changes of a case to an empty warehouse and rolls it up; or only the tables that the case names."""
    config = config_of(case)
    words, first = [*case["changes"], *case.get("then", [])], len(case["changes"])
    messages = by_words(words, case.get("currencies", False), instants=case.get("instants", False))
    _apply(warehouse, decode(config, *messages[:first]))
    if "then" in case:
        rollup(warehouse, config, case.get("first_as_of", case["as_of"]))
        _apply(warehouse, decode(config, *messages[first:]))
    if all_tables or "then" in case:
        rollup(warehouse, config, case["as_of"])
    else:
        _roll_up_named(case, warehouse, config)


def _roll_up_named(case: dict[str, Any], warehouse: Warehouse, config: ShopConfig) -> None:
    named = " ".join(case["expect"])
    wanted = {table for table, _ in rollup_queries() if table in named}
    for table, sql in reversed(rollup_queries()):  # those that are made of others come last
        wanted |= read_tables(sql) if table in wanted else set()
    queries = [(table, sql) for table, sql in rollup_queries() if table in wanted]
    views = [*fact_views(config, warehouse.raw_tables()), *before_views(False)]
    warehouse.replace_views([(view, sql) for view, sql in views if any(view in query for _, query in queries)])
    warehouse.replace_tables(queries, {"as_of": case["as_of"]})


def _apply(warehouse: Warehouse, changes: Changes) -> None:
    assert not changes.dead
    warehouse.apply(changes)


def found_and_expected(case: dict[str, Any], warehouse: Warehouse) -> Iterator[tuple[str, list[str], list[str]]]:
    """(what is expected of, its rows, the rows expected)."""
    for table, (header, *lines) in case["expect"].items():
        sql = selected(table, ", ".join(header.split()))
        parameters = {"as_of": case["as_of"]} if "@as_of" in sql else {}
        yield table, sorted(texts(warehouse, sql, parameters)), sorted(" ".join(line.split()) for line in lines)


def selected(table: str, columns: str) -> str:
    """A query of a table, of a SELECT in parentheses, or of one CTE of a table's file."""
    if "." in table and not table.startswith("("):
        name, cte = table.split(".")
        sql = dict(rollup_queries())[name]
        return f"{sql[: sql.rindex(LAST_SELECT) + 2]}\nSELECT {columns} FROM {cte}"
    return f"SELECT {columns} FROM {table}"
