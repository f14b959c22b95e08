"""What is left to load: whether a batch goes on where a killed or failed one left it, or begins anew. Pure.

The loads that one batch began share the first part of their ids, so that the next knows which of its tables are done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.batch.keys import Key
from pipeline.batch.place import LogOrder
from pipeline.batch.tables import SourceTable
from pipeline.changes import Load
from pipeline.warehouse import StoredLoad


@dataclass(frozen=True)
class TableLoad:
    """What is left to read of a table: from behind the key `after` on, as chunk `first` and those that follow; nothing
    where it is `complete`. `rows` are written already. `why`: how that came, in words."""

    table: SourceTable
    load: Load
    after: Key | None = None
    first: int = 1
    complete: bool = False
    rows: int = 0
    why: str | None = None


@dataclass(frozen=True)
class Remaining:
    """`loads` are what is left, in the order of the tables; `done` the tables that the same batch has loaded before it
    was stopped."""

    loads: list[TableLoad]
    done: list[str]


def remaining(
    tables: Sequence[SourceTable], stored: Sequence[StoredLoad], order: LogOrder, new_batch: str, sequence: str
) -> Remaining:
    """`sequence` is that of the place before the first chunk of a new load; `new_batch` a new id."""
    unfinished = {load.table: load for load in stored if not load.done}
    reached = [load for load in unfinished.values() if order.place(load.sequence) is not None]
    batch = reached[0].id.partition(":")[0] if reached else new_batch
    finished = {load.table for load in stored if load.done and load.id.startswith(f"{batch}:")}
    loads, done = [], []
    for table in tables:
        known = unfinished.get(table.name)
        why = _why_anew(known, table, order) if known else None
        if known is not None and why is None:
            loads.append(_going_on(table, known))
        elif known is None and table.name in finished:
            done.append(table.name)
        else:
            name, whole = f"{batch}:{new_batch}:{table.name}", table.where is None
            new = Load(name, table.name, table.fingerprint, sequence, whole, table.layouts)
            loads.append(TableLoad(table, new, why=why))
    return Remaining(loads, done)


def _why_anew(load: StoredLoad, table: SourceTable, order: LogOrder) -> str | None:
    """Why a load that is not done cannot go on."""
    if table.fingerprint != load.fingerprint:
        return f"{table.name}, or how it is read, has changed since its load began: it begins anew"
    if order.place(load.sequence) is None:
        return f"the log no longer reaches back to where the load of {load.table} began: it begins anew"
    return None


def _going_on(table: SourceTable, stored: StoredLoad) -> TableLoad:
    load = Load(stored.id, table.name, stored.fingerprint, stored.sequence, stored.whole, table.layouts)
    if not stored.chunks:
        return TableLoad(table, load)
    after = tuple(json.loads(stored.upper)) if stored.upper is not None else None
    why = f"going on after chunk {stored.chunks} of {table.name}"
    return TableLoad(table, load, after, stored.chunks + 1, stored.complete, stored.rows, why)
