"""`ltv-pipeline serve`: the page on loopback, live, until stopped."""

from __future__ import annotations

import datetime as dt
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from pipeline.report import problems
from pipeline.report.figures import empty_document
from pipeline.report.guard import Guard
from pipeline.report.page import policy
from pipeline.report.publication import Feed
from pipeline.report.routes import application
from pipeline.report.turns import Turns
from pipeline.report.watch import Watch
from pipeline.signals import stopping_on_signals
from schemas.config import ShopConfig
from schemas.errors import Terminal, UsageError

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
MOST_CONNECTIONS = 128
STOP_S = 5.0


@dataclass(frozen=True)
class Serving:
    """`every`: seconds between two looks at the warehouse. `shows_orders`: customers' ids may be shown."""

    port: int
    every: float
    rolls_up: bool = True
    shows_orders: bool = True


def serve(config: ShopConfig, serving: Serving, stop: threading.Event | None = None) -> None:
    """Until `stop` is set (SIGTERM and Ctrl-C set it). Prints the address as soon as it answers.

    Raises UsageError where the port is in use, PageMissing, and what is no matter of the warehouse: what is, is said on
    the page and tried again.
    """
    config.need("warehouse")
    stop = stop or threading.Event()
    content_policy = policy(is_live=True)
    with listening(serving.port) as listener, stopping_on_signals(stop, "stopping; what is underway is finished"):
        port = listener.getsockname()[1]
        turns = Turns(config, writes=serving.rolls_up)
        now = dt.datetime.now(dt.timezone.utc)
        feed = Feed(empty_document(config, now, [problems.still_reading()], is_live=True))
        app = Guard(application(feed, turns, shows_orders=serving.shows_orders), lambda: int(port), content_policy)
        server = _Server(app)
        watch = Watch(config, turns, feed, serving.every, serving.rolls_up, serving.shows_orders)
        threads = [
            _Thread(lambda: server.run([listener]), "page", stop),
            _Thread(lambda: watch.follow(stop), "watch", stop),
        ]
        for thread in threads:
            thread.start()
        try:
            server.wait_until_started(stop)
            print(f"http://{HOST}:{port}/", flush=True)
            while not stop.wait(0.5):
                pass
        finally:
            stop.set()
            feed.close()
            server.should_exit = True
            for thread in threads:
                thread.join()  # a rollup that is underway is finished; a second signal does not wait for it
            turns.close()
    for thread in threads:
        if thread.error is not None:
            raise thread.error


def listening(port: int) -> socket.socket:
    """A socket of this machine alone. Raises UsageError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
        listener.bind((HOST, port))
        listener.listen(MOST_CONNECTIONS)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        what = "is in use" if taken else f"cannot be listened on: {error.strerror}"
        raise UsageError(f"port {port} {what}", hint="--port N names another, --port 0 any that is free") from error
    return listener


class _Server(uvicorn.Server):
    def __init__(self, app: Guard) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                lifespan="off",
                ws="none",
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(STOP_S),
            )
        )

    def wait_until_started(self, stop: threading.Event) -> None:
        deadline = time.monotonic() + 30
        while not self.started and not stop.is_set():
            if time.monotonic() > deadline:
                raise Terminal("the page's server did not start within 30 s")
            time.sleep(0.01)


class _Thread(threading.Thread):
    """Its end, with an error or without, ends the command."""

    def __init__(self, does: Callable[[], None], name: str, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._does = does
        self._stop_event = stop
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._does()
        except BaseException as error:  # noqa: BLE001 - raised again by the command
            self.error = error
        finally:
            self._stop_event.set()
