"""How entries that were derived anew come into BigQuery: in place, in the sequence numbers of the rows that they are
derived from. Of equal ones the later arrival wins, so a run that was killed is simply run again; the settings are taken
over last. The stream must be stopped: nothing holds it off.

Raw tables whose rows would change stay as they are, for a table that takes upserts takes no UPDATE, and rows that are
partly old and partly new could not be told apart after a kill: they are to be read again.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.bigquery import own_rows
from pipeline.bigquery.arriving import entries_append
from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.changes import Reload
from pipeline.entries import ENTRY_PREFIX
from pipeline.google_names import quoted, text
from pipeline.rederive.places import Derived
from pipeline.rederive.role import Role
from pipeline.source_kinds import setting_name
from pipeline.worker_letters import REDERIVED
from schemas.columns import Kind
from schemas.config import ShopConfig
from schemas.errors import WarehouseError

IDS = ("id", "order_id", "customer_id", "currency")
"""Columns of which texts are made: a BIGINT UNSIGNED is a NUMERIC with nine decimals here."""

_LETTERS = "SELECT message_id, line FROM raw.dead_letters WHERE STARTS_WITH(message_id, @prefix)"


class Rewriting:
    """One run. Until `adopt` everything is in a file of this machine."""

    def __init__(self, warehouse: BigQueryWarehouse, config: ShopConfig) -> None:
        self._warehouse = warehouse
        self._counted = config.counted.column if config.counted else None
        self._file = tempfile.TemporaryFile(prefix="rederive-")  # noqa: SIM115 - closed by `drop` and `adopt`
        self._entries: pa.ipc.RecordBatchStreamWriter | None = None
        self._roles: Sequence[Role] = ()

    def untold(self, role: Role) -> Iterator[str]:
        if role.rows_change:
            yield "its rows would change, too, which BigQuery cannot do in place"

    def begin(self, roles: Sequence[Role]) -> None:
        self._roles = roles

    def pieces(self, table: str) -> Iterator[pa.Table]:
        with self._warehouse.query(f"SELECT * FROM raw.{quoted(table)}") as reader:
            for batch in reader:
                yield self._whole_numbers(table, pa.Table.from_batches([batch]))

    def _whole_numbers(self, table: str, rows: pa.Table) -> pa.Table:
        """Raises WarehouseError where a column that is compared as text has decimals: how many, it does not say."""
        for index, column in enumerate(rows.schema):
            if pa.types.is_decimal(column.type) and column.name in (*IDS, self._counted):
                try:
                    rows = rows.set_column(index, column.name, rows.column(index).cast(pa.decimal128(38, 0)))
                except pa.ArrowInvalid as error:
                    raise WarehouseError(
                        f"{table}.{column.name} is a number with decimals, and what it was as text is not kept here",
                        hint="name another dataset under `warehouse`, and load it with `ltv-pipeline batch`",
                    ) from error
        return rows

    def add(self, table: str, rows: pa.Table) -> None:
        raise AssertionError("no row of a raw table changes here")

    def add_entries(self, entries: pa.Table, now: dt.datetime) -> None:
        written = pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), entries.num_rows)
        entries = entries.append_column("_written_at", written)
        if self._entries is None:
            self._entries = pa.ipc.new_stream(self._file, entries.schema)
        self._entries.write_table(entries)

    def keep_others(self, emptied: Sequence[str], now: dt.datetime) -> int:
        others = f"({self._others()}) WHERE NOT _deleted AND COALESCE(origin, '') NOT IN UNNEST(@emptied)"
        sql = f"SELECT COUNT(*) AS live FROM {others}"
        (row,) = self._warehouse.client.rows(sql, {"emptied": list(emptied)})
        return int(row["live"])

    def _others(self) -> str:
        """Entries that no row makes: each row of a raw table makes one, whatever the settings are."""
        made = [
            f"SELECT CONCAT({text(ENTRY_PREFIX[role.role])}, {_as_text(role)}) AS entry_id FROM raw.`{role.role}`"
            for role in self._roles
        ]
        missing = f"WHERE entry_id NOT IN ({' UNION ALL '.join(made)})" if made else ""
        return f"SELECT * FROM raw.ltv_entries {missing}"

    def adopt(self, derived: Derived) -> None:
        self._write_entries()
        self._end_others(derived.now)
        for role, table in derived.emptied.items():
            self._empty(role, table, derived.now)
        self._warehouse.forget_loads(derived.loading)
        rows = self._warehouse.client.rows(_LETTERS, {"prefix": REDERIVED})
        keep = {(letter.message_id, letter.line) for letter in derived.dead}
        past = [(row["message_id"], row["line"]) for row in rows if (row["message_id"], row["line"]) not in keep]
        self._warehouse.note(own_rows.forgotten(past, derived.now))
        self._warehouse.note(own_rows.letters(derived.dead, derived.now))
        self._warehouse.remember("derivation", json.dumps(derived.settings, sort_keys=True))
        self.drop()

    def _write_entries(self) -> None:
        if self._entries is not None:
            self._entries.close()
            self._file.seek(0)
            for batch in pa.ipc.open_stream(self._file):
                self._warehouse.note([entries_append(pa.Table.from_batches([batch]))])

    def _end_others(self, now: dt.datetime) -> None:
        with self._warehouse.query(f"{self._others()} {'AND' if self._roles else 'WHERE'} NOT _deleted") as reader:
            for batch in reader:
                rows = pa.Table.from_batches([batch])
                for name, value in (
                    ("_deleted", pa.scalar(True)),
                    ("_written_at", pa.scalar(now, rows["_written_at"].type)),
                ):
                    rows = rows.set_column(rows.schema.get_field_index(name), name, pa.repeat(value, rows.num_rows))
                self._warehouse.note([entries_append(rows)])

    def _empty(self, role: str, table: str, now: dt.datetime) -> None:
        """The raw table goes, for its columns may be others; the source table is marked to be loaded again."""
        client = self._warehouse.client
        if client.table(client.dataset.raw, role) is not None:
            (row,) = client.rows(f"SELECT COALESCE(MAX(_sequence), '') AS last FROM raw.{quoted(role)}")
            mark = Reload(table, row["last"], "emptied by `rederive --reload`")
            self._warehouse.note(own_rows.reloads([mark], now))
            client.run(f"DROP VIEW IF EXISTS {client.dataset.table(role)}")
            client.run(f"DROP TABLE IF EXISTS {client.dataset.raw_table(role)}")
        names = [setting_name(role, extract=extract) for extract in (False, True)]
        self._warehouse.note(own_rows.settings(dict.fromkeys(names, "{}")))

    def drop(self) -> None:
        self._file.close()


def _as_text(role: Role) -> str:
    """A role's id as its entry's id has it."""
    kind = role.table.columns["id"].kind
    if kind is Kind.DECIMAL:
        return r"REGEXP_REPLACE(CAST(id AS STRING), r'\.0*$', '')"
    return "TO_HEX(id)" if kind is Kind.BYTES else "CAST(id AS STRING)"
