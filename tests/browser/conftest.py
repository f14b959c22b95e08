"""One browser for a file of tests, and the documents written once as pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.reader import Reader, reading, write
from tests.report import documents

DOCUMENTS = {
    "case study": documents.case_study,
    "medium": lambda: documents.large(24, 240, 2),
    "large": documents.large,
    "hostile": documents.hostile,
    "empty": documents.empty,
}
Open = Callable[..., Reader]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a file of tests: while Playwright runs, its event loop is this thread's, and no other test can have one."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Document name → address of its page."""
    folder = tmp_path_factory.mktemp("pages")
    written: dict[str, str] = {}

    def given(name: str) -> str:
        if name not in written:
            written[name] = write(DOCUMENTS[name](), folder / f"{name.replace(' ', '_')}.html")
        return written[name]

    return given


@pytest.fixture(scope="module")
def tabs(browser: Browser, address: Callable[[str], str]) -> Iterator[Callable[..., Reader]]:
    """A tab for each document, width and way of showing it: loaded once, then led from link to link."""
    known: dict[str, Reader] = {}
    with ExitStack() as stack:

        def tab(name: str, width: int, options: dict[str, Any]) -> Reader:
            named = repr((name, width, options))
            if named not in known:
                known[named] = stack.enter_context(reading(browser, address(name), width, **options))
            return known[named]

        yield tab


@pytest.fixture
def read(tabs: Callable[..., Reader]) -> Iterator[Open]:
    """`read("case study", view="curves")`: a reader of it, who fails the test at its end if the page did any wrong."""
    used: list[Reader] = []

    def opened(name: str, *, width: int = 1440, options: dict[str, Any] | None = None, **state: str) -> Reader:
        used.append(tabs(name, width, options or {}))
        return used[-1].open(**state)

    yield opened
    for reader in used:
        reader.check()
