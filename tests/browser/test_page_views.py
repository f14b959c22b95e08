"""Each view opens, by its tab and by its link, draws its charts, and has what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Open
from tests.browser.reader import CHARTED, VIEWS, reading, write
from tests.report import documents


@pytest.mark.parametrize("name", ["case study", "medium"])
def test_every_tab_opens_its_view_and_draws_it(read: Open, name: str) -> None:
    reader = read(name)
    for view in VIEWS:
        reader.tab.click(f"#tab-{view}")
        assert reader.tab.locator("nav [aria-current]").get_attribute("id") == f"tab-{view}"
        assert reader.tab.url.endswith(f"#view={view}")
        assert reader.tab.locator("main h2").count() == 1
        reader.wait_for_charts()
        assert (reader.tab.locator(".canvas svg").count() > 0) == (view in CHARTED)
    reader.tab.go_back()
    assert reader.tab.locator("nav [aria-current]").get_attribute("id") == f"tab-{VIEWS[-2]}"


def test_an_empty_warehouse_says_what_to_do_in_every_view(read: Open) -> None:
    reader = read("empty")
    assert "The warehouse holds no orders yet." in reader.tab.locator("#banners").inner_text()
    assert reader.texts("#banners code") == ["ltv-pipeline batch", "ltv-pipeline rollup"]
    for view in VIEWS:
        reader.tab.click(f"#tab-{view}")
        assert reader.tab.locator("main .empty").count() == 1


def test_a_link_restores_what_was_chosen(read: Open) -> None:
    state = {
        "view": "curves",
        "by": "customer",
        "sum": "month",
        "money": "gross",
        "segment": "country",
        "value": "is DE",
    }
    reader = read("large", **state, **{"from": "2021-01", "to": "2021-12"})
    checked = reader.evaluate("[...document.querySelectorAll('main input:checked')].map((input) => input.value)")
    assert checked == ["month", "gross", "customer"]
    assert reader.tab.locator("#customers option:checked").inner_text() == "country: DE"
    assert reader.tab.locator("#from").input_value() == "2021-01"
    assert (
        reader.tab.locator("figcaption")
        .inner_text()
        .startswith("Gross revenue of the month, per customer of the cohort, EUR; country: DE.")
    )


def test_nonsense_in_a_link_falls_back(read: Open) -> None:
    nonsense = {
        "view": "x",
        "by": "__proto__",
        "currency": "XXX",
        "segment": "no",
        "value": "no",
        "cell": "1.2",
        "to": "q",
    }
    reader = read("case study", **nonsense)
    assert reader.triangle()[1][2] == "225.00"
    assert reader.tab.locator("#panel").is_hidden()


def test_curves_draw_a_line_for_each_cohort_and_open_ends_hollow(read: Open) -> None:
    reader = read("large", view="curves", **{"from": "2022-01"})
    reader.wait_for_charts()
    lines = reader.evaluate("[...document.querySelectorAll('.mark-line.role-mark path')].length")
    dashed = reader.evaluate("[...document.querySelectorAll('.mark-line path[stroke-dasharray]')].length")
    bold = reader.evaluate("[...document.querySelectorAll('.mark-line path[stroke-width=\"3.5\"]')].length")
    assert (lines - dashed - bold, dashed, bold) == (6, 6, 1)
    assert reader.texts(".mark-text.role-mark text") == [
        "Jan 2022",
        "Feb 2022",
        "Mar 2022",
        "Apr 2022",
        "May 2022",
        "Jun 2022",
        "Jul 2022",
    ]


def test_a_pointer_on_a_chart_is_told_the_exact_figure(read: Open) -> None:
    reader = read("case study", view="bridge")
    reader.wait_for_charts()
    reader.tab.locator(".mark-rect.role-mark path").nth(3).hover()
    assert reader.tab.locator("#tip").inner_text() == "Refunds\n-50.00 EUR, 1 order"


def test_revenue_by_cohort_ties_to_the_month(read: Open) -> None:
    reader = read("case study", view="revenue")
    rows = [row.split("\t") for row in reader.tab.locator("main tbody tr").all_inner_texts()]
    assert rows[0] == ["Jul 2022 (open)", "300.00", "1", "1", "300.00", "✓ yes"]
    assert [row[0] for row in rows[1:]] == [f"{month} 2022" for month in ("Jun", "May", "Apr", "Mar", "Feb", "Jan")]
    reader.wait_for_charts()
    layers = reader.evaluate("[...document.querySelectorAll('.mark-rect.role-mark path')].length")
    assert layers == 4 + 7
    assert reader.texts(".mark-text.role-mark text") == ["open"]


def test_the_bridge_shows_a_month(read: Open) -> None:
    reader = read("case study", view="bridge")
    assert reader.texts("main tbody td:nth-child(2)") == ["907.50", "-82.50", "825.00", "-50.00", "775.00"]
    reader.tab.locator("#month").select_option("2022-02")
    assert reader.texts("main tbody td:nth-child(2)") == ["165.00", "-15.00", "150.00", "0.00", "150.00"]
    assert "month=2022-02" in reader.tab.url


def test_two_cohorts_are_compared_at_the_months_that_both_have(read: Open) -> None:
    reader = read("case study", view="compare", a="2022-01", b="2022-04", by="customer")
    assert reader.texts("main tbody tr") == ["0112.502150.001", "1187.502150.001", "2187.502150.001", "3187.502150.001"]
    assert reader.texts("td.open") == ["150.00"]


def test_two_values_of_a_segment_are_compared(read: Open) -> None:
    reader = read("large", view="compare", of="values", b="country other")
    assert reader.texts("figcaption")[0].startswith("LTV, net of refunds, cumulated, EUR.")
    assert reader.texts(".legend bdi") == ["country: FR", "country: all other values"]
    assert len(reader.texts("main tbody tr")) == 23


def test_drivers_show_the_four_factors_both_ways(read: Open) -> None:
    reader = read("large", view="drivers")
    assert reader.texts("main h3")[:4] == [
        "Customers",
        "Active share",
        "Orders per active customer",
        "Revenue per order",
    ]
    reader.choose("across", "cohorts")
    reader.tab.locator("#number").select_option("6")
    reader.wait_for_charts()
    assert "number=6" in reader.tab.url
    assert len(reader.texts("main tbody tr")) == 60 - 6


def test_products_sort_and_filter(read: Open) -> None:
    reader = read("large", view="products")
    assert len(reader.texts("main tbody tr")) == 200
    reader.tab.click("#all-products")
    assert len(reader.texts("main tbody tr")) == 1000
    reader.tab.locator("#filter").fill("kettle")
    assert "167 products" in reader.tab.locator("main caption").inner_text()
    assert reader.evaluate("document.activeElement.id") == "filter"
    reader.tab.click("#sort-quantity")
    sold = [int(text.replace(",", "")) for text in reader.texts("main tbody td:nth-child(2)")]
    assert sold == sorted(sold, reverse=True) and len(sold) == 167
    reader.tab.click("#sort-quantity")
    assert reader.tab.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    reader.tab.click("#sort-product")
    assert reader.texts("main tbody th")[0] == "Kettle no. 105"
    reader.tab.locator("#filter").fill("nothing of that name")
    assert "No product or country has" in reader.tab.locator("main .empty").inner_text()


def test_payments_tell_alarms_from_what_refunds_explain(read: Open) -> None:
    reader = read("case study", view="payments")
    assert reader.texts("main .shown .badge") == ["✗ 1 order not explained"]
    assert reader.texts(".badge.good") == ["matched", "explained"]
    assert reader.tab.locator("table").last.locator("tbody tr").all_inner_texts() == [
        "5\tunpaid\t5 Jul 2022\t26\tshipped\tEUR\t300.00\t300.00\t0.00\t0.00\t300.00\t100%\t–"
    ]


def test_changes_show_closed_months_first(read: Open) -> None:
    reader = read("case study", view="changes")
    assert reader.texts("main .shown") == ["1 change of closed months"]
    assert reader.tab.locator("main table").first.locator("tbody tr").all_inner_texts() == [
        "Jan 2022\t1\tclosed\tlate\t1\t+1\t+150.00\t0.00",
        "Jan 2022\t6\topen\trefunded\t1\t0\t0.00\t-50.00",
    ]


def test_the_header_proves_that_it_adds_up(read: Open) -> None:
    reader = read("case study")
    facts = reader.tab.locator("#facts")
    assert "Applied up to\n31 Jul 2022, 20:00:00, 3 s behind" in facts.inner_text()
    reader.tab.click("#sums summary")
    assert reader.texts("#sums tbody tr") == ["Everything, net775.00775.00775.00✓ yes"]
    reader.tab.keyboard.press("Escape")
    assert reader.tab.locator("#sums .sheet").is_hidden()
    reader.tab.click("#formulas summary")
    assert "in the month it was paid back" in reader.tab.locator("#formulas .sheet").inner_text()


def test_what_does_not_add_up_is_loud(browser: Browser, tmp_path: Path) -> None:
    document = documents.case_study()
    document["adds_up"][2] = {**document["adds_up"][2], "entries": "149.99", "is_equal": False}
    document["problems"] = [
        {"level": "error", "text": "The figures do not add up.", "hint": "Run `ltv-pipeline verify`."},
        {"level": "warning", "text": "Newer than 2022-07-31T18:00:05Z.", "hint": "Run `ltv-pipeline rollup`."},
    ]
    with reading(browser, write(document, tmp_path / "wrong.html")) as reader:
        reader.open(view="revenue")
        assert reader.texts("[role=alert] p") == ["The figures do not add up.", "Run ltv-pipeline verify."]
        assert reader.texts(".banner.warning p") == ["Newer than 31 Jul 2022, 20:00:05.", "Run ltv-pipeline rollup."]
        reader.tab.click("#sums summary")
        assert reader.texts("#sums summary") == ["✗ Does not add up"]
        assert reader.texts("#sums tbody tr")[1] == "Feb 2022, gross150.00149.99150.00✗ no"
        assert reader.texts("main td.bad") == ["✗ no"]
        assert "do not add up to the month's revenue" in reader.tab.locator("figcaption").inner_text()


def test_one_order_fills_every_view(browser: Browser, tmp_path: Path) -> None:
    """One cohort with nothing but its open month: no average, nothing to compare."""
    with reading(browser, write(documents.one_order(), tmp_path / "one.html")) as reader:
        reader.open(view="triangle", by="customer")
        assert reader.triangle() == [["Cohort", "Customers", "Month 0"], ["Jul 2022", "1", "0.01"]]
        for view in VIEWS:
            reader.open(view=view)
            reader.wait_for_charts()
        reader.open(view="compare")
        assert "There are no two cohorts to compare." in reader.tab.locator("main").inner_text()


def test_charts_of_money_say_its_unit(read: Open) -> None:
    reader = read("large", view="curves", currency="JPY")
    for view in ("curves", "revenue", "bridge", "compare"):
        reader.open(view=view, currency="JPY")
        reader.wait_for_charts()
        assert reader.texts(".role-title-text") == ["JPY"], view
    reader.open(view="curves", currency="JPY", by="share")
    reader.wait_for_charts()
    assert reader.texts(".role-title-text") == []


def test_the_colours_of_cohorts_have_their_first_and_last_beside_them(read: Open) -> None:
    reader = read("large", view="curves", **{"from": "2020-03", "to": "2021-02"})
    legend = "cohort Mar 2020Feb 2021averageto the open month, still moving"
    assert reader.texts("main .legend") == [legend]
    reader.open(view="revenue")
    assert reader.texts("main .legend") == ["cohort Aug 2017Jul 2022"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_legend_of_two_sides_has_the_colours_of_their_lines(read: Open, scheme: str) -> None:
    reader = read("large", view="compare", options={"color_scheme": scheme})
    reader.wait_for_charts()
    shown = reader.evaluate(
        "[[...document.querySelectorAll('.mark-line.role-mark path')].map((line) => getComputedStyle(line).stroke),"
        " [...document.querySelectorAll('.legend .key')].map((key) => getComputedStyle(key).borderTopColor)]"
    )
    assert shown[0] == shown[1] and len(set(shown[0])) == 2


def test_what_does_not_count_is_in_the_amount_and_is_not_due(browser: Browser, tmp_path: Path) -> None:
    document = documents.case_study()
    document["reconciliation"]["states"][0]["due"] = "300"
    with reading(browser, write(document, tmp_path / "due.html")) as reader:
        reader.open(view="payments")
        heads = reader.texts("main table:first-of-type >> nth=0 >> thead th")
        assert heads[:5] == ["State", "Orders", "Amount", "Due", "Charged"]
        assert reader.texts("main tbody tr:first-child >> nth=0 >> td")[:4] == ["3", "375.00", "300.00", "375.00"]
        _, rows = reader.saved()
        assert rows[0][4:7] == ["amount", "due", "charged"] and rows[1][4:7] == ["375", "300", "375"]


def test_a_name_is_not_looked_for_before_its_letter_is_whole(read: Open) -> None:
    reader = read("large", view="products")
    typed = (
        "(() => {{ const field = document.querySelector('#filter'); field.value = 'kettle';"
        " field.dispatchEvent(new {event})); return document.querySelectorAll('main tbody tr').length }})()"
    )
    before = len(reader.texts("main tbody tr"))
    assert reader.evaluate(typed.format(event="InputEvent('input', { isComposing: true }")) == before > 167
    assert reader.evaluate(typed.format(event="CompositionEvent('compositionend', {}")) == 167
    assert "with «kettle»" in reader.tab.locator("main caption").inner_text()
