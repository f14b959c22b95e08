"""No view breaks its layout on a phone, a tablet or a wide screen, nor on paper; nothing shifts under the header."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.reader import CHARTED, VIEWS, Reader

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


CUT_TEXTS = """
[...document.querySelectorAll('.canvas svg')].flatMap((svg) => {
  const edge = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter((text) => {
    const box = text.getBoundingClientRect();
    return text.textContent && getComputedStyle(text).opacity !== '0'
      && (box.left < edge.left - 1 || box.right > edge.right + 1 || box.top < edge.top - 1);
  }).map((text) => text.textContent);
})
"""
MEETING_TEXTS = """
((selector) => {
  const boxes = [...document.querySelectorAll(selector)].map((text) => text.getBoundingClientRect());
  return boxes.filter((one, place) => boxes.some((other, at) => at > place
    && one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)).length;
})
"""
CUT_CAPTIONS = """
[...document.querySelectorAll('.scroll caption:not(.unseen) span')].filter((words) =>
  words.getBoundingClientRect().right > words.closest('.scroll').getBoundingClientRect().right)
  .map((words) => words.textContent)
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_text_of_a_chart_is_cut(read: Open, width: int) -> None:
    reader = read("medium", width=width)
    for view in CHARTED:
        reader.open(view=view)
        reader.wait_for_charts()
        assert reader.evaluate(CUT_TEXTS) == [], view


@pytest.mark.parametrize("width", WIDTHS)
def test_the_amounts_of_the_bridge_are_apart(read: Open, width: int) -> None:
    reader = read("large", width=width, view="bridge")
    reader.wait_for_charts()
    for texts in (".mark-text.role-mark text", ".role-axis-label text"):
        assert reader.evaluate(f"{MEETING_TEXTS}({texts!r})") == 0, texts
    exact = reader.texts("main tbody td:nth-child(2)")
    assert (reader.texts(".mark-text.role-mark text") == exact) == (width > 375)


@pytest.mark.parametrize("width", WIDTHS)
def test_captions_are_read_without_scrolling(read: Open, width: int) -> None:
    reader = read("large", width=width)
    for view in VIEWS:
        reader.open(view=view)
        assert reader.evaluate(CUT_CAPTIONS) == [], view


@pytest.mark.parametrize("name", ["large", "hostile"])
def test_a_row_keeps_its_name_when_its_figures_scroll(read: Open, name: str) -> None:
    reader = read(name, width=375, view="products")
    reader.evaluate("document.querySelector('main .scroll').scrollLeft = 250")
    left, right, edge, wide = reader.evaluate(
        "(() => { const scroll = document.querySelector('main .scroll').getBoundingClientRect();"
        " const name = document.querySelector('main tbody th').getBoundingClientRect();"
        " return [name.left, name.right, scroll.left, scroll.width] })()"
    )
    assert abs(left - edge) <= 1 and right - left < wide * 0.65


def test_paper_has_every_chart_and_the_sums_after_the_figures(read: Open) -> None:
    reader = read("medium", width=375, view="drivers")
    assert (
        reader.evaluate("[...document.querySelectorAll('.canvas')].filter((one) => one.querySelector('svg')).length")
        < 4
    )
    reader.tab.emulate_media(media="print")
    reader.wait("[...document.querySelectorAll('.canvas')].every((one) => one.querySelector('svg'))")
    bottoms = reader.evaluate(
        "['#facts', 'main', '#sums .sheet', '#formulas .sheet']"
        ".map((name) => document.querySelector(name).getBoundingClientRect().bottom)"
    )
    assert bottoms == sorted(bottoms)
    room = "(one) => one.offsetHeight - one.querySelector('svg').clientHeight"
    assert all(canvas.evaluate(room) <= 8 for canvas in reader.tab.locator(".canvas").all())
    reader.open(view="compare")
    assert reader.tab.locator("main .legend").is_visible()
    reader.tab.emulate_media(media="screen")
    reader.wait("document.querySelector('#facts #formulas') !== null")
    assert reader.tab.locator("#sums .sheet").is_hidden()
