"""Every banner, by what brings it about: what is the case, and what to do."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipeline.changes import Floor, Reload
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.report.document import Document, Problem
from pipeline.report.figures import read_document
from pipeline.rollup import rollup
from pipeline.session import LocalSession, Statement
from schemas.config import ShopConfig
from tests.builders import ORDERS, apply, by_words, decode, event, memory, message, order, sequence, shop, with_columns
from tests.report.test_document import DAY, NOW

ORDER = "order 1 2022-03-01 1 75"


def problems(warehouse: DuckDBWarehouse, config: ShopConfig, now: dt.datetime = NOW) -> list[Problem]:
    return read_document(warehouse, config, now)["problems"]


def with_order(**settings: Any) -> tuple[DuckDBWarehouse, ShopConfig]:
    warehouse, config = memory(), shop(**settings)
    apply(warehouse, config, *by_words([ORDER]))
    rollup(warehouse, config, DAY)
    return warehouse, config


def only(found: list[Problem]) -> tuple[str, str, str]:
    (problem,) = found
    return problem["level"], problem["text"], problem["hint"]


def test_all_is_well() -> None:
    assert problems(*with_order()) == []


def test_nothing_was_loaded() -> None:
    level, text, hint = only(problems(memory(), shop()))
    assert (level, text) == ("error", "The warehouse is empty: nothing of the shop has been loaded.")
    assert "ltv-pipeline batch" in hint


def test_a_file_that_was_never_a_warehouse(tmp_path: Any) -> None:
    path = str(tmp_path / "other.duckdb")
    LocalSession(path).close()
    warehouse = DuckDBWarehouse(LocalSession(path, read_only=True), read_only=True)
    assert only(problems(warehouse, shop()))[1] == "The warehouse is empty: nothing of the shop has been loaded."
    warehouse.close()


def test_nothing_was_rolled_up() -> None:
    warehouse, config = memory(), shop()
    apply(warehouse, config, *by_words([ORDER]))
    level, text, hint = only(problems(warehouse, config))
    assert (level, text) == ("error", "The figures have not been made yet: there was no rollup.")
    assert "ltv-pipeline rollup" in hint


def test_there_are_no_orders_that_count() -> None:
    warehouse, config = memory(), shop()
    apply(warehouse, config, *by_words([f"{ORDER} cancelled"]))
    rollup(warehouse, config, DAY)
    document: Document = read_document(warehouse, config, NOW)
    assert only(document["problems"])[:2] == ("warning", "There is no order that counts up to 2022-04-15.")
    assert document["gross_to_net"][0]["amount"] == "75"


def test_the_rollup_is_older_than_the_data() -> None:
    warehouse, config = with_order()
    apply(warehouse, config, *by_words([ORDER, "order 2 2022-03-02 2 10"]))
    document = read_document(warehouse, config, NOW)
    assert document["freshness"] and document["freshness"]["is_stale"]
    level, text, hint = only(document["problems"])
    assert level == "warning" and text.startswith("Orders or refunds have been written since the rollup of 20")
    assert "ltv-pipeline rollup" in hint
    rollup(warehouse, config, DAY)
    assert problems(warehouse, config) == []


def test_the_rollup_is_of_another_day() -> None:
    warehouse, config = with_order()
    late = dt.datetime(2022, 4, 15, 22, 30, tzinfo=dt.timezone.utc)
    assert only(problems(warehouse, config, late))[:2] == (
        "note",
        "The figures end with 2022-04-15; today is 2022-04-16.",
    )


def test_dead_letters() -> None:
    warehouse, config = memory(), shop()
    apply(warehouse, config, message(ORDERS, event("c", order(1), 1), b'{"op":"\xff"}', id="m1"))
    rollup(warehouse, config, DAY)
    level, text, hint = only(problems(warehouse, config))
    assert level == "warning" and text.startswith("1 change could not be applied, the oldest since 20")
    assert "ltv-pipeline dead-letters" in hint


def test_a_gap() -> None:
    warehouse, config = memory(), shop()
    for number, words in ((1, [ORDER]), (3, [ORDER, "order 2 2022-03-02 2 10"])):
        item = by_words(words)[-1]
        item.attributes.update(source="s", run="r", number=str(number), committed_at="1647300000000000",
                               first_sequence=sequence(number), last_sequence=sequence(number))  # fmt: skip
        apply(warehouse, config, item)
    rollup(warehouse, config, DAY)
    found = problems(warehouse, config)
    assert [problem["level"] for problem in found] == ["warning", "warning"], "it may come yet"
    assert found[0]["text"].startswith("Later changes have arrived, but not all before them, since 20")
    assert found[1]["text"].startswith("The warehouse was ") and " days behind the shop" in found[1]["text"]
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=11)
    assert [problem["level"] for problem in problems(warehouse, config, later)] == ["error", "warning", "note"]


def test_a_table_must_be_loaded_again() -> None:
    warehouse, config = memory(), shop()
    changes = decode(config, *by_words([ORDER]))
    changes.reloads.append(Reload("shop.orders", sequence(30), "ADD COLUMN"))
    changes.floors.append(Floor("orders", sequence(1)))
    warehouse.apply(changes)
    rollup(warehouse, config, DAY)
    level, text, hint = only(problems(warehouse, config))
    assert level == "error" and text.endswith("shop.orders must be loaded again.")
    assert "ltv-pipeline batch --table shop.orders" in hint


def test_what_does_not_add_up_comes_first() -> None:
    warehouse, config = with_order()
    change = "UPDATE main.adds_up SET triangle = 74, is_equal = false WHERE purchase_month IS NULL"
    warehouse.session.run([Statement(change)])
    level, text, hint = only(problems(warehouse, config))
    assert level == "error"
    assert "triangle 74, entries 75, orders 75" in text and "EUR, all months" in text
    assert "ltv-pipeline verify" in hint


def test_an_order_without_a_currency() -> None:
    config = shop(currency=None, tables=with_columns("orders", currency="currency"))
    warehouse = memory()
    apply(
        warehouse, config, *by_words([f"{ORDER} completed -", "order 2 2022-03-02 2 10 completed EUR"], currency=True)
    )
    rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, NOW)
    level, text, hint = only(document["problems"])
    assert level == "warning" and text.startswith("1 order has no currency")
    assert "`currency`" in hint
    assert {currency["code"] for currency in document["currencies"]} == {"", "EUR"}


@pytest.mark.parametrize("field", ["level", "text", "hint"])
def test_every_banner_says_what_to_do(field: str) -> None:
    assert all(problem[field] for problem in problems(memory(), shop()))  # type: ignore[literal-required]
