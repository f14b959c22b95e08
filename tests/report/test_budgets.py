"""What has no room on the page is counted, never forgotten."""

from __future__ import annotations

import pytest

from pipeline.report import cells, changes, figures, products, reconciliation, segment_values
from pipeline.report.columns import shown
from pipeline.report.currencies import minor_digits
from pipeline.report.figures import read_document
from pipeline.report.segment_values import Size, fitting
from pipeline.rollup import rollup
from tests.builders import FURTHER, MAPPED, apply, by_words, memory, shop, with_columns
from tests.report.test_document import DAY, NOW, WORDS, document_of


@pytest.mark.parametrize(
    ("sizes", "room", "chosen"),
    [
        ([], 100, {}),
        ([Size("a", 1, 60), Size("b", 1, 60)], 100, {"a": 1}),
        ([Size("a", 1, 30), Size("a", 2, 30), Size("b", 1, 30)], 90, {"a": 2, "b": 1}),
        ([Size("a", 1, 30), Size("a", 2, 30), Size("b", 1, 30)], 60, {"a": 1, "b": 1}),
        # What does not fit ends its segment: the values with triangles are the first ones.
        (
            [Size("a", 1, 30), Size("a", 2, 80), Size("a", 3, 10), Size("b", 1, 30), Size("b", 2, 30)],
            100,
            {"a": 1, "b": 2},
        ),
        ([Size("a", 1, 10)], -5, {}),
    ],
)
def test_values_have_their_turns(sizes: list[Size], room: int, chosen: dict[str, int]) -> None:
    assert fitting(sizes, room) == chosen


@pytest.mark.parametrize(("code", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("", 2), ("ZZZ", 2)])
def test_digits_of_a_minor_unit(code: str, digits: int) -> None:
    assert minor_digits(code) == digits


def test_a_text_is_cut_and_still_itself() -> None:
    assert shown(None) is None
    assert shown("x" * 200) == "x" * 200
    cut, other = shown("x" * 201), shown("x" * 202)
    assert cut and other and len(cut) == len(other) == 200 and cut != other
    assert cut.startswith("xxx") and "…" in cut


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (products, "_LARGEST", products._LARGEST.replace(str(products.MOST), "1")),
        (reconciliation, "MOST", 1),
        (changes, "MOST_CELLS", 1),
        (changes, "MOST_ORDERS", 1),
        (segment_values, "MOST_AVERAGE_ROWS", 3),
        (figures, "MOST_BYTES", 5_000),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small")
def test_what_is_left_out_is_counted() -> None:
    config, warehouse = shop(tables={**MAPPED, "order_items": FURTHER["order_items"]}), memory()
    for part in (WORDS[:2], WORDS[2:]):
        apply(warehouse, config, *by_words(part))
        rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, NOW)
    assert (len(document["products"]["rows"]), document["products"]["left_out"]) == (1, 1)
    assert (len(document["reconciliation"]["orders"]), document["reconciliation"]["left_out"]) == (1, 1)
    found = document["changes"]
    assert (len(found["orders"]), len(found["cells"])) == (1, 1)
    assert (found["left_out"], found["cells_left_out"]) == (3, 3)
    assert document["segments"] == [
        {
            "name": "first product",
            "values": [{"value": None, "is_other": False, "customers": 1}],
            "triangles": 0,
            "left_out": 2,
        }
    ]
    assert {triangle["key"]["segment"] for triangle in document["triangles"]} == {None}


def test_orders_of_many_cells_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"order {number} 2022-{1 + number % 4:02}-01 {number % 3} {number}" for number in range(1, 60)]
    filled = {(cell.rpartition(" ")) for cell in document_of(words, shop())["cell_orders"]["cells"]}
    monkeypatch.setattr(figures, "MOST_CELL_ORDERS", 2 * len(filled))
    assert document_of(words, shop())["cell_orders"]["limit"] == 2
    assert document_of(words, shop(), orders_per_cell=9)["cell_orders"]["limit"] == 9


def test_currencies_for_which_there_is_no_room_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_WHOLE_BYTES", 2_000)
    config = shop(currency=None, tables=with_columns("orders", currency="currency"))
    words = ["order 1 2022-01-01 1 10 completed SEK", "order 2 2022-01-01 2 5 completed EUR",
             "order 3 2022-01-01 3 7 completed EUR"]  # fmt: skip
    document = document_of(words, config)
    assert [currency["code"] for currency in document["currencies"]] == ["EUR", "SEK"]
    monkeypatch.setattr(cells, "MOST_WHOLE_BYTES", 700)
    document = document_of(words, config)
    assert [currency["code"] for currency in document["currencies"]] == ["EUR"]
    assert {triangle["key"]["currency"] for triangle in document["triangles"]} == {"EUR"}
    assert "no room in this page for the cohorts in SEK" in document["problems"][0]["text"]


def test_a_column_that_holds_no_currencies_does_not_fill_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_WHOLE_BYTES", 2_000)
    monkeypatch.setattr(figures, "NAMED_CURRENCIES", 3)
    config = shop(currency=None, tables=with_columns("orders", currency="currency"))
    words = [f"order {number} 2022-01-01 1 10 completed {'Q' * 300}{number:03}" for number in range(60)]
    document = document_of(
        [*words, "order 99 2022-01-01 1 1 completed EUR", "order 98 2022-01-01 1 1 completed EUR"], config
    )
    assert document["currencies"][0]["code"] == "EUR"
    shown_currencies = {currency["code"] for currency in document["currencies"]}
    for name in ("months", "gross_to_net", "adds_up"):
        found = {row["currency"] for row in document[name]}  # type: ignore[literal-required]
        assert len(found - shown_currencies) == 3, name
    (problem,) = document["problems"]
    assert problem["text"].startswith("There is no room") and len(problem["text"]) < 800
