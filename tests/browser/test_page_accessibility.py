"""What a screen reader and weak eyes need: names, headings in order, captions, contrast; measured in every view."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.browser.conftest import Open
from tests.browser.reader import VIEWS

NAMELESS = """
[...document.querySelectorAll('button, select, input, a, summary, [role=region], [role=img], [role=dialog]')]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length && one.labels[0].textContent.trim()
    || document.getElementById(one.getAttribute('aria-labelledby'))?.textContent || one.textContent.trim()))
  .map((one) => one.outerHTML.slice(0, 120))
"""
HEADINGS = """
[...document.querySelectorAll('h1, h2, h3, h4')].filter((one) => one.checkVisibility()).map((one) => +one.tagName[1])
"""
TABLES = """
[...document.querySelectorAll('table')].filter((table) =>
  !table.caption?.textContent.trim() || [...table.querySelectorAll('th')].some((head) => !head.scope)
  || ![...table.querySelectorAll('tbody tr')].every((row) => row.querySelector('th')))
  .map((one) => one.outerHTML.slice(0, 200))
"""
TWICE = """
(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  return ids.filter((id, place) => ids.indexOf(id) !== place) })()
"""
CONTRAST = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility()) continue;
    if (one.closest('script, noscript, svg, .tip, option')) continue;
    if (one.closest('label:has(:checked)') === null && one.closest('.unseen')) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(parse(style.color)), light(ground(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.set(`${one.className || one.tagName} ${style.color} on ${ground(one)}`, ratio.toFixed(2));
  }
  return Object.fromEntries(found);
})()
"""
DARK = {"color_scheme": "dark"}


@pytest.mark.parametrize("name", ["case study", "hostile"])
def test_every_view_is_named_and_in_order(read: Open, name: str) -> None:
    reader = read(name)
    for view in VIEWS:
        reader.open(view=view, **({"cell": "2022-01.0"} if view == "triangle" else {}))
        assert reader.evaluate(NAMELESS) == [], view
        assert reader.evaluate(TABLES) == [], view
        assert reader.evaluate(TWICE) == [], view
        levels = reader.evaluate(HEADINGS)
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), (view, levels)
        assert reader.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(read: Open, scheme: str) -> None:
    reader = read("medium", options={"color_scheme": scheme})
    for view in VIEWS:
        reader.open(view=view, **({"cell": "2022-01.0", "by": "customer"} if view == "triangle" else {}))
        assert reader.evaluate(CONTRAST) == {}, view


def test_charts_say_in_words_what_they_show(read: Open) -> None:
    reader = read("case study", view="curves")
    reader.wait_for_charts()
    canvas = reader.tab.locator(".canvas")
    assert canvas.get_attribute("role") == "img"
    assert (canvas.get_attribute("aria-label") or "").startswith("LTV, net of refunds, cumulated, EUR; all customers.")
    assert reader.tab.locator(".canvas > div").get_attribute("aria-hidden") == "true"
    reader.tab.locator("#curves-table summary").click()
    reader.wait("document.querySelector('.triangle')")
    assert reader.triangle()[1][2] == "225.00"


def test_what_happens_is_announced(read: Open) -> None:
    reader = read("case study")
    status = reader.tab.locator("#status")
    assert status.get_attribute("aria-live") == "polite"
    reader.saved()
    assert status.text_content() == "ltv-triangle-2022-07-31.csv is saved."


def test_a_cell_says_where_it_is(read: Open) -> None:
    reader = read("case study")
    tree = reader.tab.locator("table.triangle").aria_snapshot()
    assert tree.startswith('- grid "LTV, net of refunds, cumulated, EUR; all customers.')
    assert 'gridcell "Feb 2022, month 1: 0.00 EUR"' in tree
    assert 'rowheader "Jan 2022"' in tree


def test_the_theme_follows_the_system_and_the_switch(read: Open) -> None:
    reader = read("case study", options=DARK)
    shown = "document.documentElement.dataset.shown"
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert (reader.evaluate(shown), reader.evaluate(ground)) == ("dark", "rgb(16, 22, 28)")
    reader.tab.locator("#theme").select_option("light")
    assert (reader.evaluate(shown), reader.evaluate(ground)) == ("light", "rgb(255, 255, 255)")
    reader.tab.reload()
    reader.wait("document.documentElement.dataset.ready")
    assert reader.evaluate(shown) == "light"
    reader.tab.locator("#theme").select_option("system")
    assert reader.evaluate(shown) == "dark"


def test_nothing_moves_where_motion_is_unwanted(read: Open) -> None:
    reader = read("case study", options={"reduced_motion": "reduce"})
    moving = (
        "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none'"
        " || !/^0s(, 0s)*$/.test(getComputedStyle(one).transitionDuration)).length"
    )
    assert reader.evaluate(moving) == 0
