"""`ltv-pipeline stream`: Pub/Sub → warehouse, until stopped or idle."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import threading
from collections.abc import Sequence

from pipeline.dataflow import Launched, launch
from pipeline.graph import build
from pipeline.message_source import DATAFLOW, ReadMessages
from pipeline.process_warehouse import release, share
from pipeline.progress import PROGRESS, live_line
from pipeline.pubsub_source import Puller, share_puller, stop_reading
from pipeline.runner import pipeline_options, run_graph, runner_of
from pipeline.signals import stopping_on_signals
from pipeline.warehouse import open_warehouse
from schemas import topic
from schemas.config import ShopConfig
from schemas.errors import LtvError, Transient

LOG = logging.getLogger(__name__)
RUN_SECONDS = 15.0
"""Beam's local runner keeps 25 KB of monitoring information a bundle: the graph is run anew this often, in 50 ms."""

MAX_PAUSE_S = 30.0


def stream(
    config: ShopConfig,
    beam_arguments: Sequence[str] = (),
    *,
    until_idle: float | None = None,
    live: bool = False,
    stop: threading.Event | None = None,
) -> Launched | None:
    """Runs until `stop` is set (SIGTERM and Ctrl-C set it), or nothing came for `until_idle` seconds.

    A message is acknowledged after its rows are committed. Transient errors are tried again with back-off, for ever;
    messages that were in hand come again. On Dataflow it returns when the job is there. Raises Terminal errors.
    """
    config.need("project", "warehouse")
    if runner_of(beam_arguments) == DATAFLOW:
        return launch(config, beam_arguments, until_idle=until_idle)
    pipeline_options(beam_arguments)  # a wrong one is said before anything is opened
    stop = stop or threading.Event()
    stop_reading(False)
    with stopping_on_signals(stop, "stopping; what is in hand is still applied"):
        warehouse = open_warehouse(config, hold=True, waiting=LOG.warning)
        share(config, warehouse)
        try:
            warehouse.check_settings(config)
            subscribed = _subscribe(config, stop)
            if subscribed is not None:
                with live_line() if live else contextlib.nullcontext():
                    _stream(config, beam_arguments, Puller(subscribed), until_idle, stop)
        finally:
            release(config)
    LOG.info("stopped", extra=PROGRESS.facts())
    return None


def _stream(
    config: ShopConfig, beam_arguments: Sequence[str], puller: Puller, until_idle: float | None, stop: threading.Event
) -> None:
    share_puller(config.subscription, puller)
    try:
        LOG.info("streaming", extra={"subscription": config.subscription, "warehouse": config.warehouse})
        _run_until_stopped(config, beam_arguments, puller, until_idle, stop)
    finally:
        puller.stop()
        share_puller(config.subscription, None)


def _subscribe(config: ShopConfig, stop: threading.Event) -> topic.Subscription | None:
    """The subscription, as soon as Pub/Sub answers. None where `stop` was set first. Raises TopicRefused."""
    pause = 0.0
    while not stop.is_set():
        try:
            topic.ensure(str(config.project), config.topic, config.subscription)
            return topic.Subscription(str(config.project), config.subscription)
        except Transient as error:
            pause = _pause(error, pause, stop)
    return None


def _run_until_stopped(
    config: ShopConfig, beam_arguments: Sequence[str], puller: Puller, until_idle: float | None, stop: threading.Event
) -> None:
    pause = 0.0
    watching = threading.Thread(target=_watch, args=(puller, until_idle, stop), name="watch", daemon=True)
    watching.start()
    while not stop.is_set():
        try:
            run_graph(lambda pipeline: build(pipeline, ReadMessages(config, RUN_SECONDS), config), beam_arguments)
            puller.give_back()  # nothing, unless the runner ended without finalizing its last bundle
            pause = 0.0
        except Exception as error:
            failure = error if isinstance(error, LtvError) else puller.error or error
            puller.give_back()
            if not isinstance(failure, Transient):
                raise failure from error
            pause = _pause(failure, pause, stop)
        gc.collect()
    watching.join(timeout=5)


def _watch(puller: Puller, until_idle: float | None, stop: threading.Event) -> None:
    """Ends the reading when the command is to stop, or has been idle for long enough."""
    while not stop.wait(0.05):
        PROGRESS.log_now_and_then()
        if until_idle is not None and puller.idle_seconds() > until_idle:
            stop.set()
    stop_reading()


def _pause(error: LtvError, pause: float, stop: threading.Event) -> float:
    pause = min(MAX_PAUSE_S, max(0.5, pause * 2))
    LOG.warning("trying again in %.1f s: %s", pause, error)
    stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
    return pause
