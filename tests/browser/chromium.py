"""Debian's Chromium, driven by Playwright. It is installed where it is missing and we are root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from demo.process import ServerFailed, ServerMissing

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium")


def ensure_chromium() -> str:
    """Its path. Raises ServerMissing with what to run."""
    with _one_at_a_time():
        found = _find()
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install()
            found = _find()
    if found is None:
        raise ServerMissing("no Chromium is on PATH", hint="as root: `apt-get install chromium`")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. As root it cannot have its sandbox; it opens nothing but our own page."""
    options = ["--disable-dev-shm-usage", "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure_chromium(), args=options)
        try:
            yield browser
        finally:
            browser.close()


def _find() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


def _install() -> None:
    print(f"Chromium is missing; running: {' '.join(INSTALL)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update"), INSTALL):
        if status := subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
            raise ServerFailed(f"`{' '.join(command)}` ended with status {status}", hint="run it by hand")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of several processes that find it missing, one installs it; apt-get does not wait for another."""
    with (Path(tempfile.gettempdir()) / f"ltv-chromium-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
