"""What stands before the live page: it answers this machine's browser alone, and says what the page may do.

Another site's page could make a browser ask 127.0.0.1 under that site's own name (DNS rebinding): only the names of
loopback are answered. Nothing changes anything, so there is nothing but GET and HEAD.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI. `port` is asked for at each request: one that is free is known only when the server listens."""

    def __init__(self, app: ASGIApp, port: Callable[[], int], policy: str) -> None:
        self._app = app
        self._port = port
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "x-frame-options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                message = {**message, "headers": [*message.get("headers", ()), *named]}
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in {f"{name}:{self._port()}" for name in NAMES}:
            return PlainTextResponse(f"ask for http://127.0.0.1:{self._port()}/\n", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD\n", 405, {"allow": "GET, HEAD"})
        return None
