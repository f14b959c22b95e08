"""Which tests run side by side (pytest-xdist): files do, and what runs on MySQL is as one file.

That server is one for all, and tests set it up otherwise for a while; MariaDB and the emulator are each process's own.
The process that hands out tests knows their names alone, so a test on MySQL says so in its name or its parameters.
They are handed out in the order in which they are collected, quick ones last, so that all processes end together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

SHARED = "mysql"
QUICK = "tests/unit/"


def scheduling(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return SHARED if SHARED in test else file

    return Files(config, log)


def quick_last(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(QUICK))


def check_names(items: Iterable[pytest.Item]) -> None:
    """Raises UsageError."""
    wrong = [item.nodeid for item in items if item.get_closest_marker(SHARED) and SHARED not in item.name]
    if wrong:
        raise pytest.UsageError(f"a test on MySQL is to have {SHARED!r} in its name: {', '.join(wrong)}")
