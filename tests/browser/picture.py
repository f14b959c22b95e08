"""`python -m tests.browser.picture [FILE]`: writes docs/report.png, the README's picture, of a page or of a sample."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.reader import reading, write
from tests.report.documents import large

PICTURE = Path(__file__).parents[2] / "docs" / "report.png"
SIZE = (1440, 900)


def picture(address: str, target: Path = PICTURE) -> None:
    with chromium() as browser, reading(browser, address, *SIZE) as reader:
        reader.open(view="triangle", by="customer")
        cells = reader.tab.locator(".cell")
        reader.open(view="triangle", by="customer", cell=cells.nth(4).get_attribute("data-cell") or "")
        reader.tab.screenshot(path=target)


def main() -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            address = Path(sys.argv[1]).resolve().as_uri()
        else:
            address = write({**large(11, 60, 6), "shop": "demo shop"}, Path(folder) / "report.html")
        picture(address)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
