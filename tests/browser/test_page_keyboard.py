"""The page without a mouse: tabs, choices, the triangle as a grid, the panel of orders."""

from __future__ import annotations

from tests.browser.conftest import Open
from tests.browser.reader import Reader

COVER = """
(() => {
  const box = document.activeElement.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return top === document.activeElement ? null : `${JSON.stringify(box)} ${scrollY} ${top?.outerHTML.slice(0, 200)}`;
})()
"""
"""What lies over the focused element."""


def focused(reader: Reader) -> str:
    return str(reader.evaluate("document.activeElement.dataset.cell ?? document.activeElement.id"))


def reloaded(reader: Reader) -> Reader:
    """Loaded anew, so that Tab begins at the top."""
    reader.tab.reload()
    reader.wait("document.documentElement.dataset.ready")
    return reader


def press(reader: Reader, *keys: str) -> str:
    for key in keys:
        reader.tab.keyboard.press(key)
    return focused(reader)


def test_arrows_move_in_the_triangle(read: Open) -> None:
    reader = read("case study")
    reader.cell("2022-01", 0).focus()
    assert press(reader, "ArrowRight", "ArrowRight") == "2022-01.2"
    assert press(reader, "ArrowDown") == "2022-02.2"
    assert press(reader, "End") == "2022-02.5"
    assert press(reader, "ArrowRight") == "2022-02.5"
    assert press(reader, "ArrowUp") == "2022-01.5"
    assert press(reader, "ArrowDown", "ArrowDown") == "2022-02.5"
    assert press(reader, "Home", "ArrowLeft") == "2022-02.0"
    assert press(reader, "PageDown") == "2022-04.0"
    assert press(reader, "PageUp") == "2022-01.0"
    assert press(reader, "Control+End") == "2022-04.3"
    assert press(reader, "Control+Home") == "2022-01.0"


def test_one_cell_is_in_the_order_of_tab(read: Open) -> None:
    reader = read("large")
    reader.cell("2017-08", 0).focus()
    press(reader, "ArrowDown", "ArrowRight")
    assert reader.evaluate("document.querySelectorAll('.triangle [tabindex=\"0\"]').length") == 1
    press(reader, "Tab")
    assert press(reader, "Shift+Tab") == "2017-09.1"


def test_a_cell_far_away_is_scrolled_to_and_is_not_behind_the_heads(read: Open) -> None:
    reader = read("large")
    reader.cell("2017-08", 0).focus()
    press(reader, "Control+End", "ArrowUp", "Home")
    for keys in (["Control+End"], ["Control+Home"], ["End"], ["PageDown", "PageDown", "End"], ["Home"]):
        cell = press(reader, *keys)
        assert reader.evaluate(COVER) is None, cell


def test_enter_opens_the_orders_and_escape_closes_them(read: Open) -> None:
    reader = read("case study")
    reader.cell("2022-04", 0).focus()
    assert press(reader, "Enter") == "close-panel"
    assert reader.tab.locator("#panel h2").inner_text() == "Apr 2022, month 0"
    assert reader.cell("2022-04", 0).get_attribute("aria-selected") == "true"
    assert press(reader, "Escape") == "2022-04.0"
    assert reader.tab.locator("#panel").is_hidden()
    assert press(reader, " ") == "close-panel"
    assert press(reader, "Enter") == "2022-04.0"


def test_choices_follow_the_arrows_and_keep_the_focus(read: Open) -> None:
    reader = read("case study")
    reader.tab.locator("#choice-by-total").focus()
    assert press(reader, "ArrowRight") == "choice-by-customer"
    assert reader.triangle()[1][2] == "112.50"
    assert press(reader, "ArrowRight") == "choice-by-share"
    assert press(reader, "ArrowRight") == "choice-by-total"


def test_the_first_tab_skips_to_the_figures(read: Open) -> None:
    reader = reloaded(read("case study", view="retention"))
    assert press(reader, "Tab") == "skip"
    box = reader.tab.locator("#skip").bounding_box()
    assert box and box["y"] >= 0
    assert press(reader, "Enter") == "main"
    assert reader.tab.url.endswith("#view=retention")


def test_every_control_is_reached_by_tab(read: Open) -> None:
    reader = reloaded(read("case study"))
    reached = [press(reader, "Tab") for _ in range(40)]
    assert {"skip", "theme", "tab-triangle", "tab-changes", "csv", "copy", "link", "customers", "from"} <= set(reached)
    assert "2022-01.0" in reached
