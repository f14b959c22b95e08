"""From orders to the screen: the case study through the warehouse, the rollup, the page and a browser; and live."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from playwright.sync_api import Browser

from pipeline.report.figures import read_document
from pipeline.rollup import rollup
from tests.browser.reader import VIEWS, reading, write
from tests.builders import apply, by_words, memory, shop
from tests.report.serving import ServedShop, served

ORDERS = [
    "order 1 2022-01-01 1 75",
    "order 2 2022-01-12 2 150 partial_refunded",
    "order 3 2022-02-03 2 150",
    "order 4 2022-04-06 3 150",
    "order 5 2022-07-05 1 300 shipped",
    "charge 1 2 150 2022-01-12",
    "charge 2 2 -50 2022-07-20",
]
DAY = dt.date(2022, 7, 31)


def test_the_case_study_from_its_orders_to_the_screen(browser: Browser, tmp_path: Path) -> None:
    config, warehouse = shop(), memory()
    apply(warehouse, config, *by_words(ORDERS))
    rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, dt.datetime(2022, 7, 31, 18, tzinfo=dt.timezone.utc))
    with reading(browser, write(document, tmp_path / "report.html")) as reader:
        reader.open(view="triangle", money="gross")
        rows = {row[0]: row[1:] for row in reader.triangle()}
        assert rows["Jan 2022"] == ["2", "225.00", "375.00", "375.00", "375.00", "375.00", "375.00", "675.00"]
        assert rows["Apr 2022"] == ["1", "150.00", "150.00", "150.00", "150.00"]
        reader.choose("money", "net")
        assert reader.triangle()[1][-1] == "625.00"
        assert reader.tab.locator("#sums summary").inner_text().startswith("✓ Adds up")
        reader.cell("2022-01", 6).click()
        assert reader.tab.locator("#panel caption").inner_text() == "1 order, 1 refund"
        for view in VIEWS:
            reader.open(view=view)
            reader.wait_for_charts()
        reader.open(view="payments")
        assert {"explained", "unpaid"} <= set(reader.texts("main .badge"))


def test_what_the_shop_writes_is_on_the_screen_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    sold = ServedShop(tmp_path)
    with served(sold, "--every", "0.2") as running, reading(browser, f"{running.address.rstrip('/')}/") as reader:
        running.wait_for(lambda document: document["as_of"] is not None)
        reader.open(view="triangle", sum="month")
        reader.wait("document.querySelector('[data-cell=\"2022-01.0\"]')?.textContent === '225.00'")
        reader.evaluate("window.isSamePage = true")
        sold.write("order 9 2022-01-20 9 1000.01")
        reader.wait("document.querySelector('[data-cell=\"2022-01.0\"]').textContent === '1,225.01'")
        assert reader.evaluate("window.isSamePage")
        reader.cell("2022-01", 0).click()
        reader.wait("document.querySelector('#panel caption')")
        assert reader.tab.locator("#panel caption").inner_text() == "3 orders and refunds"
        assert reader.texts("#panel tbody th") == ["9", "1", "2"]
        assert reader.tab.locator("#live").inner_text().startswith("live")
