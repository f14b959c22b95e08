"""`binlog-worker run`: puts the parts together, starts them, and ends them so that nothing confirmed is forgotten."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from binlog_worker import metrics
from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.checkpointer import Checkpointer
from binlog_worker.decoding.true_types import true_types
from binlog_worker.log.crashed_logs import rotation_behind_crash
from binlog_worker.log.dump import Dump
from binlog_worker.log.past_logs import ServerPastLogs
from binlog_worker.position.identity import Beginning, changed, check_identity, decide_epoch
from binlog_worker.position.start import Start, decide_start, standing
from binlog_worker.preflight.checks import failures, preflight
from binlog_worker.preflight.facts import Facts, read_facts
from binlog_worker.preflight.table_checks import problems
from binlog_worker.progress import Progress
from binlog_worker.reader import Reader
from binlog_worker.server import ServerClock, login
from binlog_worker.sinks.files import FilesSink
from binlog_worker.sinks.oversized import needed_columns
from binlog_worker.sinks.packer import PackedSchema, Packer
from binlog_worker.sinks.publisher import Publisher, Send
from binlog_worker.sinks.sink import Sink
from binlog_worker.stopping import Stopped, Stopping
from binlog_worker.tail import Tail
from binlog_worker.xa.prepared import PreparedTransactions
from binlog_worker.xa.spool import BUDGET_BYTES, Spool
from schemas.catalogue import CatalogueTable, read_tables, wire_schema
from schemas.checkpoint import Checkpoint, Identity, Place
from schemas.checkpoint_store import CheckpointStore, open_checkpoint
from schemas.config import ShopConfig
from schemas.errors import LtvError, SourceChanged, SourceRefused, Transient
from schemas.server_logs import ServerLogs, read_logs
from schemas.source import describe_server

if TYPE_CHECKING:
    from binlog_worker.server import Connection

log = logging.getLogger(__name__)

CONFIRMATION_S = 10.0
"""How long an ending run waits for what is underway."""


@dataclass(frozen=True)
class Options:
    """What the command line says, and time-outs in seconds and limits, which tests shorten."""

    begin: str | None = None
    epoch: int | None = None
    until_caught_up: bool = False
    folder: Path | None = None
    live: bool = False
    read_timeout_s: float = 30.0
    server_heartbeat_s: float = 10.0
    checkpoint_s: float = 0.5
    confirmation_s: float = CONFIRMATION_S
    spool_bytes: int = BUDGET_BYTES
    limits: Mapping[str, int] = field(default_factory=dict)  # of `Publisher`


@metrics.counting_stops()
def run(config: ShopConfig, options: Options, stopping: Stopping, send: Send | None = None) -> None:
    """Follows the source until caught up or stopped. `send` replaces Pub/Sub.

    Raises LtvError; what was confirmed before is in the checkpoint.
    """
    config.need("source", "server_id", *(() if options.folder or send else ("project",)))
    with ExitStack() as stack:
        store = stack.enter_context(open_checkpoint(config.checkpoint))
        store.lock()
        checkpoint = store.read()
        beginning = decide_epoch(checkpoint, options.epoch, options.begin)
        connection = login(config)
        stack.callback(connection.close)
        facts = read_facts(connection, config)
        _refuse(facts, config)
        found = read_logs(connection, facts.server)
        past = _past_logs(config, options, stopping, found.identity(), beginning.epoch)
        try:
            start = decide_start(beginning, options.begin, found, facts.server, connection, config.source_tables, past)
        except Stopped:
            return
        _say_start(start, options, beginning)
        sink = _sink(config, options, checkpoint, stopping, send)
        stack.callback(sink.close)
        progress = stack.enter_context(Progress(options.live))
        try:
            _follow(config, options, stopping, store, facts, found, beginning.checkpoint, start, past, sink, progress)
        except SourceChanged:
            with suppress(Transient):
                _say_way_on(config, store.read())
            raise


def _say_way_on(config: ShopConfig, checkpoint: Checkpoint | None) -> None:
    """Raises SourceChanged with what the server that answers now has of that which the checkpoint says: only by what is
    confirmed can be said how to go on."""
    with login(config) as connection:
        server = describe_server(connection)
        found = read_logs(connection, server)
        if checkpoint is not None:
            check_identity(
                checkpoint, found, config.source_tables, lambda: standing(checkpoint, found, server, connection)
            )


def _refuse(facts: Facts, config: ShopConfig) -> None:
    findings = preflight(facts, config)
    if failed := failures(findings):
        lines = "".join(f"\n  - {problem}" for problem in problems(failed))
        raise SourceRefused(f"the source is not ready:{lines}", hint="`binlog-worker check` shows all that it looks at")
    for finding in findings:
        if finding.level.value == "warn":
            log.warning("preflight", extra={"finding": str(finding)})


def _say_start(start: Start, options: Options, beginning: Beginning) -> None:
    extra = {"position": str(start.place), "from": start.why, "epoch": start.epoch}
    log.info("starting", extra=extra)
    if beginning.checkpoint is not None and options.begin is not None:
        log.warning("--from is not used: the checkpoint says where to go on", extra=extra)


def _past_logs(
    config: ShopConfig, options: Options, stopping: Stopping, identity: Identity, epoch: int
) -> ServerPastLogs:
    def same_server(connection: Connection, place: Place) -> None:
        _same_server(connection, identity, epoch, place, config.source_tables)

    return ServerPastLogs(
        config, same_server, stopping, heartbeat=_heartbeat_s(config, options), read_timeout=options.read_timeout_s
    )


def _heartbeat_s(config: ShopConfig, options: Options) -> float:
    """Of the server: it wakes us for ours."""
    return min(options.server_heartbeat_s, config.heartbeat_seconds / 4)


def _sink(
    config: ShopConfig, options: Options, checkpoint: Checkpoint | None, stopping: Stopping, send: Send | None
) -> Sink:
    kept = checkpoint.files if checkpoint is not None else None
    if options.folder is not None:
        return FilesSink(options.folder, kept, stopping)
    if kept is not None:
        log.warning("the checkpoint was written by a run into files; what is in them was not published",
                    extra={"folder": kept.folder})  # fmt: skip
    return Publisher(send or topic_sender(config), stopping, **options.limits)


def topic_sender(config: ShopConfig) -> Send:
    """Publishes to the configured topic. With the emulator, topic and subscription are created. Raises TopicRefused."""
    from schemas import topic

    assert config.project is not None
    topic.ensure(config.project, config.topic, config.subscription)
    client, path = topic.publisher(), topic.topic_path(config.project, config.topic)
    return lambda messages: topic.publish(client, path, messages)


def _follow(
    config: ShopConfig,
    options: Options,
    stopping: Stopping,
    store: CheckpointStore,
    facts: Facts,
    found: ServerLogs,
    checkpoint: Checkpoint | None,
    start: Start,
    past: ServerPastLogs,
    sink: Sink,
    progress: Progress,
) -> None:
    server, identity, run_id = facts.server, found.identity(), uuid.uuid4().hex
    assert config.server_id is not None
    server_id = config.server_id

    def refuse(created: int) -> None:
        reference = checkpoint or Checkpoint(identity, start.epoch, start.place)
        reason = f"{reader.place.file} was created at another time: the log was reset, and begins anew"
        raise changed([reason], reference, found.current, config.source_tables)

    known = checkpoint.prepared if checkpoint is not None else ()
    prepared = PreparedTransactions(start.place, past, known, Spool(options.spool_bytes))
    reader = Reader(
        config,
        ChangeWriter(Origin(server.flavor, config.name, start.epoch)),
        start.place,
        {
            name: PackedSchema.of(wire_schema(table, config.published(name, table.column_names)))
            for name, table in facts.tables.items()
        },
        prepared,
        ignore_case=server.variables.get("lower_case_table_names", "0") != "0",
        passing=start.passing,
        gtids=start.gtids,
        created=checkpoint.identity.created if checkpoint is not None else 0,
        refuse_created=refuse,
        types=true_types(server, facts.tables, lambda table: _today(config, table)),
    )
    packer = Packer(
        sink.put,
        identity.text(start.epoch),
        run_id,
        after=f"{checkpoint.run}:{checkpoint.number}" if checkpoint is not None and checkpoint.number else "",
        max_events=config.max_events_per_message,
        max_bytes=config.max_message_bytes,
        needed=lambda table: needed_columns(config, table),
    )

    def open_dump(place: Place) -> Dump:
        with login(config) as connection:
            _same_server(connection, identity, start.epoch, place, config.source_tables)
        return Dump(
            lambda: login(config, read_timeout=options.read_timeout_s),
            server_id,
            place.file,
            place.position,
            heartbeat=_heartbeat_s(config, options),
            read_timeout=options.read_timeout_s,
        )

    clock = ServerClock(config)
    checkpointer = Checkpointer(
        store, sink, identity, start.epoch, run_id, stopping, after=checkpoint, every_s=options.checkpoint_s
    )
    tail = Tail(
        open_dump, reader, packer, sink, clock, stopping, progress,
        heartbeat_s=config.heartbeat_seconds,
        until=found.current if options.until_caught_up else None,
        behind_crash=lambda file, position: rotation_behind_crash(past, file, position),
    )  # fmt: skip
    sink.mark(reader.mark(0))
    checkpointer.write()  # before anything leaves: `--from now` must mean the same after a crash
    checkpointer.start()
    began = time.monotonic()
    try:
        try:
            tail.run()
        except LtvError:
            sink.flush(options.confirmation_s)  # what was read before it is right, and the checkpoint may say so
            raise
        if not _drain(sink, stopping, options.confirmation_s) and stopping.error is None:
            log.warning("not everything sent was confirmed in time; it will be sent again")
    finally:
        prepared.close()
        clock.close()
        checkpointer.end()
    if stopping.error is not None:
        raise stopping.error
    seconds = time.monotonic() - began
    log.info(
        "done" if not stopping.wanted() else "stopped",
        extra={"rows": reader.counted, "seconds": round(seconds, 2), "position": str(reader.place)},
    )


def _today(config: ShopConfig, table: str) -> CatalogueTable | None:
    with login(config) as connection:
        return read_tables(connection, [table]).get(table)


def _drain(sink: Sink, stopping: Stopping, seconds: float) -> bool:
    """Waits for all that was sent; once told to stop, for so many seconds more."""
    deadline = None
    while not sink.flush(0.1):
        if stopping.wanted():
            deadline = deadline or time.monotonic() + seconds
            if stopping.error is not None or time.monotonic() > deadline:
                return False
    return True


def _same_server(connection: Connection, identity: Identity, epoch: int, place: Place, tables: Sequence[str]) -> None:
    """Raises SourceChanged where a connection, perhaps after a failover, leads to another server than before."""
    found = read_logs(connection, describe_server(connection))
    check_identity(Checkpoint(identity, epoch, place), found, tables)
