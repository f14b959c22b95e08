"""Names that try to break the page are shown as what they are: texts. Nothing runs, nothing is fetched."""

from __future__ import annotations

from tests.browser.conftest import Open
from tests.browser.reader import VIEWS
from tests.report.documents import HOSTILE


def test_names_are_shown_as_texts_and_run_nothing(read: Open) -> None:
    reader = read("hostile")
    for view in VIEWS:
        reader.open(view=view)
        reader.wait_for_charts()
        assert reader.tab.title() == f"LTV of {HOSTILE[0]}"
        assert reader.evaluate("document.querySelectorAll('main script, main img, main b, #banners img').length") == 0
    reader.open(view="products")
    shown = reader.texts("main tbody th")
    assert sorted(shown) == sorted([*(name or "empty text" for name in HOSTILE), "none"])


def test_right_to_left_names_do_not_turn_what_is_beside_them(read: Open) -> None:
    reader = read("hostile", view="products")
    row = reader.tab.locator("tbody tr", has_text="متجر").first
    boxes = [cell.bounding_box() for cell in row.locator("th, td").all()]
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts) and len(lefts) == len(boxes)
    assert row.locator("bdi").first.evaluate("(one) => getComputedStyle(one).unicodeBidi") == "isolate"


def test_a_name_of_10_000_letters_keeps_its_row_small(read: Open) -> None:
    reader = read("hostile", view="products")
    box = reader.tab.locator("tbody tr", has_text="x" * 100).first.bounding_box()
    assert box and box["height"] < 100


def test_hostile_values_can_be_chosen_and_linked(read: Open) -> None:
    reader = read("hostile")
    for place, name in enumerate(HOSTILE):
        reader.tab.locator("#customers").select_option(index=1 + place)
        assert reader.triangle()[1][2] == "75.00"
        address = reader.tab.url
        reader.open(view="curves")
        reader.tab.goto(address)
        reader.wait("document.documentElement.dataset.state === location.hash")
        assert reader.texts(".shown") == [f"LTV, net of refunds, cumulated, EUR; country: {name or 'empty text'}"]


def test_hostile_values_can_be_compared(read: Open) -> None:
    reader = read("hostile", view="compare", of="values", a=f"country is {HOSTILE[1]}", b=f"country is {HOSTILE[6]}")
    reader.wait_for_charts()
    assert reader.texts(".legend bdi") == [f"country: {HOSTILE[1]}", f"country: {HOSTILE[6]}"]
    reader.tab.locator(".mark-symbol.role-mark path").last.hover()
    assert reader.tab.locator("#tip").inner_text() == f"country: {HOSTILE[6]}, month 5\n75.00 EUR"
