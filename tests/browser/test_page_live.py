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


SELECT = """
((first, last) => getSelection().setBaseAndExtent(document.querySelector(first).firstChild, 0,
  document.querySelector(last).firstChild, 3))
"""
LISTED = "document.querySelectorAll('#panel tbody tr').length"


def select(reader: Reader, first: str, last: str) -> str:
    reader.evaluate(f"{SELECT}({first!r}, {last!r})")
    selected = str(reader.evaluate("getSelection().toString()"))
    assert selected
    return selected


def test_figures_wait_while_text_of_them_is_selected(server: LiveServer, reader: Reader) -> None:
    """Those of the header, too: what is shown together is of one rollup."""
    reader.open(view="triangle")
    seen = wait_for_first(reader)
    facts = reader.tab.locator("#facts").inner_text()
    selected = select(reader, "[data-cell='2022-01.4']", "[data-cell='2022-01.6']")
    server.publish(later(case_study(), "700.5"))
    reader.wait("!document.querySelector('#news').hidden")
    server.publish(later(case_study(), "800.5"))
    reader.wait("document.querySelector('#status').textContent.includes('They wait')")
    assert reader.evaluate("getSelection().toString()") == selected
    assert reader.triangle()[1][-1] == "625.00"
    assert reader.tab.locator("#facts").inner_text() == facts
    assert updates(reader) == seen
    reader.evaluate("getSelection().collapseToEnd()")
    reader.wait("document.querySelector('[data-cell=\"2022-01.6\"]').textContent === '800.50'")
    assert "31 Jul 2022, 20:05:00" in reader.tab.locator("#facts").inner_text()
    assert reader.tab.locator("#news").is_hidden()


def test_figures_that_wait_come_at_once_when_they_are_wanted(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    select(reader, "[data-cell='2022-01.4']", "[data-cell='2022-01.6']")
    server.publish(later(case_study(), "700.5"))
    reader.tab.locator("#news").click()
    assert reader.triangle()[1][-1] == "700.50"
    assert reader.tab.locator("#news").is_hidden()
    assert reader.evaluate("document.activeElement.id") == "main"


def test_what_is_chosen_is_shown_of_the_figures_that_wait(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    select(reader, "[data-cell='2022-01.4']", "[data-cell='2022-01.6']")
    server.publish(later(case_study(), "700.5"))
    reader.wait("!document.querySelector('#news').hidden")
    reader.evaluate("document.querySelector('#tab-curves').click()")
    reader.wait("document.documentElement.dataset.state === '#view=curves'")
    reader.tab.locator("#curves-table summary").click()
    reader.wait("document.querySelector('.triangle')")
    assert reader.triangle()[1][-1] == "700.50"
    assert reader.tab.locator("#news").is_hidden()


def test_a_view_whose_figures_have_not_changed_is_not_built_anew(server: LiveServer, reader: Reader) -> None:
    reader.open(view="bridge")
    seen = wait_for_first(reader)
    reader.wait_for_charts()
    reader.evaluate("document.querySelector('main .canvas svg').isSame = true")
    selected = select(reader, "main tbody tr:first-child th", "main tbody tr:last-child th")
    server.publish(later(case_study(), "700.5"))
    reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
    assert reader.evaluate("document.querySelector('main .canvas svg').isSame")
    assert reader.evaluate("getSelection().toString()") == selected
    moved = later(case_study(), "700.5")
    step = next(step for step in moved["gross_to_net"] if step["month"] is None and step["name"] == "net")
    step["amount"] = "1"
    reader.evaluate("getSelection().collapseToEnd()")
    server.publish(moved)
    reader.wait("document.querySelector('main tbody tr:last-child td').textContent === '1.00'")


def test_a_file_of_figures_that_are_not_shown_is_of_the_newest(server: LiveServer, reader: Reader) -> None:
    """The view shows rounded figures, or a part of them; its file has all."""
    reader.open(view="drivers")
    seen = wait_for_first(reader)
    moved = later(case_study(), "625")
    cells = moved["triangles"][0]["cells"]["orders"]
    cells[0] = " ".join([*cells[0].split()[:-1], "77"])
    server.publish(moved)
    reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
    _, rows = reader.saved()
    assert [row[5] for row in rows if row[:2] == ["2022-01", "6"]] == ["77"]


def test_figures_wait_for_an_open_list(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    reader.tab.locator("#from").focus()
    reader.tab.keyboard.press("Alt+ArrowDown")
    reader.wait("document.querySelector('#from').matches(':open')")
    server.publish(later(case_study(), "700.5"))
    reader.wait("!document.querySelector('#news').hidden")
    assert reader.evaluate("document.querySelector('#from').matches(':open')")
    reader.tab.keyboard.press("Escape")
    reader.wait("document.querySelector('[data-cell=\"2022-01.6\"]').textContent === '700.50'")
    assert reader.evaluate("document.activeElement.id") == "from"


def test_a_press_ends_where_it_began(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle")
    wait_for_first(reader)
    reader.tab.locator("#choice-by-customer").hover(force=True)
    reader.tab.mouse.down()
    server.publish(later(case_study(), "700.5"))
    reader.wait("!document.querySelector('#news').hidden")
    reader.tab.mouse.up()
    reader.wait("document.querySelector('#choice-by-customer').checked")
    assert reader.tab.locator("#news").is_hidden()


def test_orders_that_were_loaded_stay_when_their_cell_moves(server: LiveServer, reader: Reader) -> None:
    reader.open(view="triangle", cell="2022-01.0")
    seen = wait_for_first(reader)
    reader.wait(f"{LISTED} === 100")
    reader.tab.get_by_role("button", name="Show more of 230").click()
    reader.wait(f"{LISTED} === 200")
    reader.evaluate("document.querySelector('#panel').scrollTop = 900")
    moved = case_study()
    row = moved["triangles"][0]["cells"]["refunds"]
    row[0] = " ".join(["-5", *row[0].split()[1:]])
    server.publish(moved)
    reader.wait(f"document.documentElement.dataset.updates > '{seen}'")
    assert "-5.00 EUR" in reader.tab.locator("#panel dl").inner_text()
    assert reader.evaluate(LISTED) == 200
    reader.wait("!document.querySelector('#panel [aria-busy]')")
    assert reader.evaluate(LISTED) == 200
    assert [path.rpartition("=")[2] for path in server.asked if path.startswith("/cell.json")] == [
        *("0", "100"),
        *("0", "100"),
    ]
