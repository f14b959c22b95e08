"""The present document of a live page: its bytes, its ETag, and who waits for the next."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from dataclasses import dataclass
from typing import cast

import orjson

from pipeline.report.charts import charts
from pipeline.report.document import Document
from pipeline.report.page import page

MOST_LISTENERS = 32
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME


@dataclass(frozen=True)
class Published:
    """`etag` is of everything but the moment it was made at (RFC 9110, «ETag»: with its quotes)."""

    document: Document
    json: bytes
    etag: str

    @functools.cached_property
    def page(self) -> bytes:
        return page(self.document, charts())


def published(document: Document) -> Published:
    shown = cast(dict[str, object], {**document, "made_at": ""})
    digest = hashlib.sha256(orjson.dumps(shown, option=_STRICT)).hexdigest()
    return Published(document, orjson.dumps(document, option=_STRICT), f'"{digest[:32]}"')


class Feed:
    """One thread publishes, and tasks of an event loop wait. A slow listener misses what is no longer present; nothing
    is kept for it."""

    def __init__(self, first: Document) -> None:
        self.present = published(first)
        self.is_closed = False
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def publish(self, document: Document) -> bool:
        """Whether it says anything else than the present one."""
        made = published(document)
        if made.etag == self.present.etag:
            return False
        self.present = made
        self._wake()
        return True

    def close(self) -> None:
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            for event, loop in self._listeners.items():
                loop.call_soon_threadsafe(event.set)

    def listen(self) -> asyncio.Event | None:
        """Set whenever there is something new, or the feed is closed. None: there are too many listeners."""
        event = asyncio.Event()
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                return None
            self._listeners[event] = asyncio.get_running_loop()
        return event

    def leave(self, event: asyncio.Event) -> None:
        with self._lock:
            self._listeners.pop(event, None)
