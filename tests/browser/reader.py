"""Someone who reads the page: opens it in a browser tab, and notes whatever a good page never does."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Locator, Page, Request

from pipeline.report.charts import charts
from pipeline.report.document import Document
from pipeline.report.page import page

VIEWS = (
    "triangle", "curves", "retention", "revenue", "drivers", "bridge", "compare", "products", "payments", "changes",
)  # fmt: skip
CHARTED = ("curves", "revenue", "drivers", "bridge", "compare")

WATCH = """
window.refused = [];
addEventListener("securitypolicyviolation", (event) => refused.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class Reader:
    """A tab. `wrongs`: console errors, exceptions, dialogs, and requests to anywhere but the page."""

    def __init__(self, tab: Page, address: str) -> None:
        self.tab = tab
        self.address = address
        self.wrongs: list[str] = []
        self.is_losing_connection = False
        tab.add_init_script(WATCH)
        tab.on("console", lambda message: self._said(message.type, message.text))
        tab.on("pageerror", lambda error: self.wrongs.append(f"exception: {error}"))
        tab.on("dialog", lambda dialog: (self.wrongs.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", self._asked)

    def open(self, **state: str) -> Reader:
        """With what is chosen in its address, and waits until that is shown. A page that is open is not loaded anew."""
        self.tab.goto(f"{self.address}#{urlencode(state)}")
        self.wait("document.documentElement.dataset.ready && document.documentElement.dataset.state === location.hash")
        return self

    def texts(self, selector: str) -> list[str]:
        return self.tab.locator(selector).all_text_contents()

    def triangle(self) -> list[list[str]]:
        """Rows of texts: heads, cohorts and averages, blanks at the end left out."""
        rows = self.tab.evaluate(
            "[...document.querySelector('.triangle').rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        for row in rows:
            while row and not row[-1]:
                row.pop()
        return list(rows)

    def cell(self, month: str, number: int) -> Locator:
        return self.tab.locator(f"[data-cell='{month}.{number}']")

    def choose(self, name: str, value: str) -> None:
        self.tab.locator(f"#choice-{name}-{value}").check()

    def saved(self, button: str = "#csv") -> tuple[str, list[list[str]]]:
        """The file's name and its rows."""
        with self.tab.expect_download() as download:
            self.tab.click(button)
        path = Path(download.value.path())
        return download.value.suggested_filename, list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"))))

    def wait_for_charts(self) -> None:
        """Each is drawn when it comes into view."""
        for canvas in self.tab.locator(".canvas").all():
            canvas.scroll_into_view_if_needed()
        self.wait("[...document.querySelectorAll('.canvas')].every((one) => one.querySelector('svg'))")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Until the script's value is true. Playwright's own waiting evaluates texts in the page: it may not."""
        deadline = time.monotonic() + seconds
        while not self.tab.evaluate(script):
            assert time.monotonic() < deadline, f"never true: {script}"
            self.tab.wait_for_timeout(20)

    def evaluate(self, script: str) -> Any:
        return self.tab.evaluate(script)

    def check(self) -> None:
        """Raises AssertionError where anything was wrong since the last check."""
        refused = self.tab.evaluate("(window.refused ?? []).splice(0)")
        found, self.wrongs = self.wrongs + [f"refused by the policy: {one}" for one in refused], []
        assert found == []

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.is_losing_connection and "ERR_" in text):
            self.wrongs.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        own = (self.address.rsplit("/", 1)[0], "about:", "data:", "blob:")
        if not request.url.startswith(own):
            self.wrongs.append(f"request: {request.url}")


def write(document: Document, file: Path) -> str:
    """The page as a file; its address."""
    file.write_bytes(page(document, charts()))
    return file.resolve().as_uri()


@contextmanager
def reading(browser: Browser, address: str, width: int = 1440, height: int = 900, **options: Any) -> Iterator[Reader]:
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
    context.set_default_timeout(20_000)
    try:
        reader = Reader(context.new_page(), address)
        yield reader
        reader.check()
    finally:
        context.close()
