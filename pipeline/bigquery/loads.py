"""Loads of whole tables into BigQuery: what is written of one. Their rows go the way of the stream's, as upserts: so
nothing has to be put in place at the end, and a load that is stopped anywhere goes on there.

`batch_lease` among the settings keeps a second batch away. It is no lock, for BigQuery has none to give: two that begin
within the same seconds are told apart by what is there a moment later. Two batches at once would do no harm to rows,
which win by their sequence numbers, only to the notes of where a load stands.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.bigquery import own_rows
from pipeline.bigquery.appends import Append
from pipeline.bigquery.client import BigQueryClient
from pipeline.bigquery.ddl import DELETED
from pipeline.changes import Floor, Load, LoadedChunk
from pipeline.warehouse import StoredLoad
from schemas.errors import LtvError, WarehouseError

LOG = logging.getLogger(__name__)
LEASE = "batch_lease"
LEASE_S, RENEW_S = 180.0, 45.0
SETTLE_S = 2.0
"""Another batch that saw the lease free at the same time has written by then."""

BEGUN, DONE = "0", "1"
"""Sequence numbers of a load's row, so that its end is never undone by a note that came late."""

Write = Callable[[Sequence[Append]], None]

_LOADS = "SELECT * FROM raw.loads ORDER BY started_at, id"
_CHUNKS = "SELECT load, number, upper, `rows`, dead FROM raw.load_chunks ORDER BY load, number"
_LETTERS = """SELECT message_id, line FROM raw.dead_letters
    WHERE STARTS_WITH(message_id, @prefix) AND received_at < @before"""


class BigQueryLoads:
    """The loads of one warehouse; `write` writes to its own tables, and returns when that is confirmed."""

    def __init__(self, client: BigQueryClient, write: Write) -> None:
        self._client, self._write = client, write

    def stored(self) -> list[StoredLoad]:
        chunks = self._chunks()
        return [_stored(row, chunks.get(row["id"], [])) for row in self._client.rows(_LOADS)]

    def open(self, load: Load, now: dt.datetime) -> Load:
        """See `pipeline.warehouse.Warehouse.open_load`. Never beside: upserts take their place at once."""
        load = Load(load.id, load.table, load.fingerprint, load.sequence, load.whole, load.targets)
        known = [row for row in self._client.rows(_LOADS) if row["table"] == load.table]
        if any(row["id"] == load.id for row in known):
            return load
        chunks = self._chunks()
        begun = {
            "id": load.id,
            "table": load.table,
            "fingerprint": load.fingerprint,
            "whole": load.whole,
            "sequence": load.sequence,
            "started_at": now,
            DELETED: False,
        }
        self._write(own_rows.upserts("loads", [begun], [BEGUN]))
        left = [row for row in known if row["done_at"] is None]
        self._forget(left, [row for other in known for row in chunks.get(other["id"], [])])
        return load

    def note(self, chunk: LoadedChunk, dead: int, now: dt.datetime) -> list[Append]:
        """That the chunk is written; goes after its rows. `dead` of them are dead letters."""
        row = {
            "load": chunk.load.id,
            "number": chunk.number,
            "lower": chunk.lower,
            "upper": chunk.upper,
            "rows": chunk.rows,
            "dead": dead,
            "sequence": chunk.sequence,
            "written_at": now,
            DELETED: False,
        }
        return own_rows.upserts("load_chunks", [row])

    def finish(self, load: Load, now: dt.datetime) -> None:
        """Rows that a whole load has not seen are gone, unless it left something out. Each step may be done again: the
        load is done after the others, and forgets its chunks after that."""
        rows = self._client.rows(_LOADS)
        (row,) = [row for row in rows if row["id"] == load.id]
        chunks = self._chunks()
        own = chunks.get(load.id, [])
        dead = sum(chunk["dead"] for chunk in own)
        if load.whole and not dead:
            self._write(own_rows.floors([Floor(layout.table, load.sequence) for layout in load.targets]))
        if load.whole:
            parameters = {"prefix": f"batch:{load.table}:", "before": row["started_at"]}
            fitted = [(found["message_id"], found["line"]) for found in self._client.rows(_LETTERS, parameters)]
            self._write(own_rows.forgotten(fitted, now))
        done = {**row, DELETED: False, "done_at": now, "rows": sum(chunk["rows"] for chunk in own), "dead": dead}
        self._write(own_rows.upserts("loads", [done], [DONE]))
        others = [other for other in rows if other["table"] == load.table and other["id"] != load.id]
        self._forget(others, [chunk for other in (row, *others) for chunk in chunks.get(other["id"], [])])

    def forget(self, tables: Sequence[str]) -> None:
        """Loads of source tables that are not done, so that they begin anew."""
        rows = [row for row in self._client.rows(_LOADS) if row["table"] in tables and row["done_at"] is None]
        chunks = self._chunks()
        self._forget(rows, [chunk for row in rows for chunk in chunks.get(row["id"], [])])

    def _forget(self, loads: Sequence[dict[str, Any]], chunks: Sequence[dict[str, Any]]) -> None:
        gone = [{"load": row["load"], "number": row["number"], DELETED: True} for row in chunks]
        self._write(own_rows.upserts("load_chunks", gone, [own_rows.GONE] * len(gone)))
        rows = [{**row, DELETED: True} for row in loads]
        self._write(own_rows.upserts("loads", rows, [own_rows.GONE] * len(rows)))

    def _chunks(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._client.rows(_CHUNKS):
            found.setdefault(row["load"], []).append(row)
        return found


def _stored(row: dict[str, Any], chunks: Sequence[dict[str, Any]]) -> StoredLoad:
    upper = [chunk["upper"] for chunk in chunks if chunk["upper"] is not None]
    done = row["done_at"] is not None
    return StoredLoad(
        row["id"],
        row["table"],
        row["fingerprint"],
        row["sequence"],
        row["whole"],
        done,
        len(chunks),
        upper[-1] if upper else None,
        any(chunk["upper"] is None for chunk in chunks),
        row["rows"] if done else sum(chunk["rows"] for chunk in chunks),
        row["dead"] if done else sum(chunk["dead"] for chunk in chunks),
    )


class Lease:
    """The right to run a batch on this warehouse, renewed while it is held. Times are BigQuery's own."""

    def __init__(
        self, client: BigQueryClient, write: Write, *, lease_s: float = LEASE_S, settle_s: float = SETTLE_S
    ) -> None:
        self._client, self._write = client, write
        self._lease_s, self._settle_s = lease_s, settle_s
        self._holder = uuid.uuid4().hex
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self) -> None:
        """Raises WarehouseError where another batch holds it."""
        held = self._held()
        if held is not None:
            raise self._refusal(held)
        self._renew()
        time.sleep(self._settle_s)
        held = self._held()
        if held is not None:
            raise self._refusal(held)
        self._renewing = threading.Thread(target=self._keep, name="batch-lease", daemon=True)
        self._renewing.start()

    def release(self) -> None:
        self._ended.set()
        if self._renewing is not None:
            self._renewing.join(self._lease_s)
            self._write(own_rows.settings({LEASE: json.dumps({"holder": self._holder, "until": ""})}))

    def _refusal(self, until: str) -> WarehouseError:
        return WarehouseError(
            f"a batch is running on {self._client.dataset} already",
            hint=f"wait for it, or stop it: the next goes on. After one that was killed it is free at {until}",
        )

    def _read(self) -> tuple[dict[str, str], dt.datetime]:
        sql = "SELECT CURRENT_TIMESTAMP() AS now, (SELECT value FROM raw.settings WHERE key = @key) AS value"
        (row,) = self._client.rows(sql, {"key": LEASE})
        return json.loads(row["value"] or "{}"), row["now"]

    def _held(self) -> str | None:
        """Until when another holds it."""
        lease, now = self._read()
        if lease.get("holder", self._holder) == self._holder or not lease["until"]:
            return None
        return lease["until"] if dt.datetime.fromisoformat(lease["until"]) > now else None

    def _renew(self) -> None:
        _, now = self._read()
        until = now + dt.timedelta(seconds=self._lease_s)
        self._write(own_rows.settings({LEASE: json.dumps({"holder": self._holder, "until": until.isoformat()})}))

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s * RENEW_S / LEASE_S):
            try:
                self._renew()
            except LtvError as error:
                LOG.warning("the lease of this batch could not be renewed: %s", error)
