"""`ltv-pipeline batch`: the tables from the database into the warehouse, then the rollup.

Each chunk is written in one transaction with the note that it is, so that a batch that was stopped or killed anywhere
goes on there when it is run again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.batch import place
from pipeline.batch.decode import DecodeChunks
from pipeline.batch.loads import Remaining, TableLoad, remaining
from pipeline.batch.log_watch import LogWatch
from pipeline.batch.login import log_in
from pipeline.batch.place import LogOrder, decide_order
from pipeline.batch.progress import LoadsProgress
from pipeline.batch.source import Reader, Reading, read_shared, share_reader
from pipeline.batch.stamps import Way, stamped_read
from pipeline.batch.tables import SourceTable, chosen_tables, source_tables
from pipeline.batch.ways import stamping_way
from pipeline.graph import build_load
from pipeline.process_warehouse import process_warehouse, process_writers, release, share
from pipeline.progress import PROGRESS
from pipeline.rollup import as_of_date, prepare_rollup, rollup
from pipeline.runner import pipeline_options, run_graph
from pipeline.signals import stopping_on_signals
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.checkpoint import Place
from schemas.checkpoint_store import open_checkpoint
from schemas.config import ShopConfig
from schemas.errors import IncompleteLoad, SourceUnavailable, TableAltered, WarehouseUnavailable
from schemas.server_logs import read_logs
from schemas.source import SourceAddress, describe_server

LOG = logging.getLogger(__name__)
DUCKDB_MEMORY = "512MB"
"""What is beyond that goes to disk; keys and buffers of the interpreter come in addition."""

ATTEMPTS = 5
"""So often the tables may be altered, or the warehouse's holder go away, before the batch gives up."""

READ_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class BatchOptions:
    """What the command line says."""

    tables: Sequence[str] = ()
    where: str | None = None
    rows_per_second: int | None = None
    chunk_rows: int | None = None
    parallel: int = 2
    replica: SourceAddress | None = None
    rollup: bool = True
    beam: Sequence[str] = ()
    live: bool = False
    tries: int = 8
    watch: LogWatch | None = None


@dataclass
class Batch:
    """What a batch did: rows and dead letters by table, the rolled-up tables, and what is to be said of it."""

    rows: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    rolled_up: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False


@dataclass(frozen=True)
class _Scene:
    """One look at source, log and warehouse."""

    order: LogOrder
    reading: Reading
    tables: list[SourceTable]
    begins: Place


def batch(config: ShopConfig, options: BatchOptions, stop: threading.Event | None = None) -> Batch:
    """Loads the tables; ends behind the next chunk when `stop` is set (SIGTERM and Ctrl-C set it).

    Raises LtvError; what is written by then counts when it is run again.
    """
    config.need("source", "warehouse")
    pipeline_options(options.beam)
    names = chosen_tables(config, options.tables)
    stop = stop or threading.Event()
    began, done = time.monotonic(), Batch()
    with stopping_on_signals(stop, "stopping behind the chunks in hand"), _warehouse(config):
        scene, left = _load(config, options, names, stop)
        done.stopped = stop.is_set()
        if done.stopped:
            done.said = [_way_on(one) for one in left.loads]
        else:
            _tell_loaded(config, names, done)
            _move_checkpoint(config, scene, done)
            if options.rollup:
                today = as_of_date(None, config, dt.datetime.now(dt.timezone.utc))
                done.rolled_up = rollup(process_warehouse(config), config, today)
    done.seconds = time.monotonic() - began
    return done


@contextlib.contextmanager
def _warehouse(config: ShopConfig) -> Iterator[None]:
    _open(config)
    try:
        yield
    finally:
        release(config)


def _open(config: ShopConfig) -> None:
    warehouse = open_warehouse(config, hold=True, join=True, memory=DUCKDB_MEMORY, waiting=LOG.warning)
    share(config, warehouse)
    warehouse.lock_loads()
    warehouse.check_settings(config)  # each time: `rederive` may have had the file in between


def _load(
    config: ShopConfig, options: BatchOptions, names: Sequence[str], stop: threading.Event
) -> tuple[_Scene, Remaining]:
    """To the end of all tables, or until stopped; what altered tables and a lost warehouse leave is begun again."""
    for attempt in range(1, ATTEMPTS + 1):
        scene = _tried(lambda: _look(config, options, names, process_warehouse(config)), options.tries, stop)
        left = _open_loads(scene, process_warehouse(config), uuid.uuid4().hex)
        try:
            _run(config, options, scene, left, stop)
            return scene, left
        except (TableAltered, WarehouseUnavailable) as error:
            if attempt == ATTEMPTS or stop.is_set():
                raise
            LOG.warning("going on: %s", error)
            if isinstance(error, WarehouseUnavailable):
                release(config)
                _open(config)
    raise AssertionError("the last attempt returns or raises")


def _tried(look: Callable[[], _Scene], tries: int, stop: threading.Event) -> _Scene:
    for left in range(tries - 1, -1, -1):
        try:
            return look()
        except SourceUnavailable as error:
            if not left or stop.is_set():
                raise
            LOG.warning("trying again: %s", error)
            stop.wait(1.0)
    raise AssertionError("the last try returns or raises")


def _look(config: ShopConfig, options: BatchOptions, names: Sequence[str], warehouse: Warehouse) -> _Scene:
    assert config.source is not None
    with contextlib.closing(open_checkpoint(config.checkpoint)) as store:
        checkpoint = store.read()  # before the logs are: a worker moves it on
    tailed = log_in(config, config.source, READ_TIMEOUT_S)
    try:
        logs = read_logs(tailed, describe_server(tailed))
    finally:
        tailed.close()
    read_from = options.replica or config.source
    connection = log_in(config, read_from, READ_TIMEOUT_S)
    try:
        with contextlib.closing(open_checkpoint(config.checkpoint)) as store:
            server = describe_server(connection)
            everything = options.where is None and set(names) == set(config.source_tables)
            order = decide_order(checkpoint, logs, warehouse.highest_epoch(), everything=everything)
            if order.purged:
                _say_purged(config, order, everything=everything)
            seen = options.watch.seen() if options.watch else None
            way = stamping_way(connection, server, order.logs.identity(), seen)
            _say_warnings(way)
            tables = source_tables(connection, config, names, server.flavor, options.where)
            with stamped_read(connection, way) as stamp:
                begins = Place(stamp.file, stamp.position)
            if everything and place.begin(store, order, begins):
                LOG.info("a first checkpoint: `binlog-worker run` begins there", extra={"position": str(begins)})
    finally:
        connection.close()
    reading = Reading(
        lambda: log_in(config, read_from, READ_TIMEOUT_S),
        way,
        options.parallel,
        options.chunk_rows,
        options.rows_per_second,
        options.tries,
    )
    return _Scene(order, reading, tables, begins)


def _say_purged(config: ShopConfig, order: LogOrder, *, everything: bool) -> None:
    assert order.checkpoint is not None
    place.refuse_running_worker(config.checkpoint)
    what = "once all tables are loaded, it is moved behind what is lost"
    if not everything:
        what = "a batch of all tables, without --where, moves it behind what is lost"
    LOG.warning(
        "the server no longer has the log of the checkpoint: %s", what, extra={"position": str(order.checkpoint.place)}
    )


def _open_loads(scene: _Scene, warehouse: Warehouse, batch_id: str) -> Remaining:
    sequence = scene.order.sequence(scene.begins.file, scene.begins.position)
    left = remaining(scene.tables, warehouse.loads(), scene.order, batch_id, sequence)
    for table in left.done:
        LOG.info("%s is loaded: the batch that was stopped has done so", table)
    for one in left.loads:
        if one.why:
            LOG.info(one.why)
    return Remaining([_opened(one, warehouse) for one in left.loads], left.done)


def _opened(one: TableLoad, warehouse: Warehouse) -> TableLoad:
    load = warehouse.open_load(one.load)
    return TableLoad(one.table, load, one.after, one.first, one.complete, one.rows, one.why)


def _run(config: ShopConfig, options: BatchOptions, scene: _Scene, left: Remaining, stop: threading.Event) -> None:
    reader = Reader(left.loads, scene.reading, stop)
    share_reader(reader)
    decode = DecodeChunks(config, scene.order)
    if options.rollup:  # meanwhile the database reads
        threading.Thread(target=prepare_rollup, args=(config,), name="prepare-rollup", daemon=True).start()
    try:
        with LoadsProgress(left.loads, live=options.live):
            run_graph(lambda pipeline: build_load(pipeline, read_shared(), decode, config), options.beam)
    finally:
        share_reader(None)
        reader.close()
        _say_warnings(scene.reading.way)
        process_writers(config).settle()  # what was underway when another part failed


def _say_warnings(way: Way) -> None:
    for text in way.warnings():
        LOG.warning("%s", text)


def _way_on(one: TableLoad) -> str:
    found = PROGRESS.loads.get(one.table.name)
    if found is not None and found.done:
        return f"{one.table.name} is loaded"
    chunk = max(one.first - 1, found.chunk if found else 0)
    where = f"after chunk {chunk} of {one.table.name}" if chunk else f"before the first chunk of {one.table.name}"
    rows = one.rows + (found.rows if found else 0)
    return f"stopped {where} ({rows:,} rows); the same command goes on there"


def _tell_loaded(config: ShopConfig, names: Sequence[str], done: Batch) -> None:
    for load in process_warehouse(config).loads():
        if load.done and load.table in names:
            done.rows[load.table], done.dead[load.table] = load.rows, load.dead


def refuse_dead(done: Batch) -> None:
    """Raises IncompleteLoad where rows could not be applied, so that the exit status says so."""
    dead = {table: count for table, count in done.dead.items() if count}
    if dead:
        counts = ", ".join(f"{count:,} of {table}" for table, count in dead.items())
        raise IncompleteLoad(
            f"rows that could not be loaded are dead letters ({counts}); all others are loaded",
            hint="`ltv-pipeline dead-letters` says why; mend that and run the batch again, or the letters with --retry."
            " Until then also rows that have vanished from these tables are still shown",
        )


def _move_checkpoint(config: ShopConfig, scene: _Scene, done: Batch) -> None:
    """Where the log has lost what is behind the checkpoint, and every table was loaded since."""
    if not scene.order.purged:
        return
    loads = process_warehouse(config).loads()
    whole = {load.table: load.sequence for load in loads if load.done and load.whole}
    found = place.loaded_from(scene.order, whole, config.source_tables)
    if found is None:
        missing = [name for name in config.source_tables if not scene.order.place(whole.get(name, ""))]
        done.said.append(
            "the checkpoint stays where it is, and `binlog-worker run` stops there: to be loaded first are"
            f" {', '.join(missing) or 'all tables'}"
        )
    elif place.move_on(config.checkpoint, scene.order, found):
        done.said.append(f"the checkpoint is at {found} now: `binlog-worker run` goes on there")
