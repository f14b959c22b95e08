"""How long Chromium takes until a page can be used: measured by the page itself, from the start of the navigation."""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.reader import reading

NEXT_VIEW = """
(() => {
  const start = performance.now();
  document.querySelector('#tab-retention').click();
  const shown = (done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
  return new Promise(shown);
})()
"""


@dataclass(frozen=True)
class Timing:
    """Milliseconds, each the median of the rounds. `interactive`: the figures are shown and answer. `next_view`: from a
    click on a tab until another view has been laid out."""

    interactive: float
    next_view: float


def timing(file: Path, rounds: int = 5) -> Timing:
    """Of a page that is a file, in a browser of its own."""
    with chromium() as browser:
        return measured(browser, file, rounds)


def measured(browser: Browser, file: Path, rounds: int) -> Timing:
    """Each round is a fresh context, with nothing cached but by the operating system. The first does not count."""
    interactive, next_view = [], []
    for _ in range(rounds + 1):
        with reading(browser, file.resolve().as_uri()) as reader:
            reader.open()
            interactive.append(float(reader.evaluate("document.documentElement.dataset.ready")))
            next_view.append(float(reader.evaluate(NEXT_VIEW)))
    return Timing(statistics.median(interactive[1:]), statistics.median(next_view[1:]))


def main() -> None:
    """`python -m tests.browser.timing [FILE]`; without a file, of the large document."""
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            file = Path(sys.argv[1])
        else:
            from tests.browser.reader import write
            from tests.report.documents import large

            file = Path(folder) / "large.html"
            write(large(), file)
        taken = timing(file)
        size = file.stat().st_size
    print(f"{size / 1e6:.2f} MB: interactive after {taken.interactive:.0f} ms, next view {taken.next_view:.0f} ms")


if __name__ == "__main__":
    main()
