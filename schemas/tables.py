"""The warehouse's own tables: what the pipeline keeps beside the mirrored rows, and which views consumers read."""

from __future__ import annotations

from schemas.columns import BOOL, DATE, INT64, MONEY, STRING, TIMESTAMP, ColumnType, Kind

RAW = "raw"
"""Schema (in BigQuery: dataset suffix) of everything that is upserted. Consumers read the dataset beside it."""

META_COLUMNS: dict[str, ColumnType] = {
    "_sequence": STRING,
    "_deleted": BOOL,
    "_committed_at": TIMESTAMP,
    "_written_at": TIMESTAMP,
}
"""Columns of every raw table: version, tombstone, commit time at the source, write time here."""

ENTRY_COLUMNS: dict[str, ColumnType] = {
    "entry_id": STRING,
    "kind": STRING,
    "origin": STRING,
    "order_id": STRING,
    "customer_id": STRING,
    "purchase_month": DATE,
    "purchase_date": DATE,
    "amount": MONEY,
    "currency": STRING,
    "occurred_at": TIMESTAMP,
}
"""`ltv_entries`. `origin` is the raw table an entry comes from, whose floor counts; a guest's customer_id is NULL."""

OWN_TABLES: dict[str, dict[str, ColumnType]] = {
    "ltv_entries": {**ENTRY_COLUMNS, **META_COLUMNS},
    "floors": {"table": STRING, "_sequence": STRING},
    "arrivals": {
        "source": STRING,
        "run": STRING,
        "number": INT64,
        "through": INT64,
        "after_run": STRING,
        "after_number": INT64,
        "last_sequence": STRING,
        "committed_at": TIMESTAMP,
        "received_at": TIMESTAMP,
    },
    "dead_letters": {
        "message_id": STRING,
        "line": INT64,
        "table": STRING,
        "reason": STRING,
        "error": STRING,
        "data": ColumnType(Kind.BYTES),
        "schema_line": ColumnType(Kind.BYTES),
        "attributes": ColumnType(Kind.JSON),
        "received_at": TIMESTAMP,
    },
    "reloads": {"table": STRING, "_sequence": STRING, "reason": STRING, "received_at": TIMESTAMP},
    "loads": {
        "id": STRING,
        "table": STRING,
        "fingerprint": STRING,
        "whole": BOOL,
        "sequence": STRING,
        "started_at": TIMESTAMP,
        "done_at": TIMESTAMP,
        "rows": INT64,
        "dead": INT64,
    },
    "load_chunks": {
        "load": STRING,
        "number": INT64,
        "lower": ColumnType(Kind.JSON),
        "upper": ColumnType(Kind.JSON),
        "rows": INT64,
        "dead": INT64,
        "sequence": STRING,
        "written_at": TIMESTAMP,
    },
    "settings": {"key": STRING, "value": STRING},
}
"""Table → its columns. A row of `arrivals` covers the messages `number` to `through` of a run, without gaps; the run
began where the messages up to `after_number` of the run `after_run` were confirmed.

`loads`: of each source table the load that is under way (`done_at` NULL) and the last that is done; `sequence` is that
of the place before its first chunk. `load_chunks` has the chunks of those under way. A mark in `reloads` is settled by
a load of its table that is done and `whole` and has a higher `sequence`."""

OWN_KEYS: dict[str, tuple[str, ...]] = {
    "ltv_entries": ("entry_id",),
    "floors": ("table",),
    "dead_letters": ("message_id", "line"),
    "reloads": ("table", "_sequence"),
    "loads": ("id",),
    "load_chunks": ("load", "number"),
    "settings": ("key",),
}
