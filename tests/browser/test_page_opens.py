"""A page opens from a file, whole and at once: no request, no console message, ready within its time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser

from tests.browser.chromium import ensure_chromium
from tests.browser.reader import reading
from tests.browser.timing import measured

READY_MS = 1000
SLOW = 4
"""Tests run beside others on the same cores; `make bench` measures alone."""


def file_of(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def test_the_browser_is_there() -> None:
    assert Path(ensure_chromium()).exists()


def test_a_page_of_60_cohorts_is_usable_within_its_time(browser: Browser, address: Callable[[str], str]) -> None:
    file = file_of(address("large"))
    assert 1_000_000 < file.stat().st_size < 3_000_000
    taken = measured(browser, file, rounds=2)
    assert taken.interactive < READY_MS * SLOW
    assert taken.next_view < READY_MS * SLOW


def test_it_asks_nothing_of_anyone(browser: Browser, address: Callable[[str], str]) -> None:
    with reading(browser, address("case study")) as reader:
        asked: list[str] = []
        reader.tab.on("request", lambda request: asked.append(request.url))
        reader.open()
        reader.tab.wait_for_load_state("networkidle")
        assert [url for url in asked if not url.startswith("data:,")] == [reader.tab.url.partition("#")[0]]


def test_the_policy_refuses_what_is_not_the_pages_own(browser: Browser, address: Callable[[str], str]) -> None:
    """So that the tests would see it: a script, a style attribute and a request are refused and noted."""
    with reading(browser, address("case study")) as reader:
        reader.open()
        reader.evaluate(
            "(() => { const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
            " document.body.append(script); document.body.setAttribute('style', 'color: red');"
            " return fetch('http://127.0.0.1:9/').catch(() => 0) })()"
        )
        refused = [one.split()[0] for one in reader.evaluate("refused.splice(0)")]
        assert sorted(refused) == ["connect-src", "script-src-elem", "style-src-attr"]
        assert reader.evaluate("window.ran") is None
        reader.wrongs.clear()


def test_a_browser_that_cannot_unpack_says_so(browser: Browser, address: Callable[[str], str]) -> None:
    with reading(browser, address("large")) as reader:
        reader.tab.add_init_script("delete window.DecompressionStream")
        reader.tab.goto(reader.address)
        reader.wait("document.querySelector('.banner.error')")
        assert "This browser cannot unpack the figures" in reader.tab.locator(".banner").first.inner_text()
        assert [wrong.split(":")[0] for wrong in reader.wrongs] == ["exception"]
        reader.wrongs.clear()
