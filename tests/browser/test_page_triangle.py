"""The LTV triangle in a browser: the case study's numbers, every choice, open, zero and blank, the orders behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Open
from tests.browser.reader import reading, write
from tests.report import documents

CUMULATED_NET = [
    ["Cohort", "Customers", "Month 0", "1", "2", "3", "4", "5", "6"],
    ["Jan 2022", "2", "225.00", "375.00", "375.00", "375.00", "375.00", "375.00", "625.00"],
    ["Feb 2022", "0", "0", "0", "0", "0", "0", "0"],
    ["Mar 2022", "0", "0", "0", "0", "0", "0"],
    ["Apr 2022", "1", "150.00", "150.00", "150.00", "150.00"],
    ["Average", "", "187.50", "262.50", "262.50", "375.00", "375.00", "375.00"],
    ["of n cohorts", "", "2", "2", "2", "1", "1", "1"],
]


def test_it_shows_the_case_study(read: Open) -> None:
    assert read("case study").triangle() == CUMULATED_NET


@pytest.mark.parametrize(
    ("state", "january"),
    [
        ({"money": "gross"}, ["225.00", "375.00", "375.00", "375.00", "375.00", "375.00", "675.00"]),
        ({"sum": "month"}, ["225.00", "150.00", "0", "0", "0", "0", "250.00"]),
        ({"sum": "month", "money": "gross"}, ["225.00", "150.00", "0", "0", "0", "0", "300.00"]),
        ({"by": "customer"}, ["112.50", "187.50", "187.50", "187.50", "187.50", "187.50", "312.50"]),
        ({"by": "share"}, ["100.0%", "166.7%", "166.7%", "166.7%", "166.7%", "166.7%", "277.8%"]),
        (
            {"by": "share", "sum": "month", "money": "gross"},
            ["100.0%", "66.7%", "0.0%", "0.0%", "0.0%", "0.0%", "133.3%"],
        ),
    ],
)
def test_each_choice_shows_its_measure(read: Open, state: dict[str, str], january: list[str]) -> None:
    reader = read("case study")
    for name, value in state.items():
        reader.choose(name, value)
    assert reader.triangle()[1][2:] == january
    assert all(f"{name}={value}" in reader.tab.url for name, value in state.items())


def test_open_months_are_hatched_and_named_and_what_has_not_come_is_blank(read: Open) -> None:
    reader = read("case study")
    opened = reader.evaluate("[...document.querySelectorAll('.cell.open')].map((cell) => cell.dataset.cell)")
    assert opened == ["2022-01.6", "2022-02.5", "2022-03.4", "2022-04.3"]
    image = "getComputedStyle(document.querySelector('[data-cell=\"2022-01.6\"]')).backgroundImage"
    assert "gradient" in reader.evaluate(image)
    assert reader.cell("2022-01", 6).get_attribute("aria-label") == "Jan 2022, month 6: 625.00 EUR, open month"
    assert reader.texts("tbody tr:last-child td.blank") == ["", "", ""]


def test_a_cell_opens_the_orders_behind_it(read: Open) -> None:
    reader = read("case study", by="customer")
    reader.cell("2022-01", 6).click()
    panel = reader.tab.locator("#panel")
    assert panel.locator("h2").inner_text() == "Jan 2022, month 6"
    assert "Jul 2022, open: still moving" in panel.inner_text()
    assert "625.00 EUR ÷ 2 customers = 312.50 EUR" in panel.inner_text()
    assert panel.locator("caption").inner_text() == "1 order, 1 refund"
    assert panel.locator("tbody tr").all_inner_texts() == [
        "5\t5 Jul 2022\t1\t300.00\torder",
        "2\t20 Jul 2022\t2\t-50.00\trefund",
    ]
    assert "cohort_month = DATE '2022-01-01' AND month_number = 6" in panel.locator("#query").inner_text()
    assert "cell=2022-01.6" in reader.tab.url
    panel.get_by_role("button", name="Close").click()
    assert panel.is_hidden()
    assert "cell=" not in reader.tab.url


def test_of_many_orders_it_says_which_are_listed(read: Open) -> None:
    reader = read("large", cell="2018-02.3")
    assert reader.tab.locator("#panel caption").inner_text().startswith("The 5 largest of ")


def test_an_empty_cell_says_so(read: Open) -> None:
    reader = read("case study", cell="2022-01.3")
    assert "Nobody bought, and nothing was refunded." in reader.tab.locator("#panel").inner_text()


def test_a_segment_value_has_its_own_triangle_and_orders_are_not_listed_for_it(read: Open) -> None:
    reader = read("large", view="triangle")
    whole = reader.triangle()
    reader.tab.locator("#customers").select_option(label="country: no value")
    assert reader.triangle() != whole
    assert reader.texts(".shown") == ["LTV, net of refunds, cumulated, EUR; country: no value"]
    reader.tab.locator(".cell").first.click()
    assert "listed for all customers and for guests" in reader.tab.locator("#panel").inner_text()


def test_guests_and_another_currency_are_apart(read: Open) -> None:
    reader = read("large")
    reader.tab.locator("#customers").select_option("guests")
    assert reader.triangle()[1][1:4] == ["60", "2,520.00", "2,520.00"]
    reader.tab.locator("#currency").select_option("JPY")
    assert reader.tab.locator("#customers option").all_inner_texts()[0] == "All customers"
    assert "JPY" in reader.texts(".shown")[0]
    assert all("." not in text for row in reader.triangle()[1:7] for text in row[2:])


def test_a_range_of_cohorts_is_shown_and_kept_in_order(read: Open) -> None:
    reader = read("large")
    reader.tab.locator("#from").select_option("2022-03")
    assert [row[0] for row in reader.triangle()[1:-2]] == ["Mar 2022", "Apr 2022", "May 2022", "Jun 2022", "Jul 2022"]
    reader.tab.locator("#to").select_option("2022-01")
    assert reader.triangle()[-3][0] == "Jan 2022"
    assert len(reader.triangle()) == 1 + 54 + 2


def test_colours_rise_with_the_figures(read: Open) -> None:
    reader = read("large", by="customer")
    steps = reader.evaluate(
        "[...document.querySelectorAll('.cell')].map((cell) => "
        "[Number(cell.dataset.text), Number(/ s(\\d)/.exec(cell.className)[1])])"
    )
    steps.sort()
    assert [step for _, step in steps] == sorted(step for _, step in steps)
    assert {step for _, step in steps} == set(range(1, 9))


def test_retention_is_a_triangle_of_its_own(read: Open) -> None:
    reader = read("case study", view="retention")
    assert reader.triangle()[1] == ["Jan 2022", "2", "100.0%", "50.0%", "0.0%", "0.0%", "0.0%", "0.0%", "50.0%"]
    assert reader.triangle()[-2][:4] == ["Average", "", "100.0%", "33.3%"]
    reader.cell("2022-01", 1).click()
    assert "1 customer bought ÷ 2 customers = 50%" in reader.tab.locator("#panel").inner_text()


def test_a_pointer_on_a_cell_is_told_how_it_is_divided_and_who_bought(read: Open) -> None:
    reader = read("case study", by="customer")
    tip = reader.tab.locator("#tip")
    reader.cell("2022-01", 1).hover()
    assert tip.inner_text() == (
        "Jan 2022, month 1\n375.00 EUR ÷ 2 customers = 187.50 EUR\n1 of 2 customers bought, 1 order"
    )
    reader.cell("2022-02", 1).hover()
    assert tip.inner_text() == "Feb 2022\nnobody's first purchase"
    reader.tab.locator("main h2").hover()
    assert tip.is_hidden()


@pytest.mark.parametrize("width", [375, 1024])
def test_the_panel_does_not_cover_the_cell_that_opened_it(read: Open, width: int) -> None:
    reader = read("large", width=width)
    for month in ("2017-08", "2020-06", "2022-07"):
        reader.cell(month, 0).click()
        cell, panel = reader.cell(month, 0).bounding_box(), reader.tab.locator("#panel").bounding_box()
        assert cell and panel and cell["y"] > 0 and cell["y"] + cell["height"] <= panel["y"], month
        assert reader.tab.locator("#panel h2").inner_text().endswith("month 0")
        reader.tab.click("#close-panel")


def test_a_link_to_a_cell_shows_it_beside_its_panel(browser: Browser, tmp_path: Path) -> None:
    with reading(browser, write(documents.large(), tmp_path / "large.html"), 1024, 768) as reader:
        reader.open(view="triangle", cell="2021-05.9")
        cell, panel = reader.cell("2021-05", 9).bounding_box(), reader.tab.locator("#panel").bounding_box()
        assert cell and panel and cell["y"] + cell["height"] <= panel["y"] and cell["x"] + cell["width"] <= 1024
