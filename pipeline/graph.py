"""The Beam graph, on one screen. Source, warehouse and runner differ between the modes; these stages do not.

There is no grouping and no shuffle on the way: idempotence comes from key and sequence number, not from Beam's state.
The names stay as they are: a running job on Dataflow is updated by them.
"""

from __future__ import annotations

import apache_beam as beam

from pipeline.stages import Decode, KeyByPurchaseMonth, Upsert
from schemas.config import ShopConfig

NOT_FOR_STAGES = ("source", "password_file", "ca", "tls_cert", "tls_key")
"""Of the configuration, which travels to the workers inside the stages: how to log in to the shop's database."""


def build(pipeline: beam.Pipeline, read: beam.PTransform, config: ShopConfig, *, retry: bool = False) -> None:
    """Lays the whole graph into `pipeline`.

    `read` yields lists of `schemas.event.Message`. `retry` lets changes of older epochs through.
    """
    decode = beam.ParDo(Decode(for_stages(config), strict=not retry))
    write(pipeline | "ReadMessages" >> read | "DecodeChangeEvents" >> decode, config)


def build_load(pipeline: beam.Pipeline, read: beam.PTransform, decode: beam.DoFn, config: ShopConfig) -> None:
    """The same for a batch: `read` yields chunks of tables, of which `decode` makes the same `Changes`."""
    write(pipeline | "ReadChunks" >> read | "DecodeChunks" >> beam.ParDo(decode), config)


def write(changes: beam.PCollection, config: ShopConfig) -> None:
    """The rest of the graph, the same for every source: `changes` are `pipeline.changes.Changes`."""
    config = for_stages(config)
    (
        changes
        | "KeyByPurchaseMonth" >> beam.ParDo(KeyByPurchaseMonth(config))
        | "UpsertIntoWarehouse" >> beam.ParDo(Upsert(config))
    )


def for_stages(config: ShopConfig) -> ShopConfig:
    """The configuration without what no stage needs and no job's description may hold."""
    return config.model_copy(update=dict.fromkeys(NOT_FOR_STAGES))
