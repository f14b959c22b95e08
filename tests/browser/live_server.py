"""A server of one live page, as `serve` answers: the page, its document, news of the next one, and orders."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pipeline.report.charts import charts
from pipeline.report.document import CellOrder, Document
from pipeline.report.page import page, policy

PAGE_ROWS = 100


class LiveServer:
    """`publish` shows another document; `disconnect` ends the streams of news, and none is given until `reconnect`."""

    def __init__(self, document: Document, orders: list[CellOrder]) -> None:
        self.document = document
        self.orders = orders
        self.version = 1
        self.is_down = False
        self.asked: list[str] = []
        self.changed = threading.Condition()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing: a test's output is its result."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/"

    def publish(self, document: Document) -> None:
        with self.changed:
            self.document = document
            self.version += 1
            self.changed.notify_all()

    def disconnect(self) -> None:
        with self.changed:
            self.is_down = True
            self.changed.notify_all()

    def reconnect(self) -> None:
        self.is_down = False

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        self.asked.append(request.path)
        if url.path == "/events":
            self._stream(request)
        elif url.path == "/":
            self._send(request, "text/html; charset=utf-8", page({**self.document, "is_live": True}, charts()))
        elif url.path == "/document.json":
            self._send(request, "application/json", json.dumps({**self.document, "is_live": True}).encode())
        elif url.path in ("/cell.json", "/unexplained.json"):
            offset = int(parse_qs(url.query)["offset"][0])
            rows = self.orders if url.path == "/cell.json" else self.document["reconciliation"]["orders"]
            shown = {"total": len(rows), "orders": rows[offset : offset + PAGE_ROWS]}
            self._send(request, "application/json", json.dumps(shown).encode())
        else:
            request.send_error(404)

    def _send(self, request: BaseHTTPRequestHandler, kind: str, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Security-Policy", policy(True))
        request.end_headers()
        request.wfile.write(body)

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        if self.is_down:
            request.send_error(503)
            return
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        told = 0
        while not self.is_down:
            with self.changed:
                while not self.is_down and self.version == told:
                    self.changed.wait()
                told, is_down = self.version, self.is_down
            if not is_down:
                request.wfile.write(f'event: document\ndata: "{told}"\n\n'.encode())
                request.wfile.flush()


@contextmanager
def serving(document: Document, orders: list[CellOrder]) -> Iterator[LiveServer]:
    server = LiveServer(document, orders)
    thread = threading.Thread(target=server._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.disconnect()
        server._http.shutdown()
        server._http.server_close()
        thread.join()
