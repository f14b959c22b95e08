"""No view breaks its layout on a phone, a tablet or a wide screen, nor on paper; nothing shifts under the header."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.reader import VIEWS, Reader

WIDTHS = (375, 1024, 1920)
OUTSIDE = """
(() => {
  const wide = document.documentElement.clientWidth;
  const clips = (one) => ['auto', 'scroll', 'hidden'].includes(getComputedStyle(one).overflowX);
  return [...document.body.querySelectorAll('*')].filter((one) => {
    if (!one.checkVisibility() || one.closest('.unseen, .skip, .tip, svg')) return false;
    for (let at = one.parentElement; at !== document.body; at = at.parentElement) if (clips(at)) return false;
    const box = one.getBoundingClientRect();
    return box.width > 0 && (box.right > wide + 1 || box.left < -1);
  }).map((one) => `${one.tagName} ${one.className} ${one.id}`);
})()
"""
OVERLAPS = """
(() => {
  const boxes = ['bar', 'facts', 'tabs', 'banners', 'stage']
    .map((id) => document.getElementById(id).getBoundingClientRect());
  return boxes.slice(1).filter((box, place) => box.top < boxes[place].bottom - 1).length;
})()
"""
COVERED_CONTROLS = """
[...document.querySelectorAll('.bar select, .facts summary, main label, main select, main button')].filter((one) => {
  const box = one.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.bottom < innerHeight && at && !one.contains(at) && !at.contains(one);
}).map((one) => one.outerHTML.slice(0, 100))
"""


def check_layout(reader: Reader, where: str) -> None:
    over = reader.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{where} scrolls sideways by {over} pixels"
    assert reader.evaluate(OUTSIDE) == [], where
    assert reader.evaluate(OVERLAPS) == 0, where
    assert reader.evaluate(COVERED_CONTROLS) == [], where


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["medium", "hostile"])
def test_no_view_breaks(read: Open, name: str, width: int) -> None:
    reader = read(name, width=width)
    for view in VIEWS:
        reader.open(view=view)
        reader.evaluate("scrollTo(0, 0)")
        check_layout(reader, f"{view} at {width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_open_panel_breaks_nothing(read: Open, width: int) -> None:
    reader = read("hostile", width=width, cell="2022-01.0")
    assert reader.tab.locator("#panel").is_visible()
    over = reader.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0
    box = reader.tab.locator("#panel").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_sheets_of_the_header_stay_on_the_screen(read: Open, width: int) -> None:
    reader = read("medium", width=width)
    for name in ("sums", "formulas"):
        reader.tab.click(f"#{name} summary")
        box = reader.tab.locator(f"#{name} .sheet").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
        reader.tab.keyboard.press("Escape")


def test_heads_and_the_header_stay_when_the_figures_scroll(read: Open) -> None:
    reader = read("large", width=1024)
    reader.evaluate("document.querySelector('main .scroll').scrollTo(900, 600)")
    reader.evaluate("scrollTo(0, 400)")
    box = (
        "(selector) => { const box = document.querySelector(selector).getBoundingClientRect();"
        " return [box.x, box.y, box.bottom] }"
    )
    scroll = reader.tab.evaluate(box, "main .scroll")
    assert abs(reader.tab.evaluate(box, "main thead th:nth-child(8)")[1] - scroll[1]) <= 2
    assert abs(reader.tab.evaluate(box, "main tbody tr:nth-child(25) th")[0] - scroll[0]) <= 2
    assert abs(reader.tab.evaluate(box, "tfoot")[2] - scroll[2]) <= 20
    assert reader.tab.evaluate(box, "#strip")[1] == 0


def test_paper_has_the_view_whole_and_light(read: Open) -> None:
    reader = read("medium", options={"color_scheme": "dark"}, by="customer")
    reader.tab.emulate_media(media="print")
    reader.wait("document.documentElement.dataset.shown === 'light'")
    for selector in (".tabs", ".controls", ".actions"):
        assert reader.tab.locator(selector).first.is_hidden()
    assert reader.tab.locator("#formulas .sheet").is_visible()
    assert reader.evaluate("getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert len(reader.tab.pdf(prefer_css_page_size=True)) > 10_000
    reader.tab.emulate_media(media="screen")
    reader.wait("document.documentElement.dataset.shown === 'dark'")
    assert reader.tab.locator("#formulas .sheet").is_hidden()
