"""Chunks as they were read → the same changes that the stream makes of events."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.batch.keys import Key
from pipeline.batch.loads import TableLoad
from pipeline.batch.place import LogOrder
from pipeline.batch.row_decoder import RowDecoder
from pipeline.batch.source import ReadChunk
from pipeline.changes import Changes, LoadedChunk
from schemas.config import ShopConfig

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class DecodeChunks(beam.DoFn):
    """`ReadChunk`s and finished `TableLoad`s → `Changes`, one each."""

    def __init__(self, config: ShopConfig, order: LogOrder) -> None:
        self.config, self.order = config, order
        self.decoded = Metrics.counter("ltv", "decoded")
        self.zero_dates = Metrics.counter("ltv", "zero_dates")

    def setup(self) -> None:
        self.decoders: dict[str, RowDecoder] = {}

    def process(self, read: ReadChunk | TableLoad) -> Iterator[Changes]:
        if isinstance(read, TableLoad):
            yield Changes(loaded=read.load)
            return
        table = read.of.table
        decoder = self.decoders.get(table.name)
        if decoder is None:
            decoder = RowDecoder(table.catalogue, table.schema, table.layouts, self.config)
            self.decoders[table.name] = decoder
        changes = decode_chunk(read, decoder, self.order, self.config)
        self.decoded.inc(changes.events)
        self.zero_dates.inc(changes.zero_dates)
        yield changes


def decode_chunk(read: ReadChunk, decoder: RowDecoder, order: LogOrder, config: ShopConfig) -> Changes:
    """All rows of the chunk, in its sequence number, and where in its load it stands."""
    source = _source(read, order, config)
    changes = Changes(highest_epoch=source["sequence"][:4])
    count = 0
    while read.pieces:  # each is let go of as soon as it is decoded
        piece = read.pieces.pop(0)
        count += len(piece[0])
        part = decoder.decode(piece, source)
        changes.batches += part.batches
        changes.dead += part.dead
        changes.zero_dates += part.zero_dates
    load, chunk = read.of.load, read.chunk
    changes.chunk = LoadedChunk(
        load, chunk.number, _json(chunk.lower), _json(chunk.upper), count, len(changes.dead), source["sequence"]
    )
    return changes


def _source(read: ReadChunk, order: LogOrder, config: ShopConfig) -> dict[str, Any]:
    stamp = read.stamp
    committed_us = (stamp.at - _EPOCH) // dt.timedelta(microseconds=1)
    database, table = read.of.table.name.split(".", 1)
    return {
        "connector": "mysql",
        "name": config.name,
        "ts_ms": committed_us // 1000,
        "ts_us": committed_us,
        "snapshot": "true",
        "db": database,
        "table": table,
        "file": stamp.file,
        "pos": stamp.position,
        "row": 0,
        "sequence": order.sequence(stamp.file, stamp.position),
    }


def _json(key: Key | None) -> str | None:
    return None if key is None else json.dumps(key)
