"""What the live page asks of its server: itself, the present document, news of the next, and orders by the page."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.report.cell_orders import read_orders_of
from pipeline.report.publication import Feed
from pipeline.report.reconciliation import count_unexplained, read_unexplained
from pipeline.report.turns import Turns
from schemas.errors import LtvError

PAGE_ROWS = 100
COMMENT_S = 15.0
"""Between two signs of life to an idle listener."""

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_MOST = 10**9


def application(feed: Feed, turns: Turns, *, shows_orders: bool = True) -> Starlette:
    """`shows_orders` False: ids of orders behind a cell do not leave the warehouse."""

    def page(request: Request) -> Response:
        return Response(feed.present.page, media_type="text/html; charset=utf-8")

    async def document(request: Request) -> Response:
        present = feed.present
        headers = {"etag": present.etag}
        if request.headers.get("if-none-match") == present.etag:
            return Response(status_code=304, headers=headers)
        return Response(present.json, media_type="application/json", headers=headers)

    async def events(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        event = feed.listen()
        if event is None:
            raise HTTPException(503, "too many pages listen; close some")
        return StreamingResponse(_news(feed, event), media_type="text/event-stream")

    def cell(request: Request) -> Response:
        if not shows_orders:
            raise HTTPException(404, "serve was started with --orders-per-cell 0")
        given = Given(request.query_params, ("currency", "guest", "cohort", "month", "offset"))
        currency, is_guest = given.code("currency"), given.flag("guest")
        cohort, number, offset = given.month("cohort"), given.number("month", 12 * 9999), given.number("offset", _MOST)
        with turns.warehouse() as warehouse:
            total, orders = read_orders_of(warehouse, currency, is_guest, cohort, number, offset, PAGE_ROWS)
        return _json({"total": total, "orders": orders})

    def unexplained(request: Request) -> Response:
        offset = Given(request.query_params, ("offset",)).number("offset", _MOST)
        with turns.warehouse() as warehouse:
            total = count_unexplained(warehouse)
            orders = read_unexplained(warehouse, offset, PAGE_ROWS)
        return _json({"total": total, "orders": orders})

    routes: dict[str, Callable[[Request], Any]] = {
        "/": page,
        "/document.json": document,
        "/events": events,
        "/cell.json": cell,
        "/unexplained.json": unexplained,
    }
    return Starlette(
        routes=[Route(path, endpoint) for path, endpoint in routes.items()],
        exception_handlers={LtvError: _unavailable, HTTPException: _said},
    )


class Given:
    """Query parameters. Each of these raises HTTPException 400 that says what is wrong."""

    def __init__(self, parameters: Mapping[str, str], names: tuple[str, ...]) -> None:
        self._parameters = parameters
        unknown = [name for name in parameters if name not in names]
        if unknown:
            raise HTTPException(400, f"{unknown[0][:40]!r} is no parameter here; there are {', '.join(names)}")

    def _text(self, name: str) -> str:
        text = self._parameters.get(name)
        if text is None:
            raise HTTPException(400, f"{name} is missing")
        return text

    def number(self, name: str, most: int) -> int:
        text = self._parameters.get(name, "0") if name == "offset" else self._text(name)
        if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
            raise HTTPException(400, f"{name}={text[:40]!r} is no whole number from 0 to {most:,}")
        return int(text)

    def flag(self, name: str) -> bool:
        text = self._text(name)
        if text not in ("0", "1"):
            raise HTTPException(400, f"{name}={text[:40]!r} is neither 0 nor 1")
        return text == "1"

    def month(self, name: str) -> dt.date:
        text = self._text(name)
        found = _MONTH.fullmatch(text)
        if not found or found[1] == "0000":
            raise HTTPException(400, f"{name}={text[:40]!r} is no month; write it as 2022-01")
        return dt.date(int(found[1]), int(found[2]), 1)

    def code(self, name: str) -> str:
        text = self._text(name)
        if len(text) > 40:
            raise HTTPException(400, f"{name} is no currency")
        return text


async def _news(feed: Feed, event: asyncio.Event) -> AsyncIterator[bytes]:
    """The present document's ETag at once, then that of each new one (HTML, «Server-sent events»)."""
    told = None
    try:
        while not feed.is_closed:
            event.clear()
            present = feed.present.etag
            if present != told:
                told = present
                yield f"event: document\ndata: {present}\n\n".encode()
                continue
            try:
                await asyncio.wait_for(event.wait(), COMMENT_S)
            except asyncio.TimeoutError:
                yield b": still here\n\n"
    finally:
        feed.leave(event)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, LtvError)
    hint = f"\n{error.hint}" if error.hint else ""
    return PlainTextResponse(f"{error}{hint}\n", 503, {"retry-after": "5"})
