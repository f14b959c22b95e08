"""The live page: figures move without a reload, and the reader's place, focus and open panel stay."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from pipeline.report.document import Document
from tests.browser.live_server import LiveServer, serving
from tests.browser.reader import Reader, reading
from tests.report.document_rows import order
from tests.report.documents import case_study, large

ORDERS = [order(str(9_000 - place), "2022-01-05", str(place), f"{500 - place}") for place in range(230)]


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with serving(case_study(), ORDERS) as running:
        yield running


@pytest.fixture
def reader(browser: Browser, server: LiveServer) -> Iterator[Reader]:
    with reading(browser, server.address) as made:
        yield made


def later(document: Document, ltv: str) -> Document:
    """The first cohort's open cell has moved."""
    moved = copy.deepcopy(document)
    row = moved["triangles"][0]["cells"]["ltv"][0].split()
    moved["triangles"][0]["cells"]["ltv"][0] = " ".join([*row[:-1], ltv])
    moved["freshness"] = {**moved["freshness"], "rolled_up_at": "2022-07-31T18:05:00Z"} if moved["freshness"] else None
    return moved


def updates(reader: Reader) -> int:
    return int(reader.evaluate("document.documentElement.dataset.updates ?? '0'"))


def wait_for_first(reader: Reader) -> int:
    """The stream tells of the present document first."""
    reader.wait("document.documentElement.dataset.updates >= '1'")
    return updates(reader)


def test_a_new_document_moves_the_figures_without_a_reload(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    reader.evaluate("window.isSamePage = true")
    assert reader.triangle()[1][-1] == "625.00"
    server.publish(later(case_study(), "700.5"))
    reader.wait("document.querySelector('[data-cell=\"2022-01.6\"]').textContent === '700.50'")
    assert reader.evaluate("window.isSamePage")
    assert "31 Jul 2022, 20:05:00" in reader.tab.locator("#facts").inner_text()
    assert reader.tab.locator("#live").inner_text().startswith("live")
    assert reader.tab.locator("#status").text_content() == "New figures, as of 31 Jul 2022."


def test_focus_scroll_choices_and_sheets_stay(browser: Browser) -> None:
    with serving(large(24, 40, 1), ORDERS) as server, reading(browser, server.address, 1024, 600) as reader:
        reader.open(view="triangle", by="customer")
        wait_for_first(reader)
        reader.tab.locator("#formulas summary").click()
        reader.evaluate("document.querySelector('main .scroll').scrollTo(300, 120); scrollTo(0, 60)")
        reader.cell("2021-01", 6).evaluate("(cell) => cell.focus({ preventScroll: true })")
        place = (
            "JSON.stringify([document.activeElement.id, document.querySelector('main .scroll').scrollLeft,"
            " document.querySelector('main .scroll').scrollTop, scrollY, document.querySelector('#formulas').open])"
        )
        before = reader.evaluate(place)
        assert before == '["cell-2021-01-6",300,120,60,true]'
        seen = updates(reader)
        server.publish(later(server.document, "1"))
        reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
        assert reader.evaluate(place) == before
        assert reader.tab.locator("#choice-by-customer").is_checked()


def test_what_is_typed_stays(server: LiveServer, reader: Reader) -> None:
    reader.open(view="products")
    seen = wait_for_first(reader)
    reader.tab.locator("#filter").press_sequentially("te")
    server.publish(later(case_study(), "1"))
    reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
    reader.tab.keyboard.type("a")
    assert reader.tab.locator("#filter").input_value() == "tea"
    assert reader.texts("main tbody th") == ["Tea"]


def test_orders_behind_a_cell_come_by_the_page_and_stay_when_others_move(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    seen = wait_for_first(reader)
    reader.cell("2022-01", 0).click()
    rows = reader.tab.locator("#panel tbody tr")
    reader.wait("document.querySelectorAll('#panel tbody tr').length === 100")
    assert reader.tab.locator("#panel caption").inner_text() == "The 100 largest of 230 orders and refunds"
    reader.tab.get_by_role("button", name="Show more of 230").click()
    reader.wait("document.querySelectorAll('#panel tbody tr').length === 200")
    server.publish(later(case_study(), "1"))
    reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
    assert rows.count() == 200
    reader.tab.get_by_role("button", name="Show more of 230").click()
    reader.wait("document.querySelectorAll('#panel tbody tr').length === 230")
    assert reader.tab.get_by_role("button", name="Show more").count() == 0
    asked = [path for path in server.asked if path.startswith("/cell.json")]
    assert asked == [
        f"/cell.json?currency=EUR&guest=0&cohort=2022-01&month=0&offset={offset}" for offset in (0, 100, 200)
    ]
    assert reader.texts("#panel tbody tr:last-child th") == [ORDERS[-1]["order_id"]]


def test_unexplained_orders_come_by_the_page(reader: Reader) -> None:
    reader.open(view="payments")
    reader.wait("document.querySelector('main').textContent.includes('1 of 1 order, largest difference first')")


def test_a_lost_connection_is_said_and_found_again(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    reader.is_losing_connection = True
    server.disconnect()
    reader.wait("document.querySelector('#live').textContent === 'connection lost, trying again'")
    server.reconnect()
    server.publish(later(case_study(), "9"))
    reader.wait("document.querySelector('[data-cell=\"2022-01.6\"]').textContent === '9.00'")
    assert reader.tab.locator("#live").inner_text().startswith("live")
