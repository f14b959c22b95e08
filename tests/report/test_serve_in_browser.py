"""The live page in a real browser: it moves without a reload, and its policy lets it do all that it does."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.report.serving import SECONDS, ServedShop, revenue, served


def until(page: Page, holds: str) -> None:
    """Polled from here: the page's policy allows no code that is made of a text."""
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, holds
        time.sleep(0.05)


def test_a_sale_moves_the_page(tmp_path: Path) -> None:
    shop = ServedShop(tmp_path)
    with served(shop, "--every", "0.2") as running, chromium() as browser:
        running.wait_for(lambda document: revenue(document) == "230")
        page = browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(running.address)
        until(page, "document.documentElement.dataset.ready > 0")
        page.evaluate("window.isSamePage = true")
        assert "225.00" in page.inner_text("main")
        shop.write("order 9 2022-02-02 1 11.11")
        until(page, "document.querySelector('main').innerText.includes('236.11')")
        assert page.evaluate("window.isSamePage")
        assert said == []
        assert all(url.startswith((running.address, "data:")) for url in asked)
