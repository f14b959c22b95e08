"""What leaves the page: CSV files, copies for a spreadsheet, links. All hold the document's own texts."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import Open
from tests.browser.reader import VIEWS
from tests.report import documents
from tests.report.documents import HOSTILE

CLIPBOARD = {"options": {"permissions": ["clipboard-read", "clipboard-write"]}}


def test_the_triangle_is_saved_as_shown(read: Open) -> None:
    name, rows = read("case study", by="customer").saved()
    assert name == "ltv-triangle-2022-07-31.csv"
    assert rows == [
        ["cohort_month", "customers", "open_month_number", *(f"month_{number}" for number in range(7))],
        ["2022-01", "2", "6", "112.5", "187.5", "187.5", "187.5", "187.5", "187.5", "312.5"],
        ["2022-02", "0", "5", "", "", "", "", "", "", ""],
        ["2022-03", "0", "4", "", "", "", "", "", "", ""],
        ["2022-04", "1", "3", "150", "150", "150", "150", "", "", ""],
        ["average of completed cohorts", "", "", "125", "175", "175", "187.5", "187.5", "187.5", ""],
        ["cohorts in the average", "", "", "2", "2", "2", "1", "1", "1", ""],
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_a_file_of_its_figures(read: Open, view: str) -> None:
    name, rows = read("medium", view=view).saved()
    assert name == f"ltv-{view}-2022-07-31.csv"
    assert len({len(row) for row in rows}) == 1
    assert len(rows) > 5


def test_the_files_hold_the_documents_texts(read: Open) -> None:
    document = documents.large()
    reader = read("large", view="products")
    _, rows = reader.saved()
    written = {row[0]: row for row in rows[1:]}
    for product in document["products"]["rows"]:
        row = written[str(product["product"])]
        assert row[2:5] == [product["quantity"], product["revenue"], product["average_price"]]
        assert row[9:] == [product["ltv"][number] or "" for number in ("0", "3", "6", "12")]
    reader.open(view="revenue")
    _, rows = reader.saved()
    months = {row[0]: row[3] for row in rows if row[1] == "all"}
    assert months == {row["month"]: row["revenue"] for row in document["months"] if row["currency"] == "EUR"}
    reader.open(view="bridge")
    _, rows = reader.saved()
    steps = [step for step in document["gross_to_net"] if step["currency"] == "EUR"]
    assert rows[1:] == [[s["currency"], s["month"] or "all", s["name"], s["amount"], str(s["orders"])] for s in steps]


def test_a_spreadsheet_takes_no_name_for_a_formula(read: Open) -> None:
    _, rows = read("hostile", view="products").saved()
    names = [row[0] for row in rows[1:]]
    assert "'" + HOSTILE[5] in names
    assert HOSTILE[2] in names
    assert not any(name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in names)


def test_negative_figures_stay_figures(read: Open) -> None:
    _, rows = read("case study", view="changes").saved()
    assert rows[1][-1] == "-50"


def clipboard(context: BrowserContext) -> str:
    return str(context.pages[0].evaluate("navigator.clipboard.readText()"))


def test_copy_gives_a_spreadsheet_plain_numbers(read: Open) -> None:
    reader = read("case study", **CLIPBOARD)
    reader.tab.click("#copy")
    reader.wait("document.querySelector('#copy').textContent === 'Copied'")
    lines = clipboard(reader.tab.context).split("\n")
    assert lines[1] == "2022-01\t2\t6\t225\t375\t375\t375\t375\t375\t625"


def test_selected_cells_are_copied_as_plain_numbers(read: Open) -> None:
    reader = read("large", **CLIPBOARD)
    reader.evaluate(
        "getSelection().setBaseAndExtent(document.querySelector('[data-cell=\"2017-08.0\"]').firstChild, 0,"
        " document.querySelector('[data-cell=\"2017-08.2\"]').firstChild, 3)"
    )
    reader.tab.keyboard.press("Control+c")
    texts = documents.large()["triangles"][0]["cells"]["ltv"][0].split()[:3]
    assert clipboard(reader.tab.context) == "\t".join(texts)


def test_the_link_is_the_address_of_the_view(read: Open) -> None:
    reader = read("case study", view="retention", cell="2022-01.1", **CLIPBOARD)
    reader.tab.click("#link")
    reader.wait("document.querySelector('#link').textContent === 'Copied'")
    assert clipboard(reader.tab.context) == reader.tab.url
    assert reader.tab.url.endswith("#view=retention&cell=2022-01.1")
