"""How rows and entries that were derived anew come into a DuckDB file: beside the tables, then in their place at once.

The file is held alone meanwhile, so nothing is written with the old settings that would be lost. Killed before the last
transaction, everything is as it was; the next run begins anew.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline import duckdb_sql as sql
from pipeline.duckdb_warehouse import HOLD_WAIT_S, DuckDBWarehouse, dead_table
from pipeline.layout import LOCAL_DATES
from pipeline.rederive.places import Derived
from pipeline.rederive.role import Role
from pipeline.session import LocalSession, Statement, WarehouseLocked
from pipeline.source_kinds import setting_name
from pipeline.worker_letters import REDERIVED
from schemas.columns import DATE, STRING, TIMESTAMP, ColumnType
from schemas.config import DATE_COLUMNS
from schemas.errors import WarehouseError
from schemas.tables import META_COLUMNS, OWN_TABLES

MEMORY = "512MB"
ANEW = ".rederived"
"""Ends the names of tables that are being filled. No table of a database has a full stop in its name here: what has one
is on its way, here or in a load."""

ENTRIES = "ltv_entries"


def open_alone(path: str, waiting: Callable[[str], None]) -> DuckDBWarehouse:
    """The warehouse, for nobody else: a stream with the old settings must not go on writing beside it.

    Waits 30 s for a short command. Raises WarehouseError.
    """
    if not Path(path).exists():
        raise WarehouseError(f"{path} does not exist", hint="there is nothing to derive again")
    deadline = time.monotonic() + HOLD_WAIT_S
    told = False
    while True:
        try:
            return DuckDBWarehouse(LocalSession(path, memory=MEMORY))
        except WarehouseLocked as locked:
            if time.monotonic() > deadline:
                raise WarehouseLocked(
                    locked.message,
                    hint="stop `ltv-pipeline stream` and `batch`: they go on with the settings that they began with;"
                    " start them again afterwards",
                ) from locked
            if not told:
                waiting(f"waiting for another process to release {path}")
                told = True
            time.sleep(0.1)


class Staging:
    """The new tables of one run, beside the old ones until `adopt`."""

    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self._session = warehouse.session
        self._stored_now = warehouse.raw_tables
        self._stored = warehouse.raw_tables()

    def untold(self, role: Role) -> Iterator[str]:
        """Why rows of a role cannot be written anew: they always can."""
        yield from ()

    def begin(self, roles: Sequence[Role]) -> None:
        """Empty tables, whatever a killed run has left."""
        left = [sql.drop(name) for name in self._stored if name.endswith(ANEW)]
        made = [sql.create_table(ENTRIES + ANEW, OWN_TABLES[ENTRIES], ())]
        made += [sql.create_table(role.role + ANEW, new_columns(role), ()) for role in roles if role.rows_change]
        self._session.run([*left, *made])

    def pieces(self, table: str) -> Iterator[pa.Table]:
        """All rows of a raw table, 50,000 at a time."""
        with self._session.read(Statement(f"SELECT * FROM {sql.raw(table)}")) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def add(self, table: str, rows: pa.Table) -> None:
        self._session.run([sql.insert(table + ANEW, rows.column_names, "piece")], {"piece": rows})

    def add_entries(self, entries: pa.Table, now: dt.datetime) -> None:
        written = pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), entries.num_rows)
        self.add(ENTRIES, entries.append_column("_written_at", written))

    def keep_others(self, emptied: Sequence[str], now: dt.datetime) -> int:
        """Entries that no row makes any more stay, deleted, but for those of the tables that are emptied. Returns how
        many were live."""
        names = list(OWN_TABLES[ENTRIES])
        constants = {"_deleted": "TRUE", "_written_at": "$now"}
        values = ", ".join(constants.get(name, f"old.{sql.quoted(name)}") for name in names)
        origins = ", ".join(map(sql.text, emptied)) or "NULL"
        others = (
            f"{sql.raw(ENTRIES)} AS old ANTI JOIN {sql.raw(ENTRIES + ANEW)} AS new ON new.entry_id = old.entry_id"
            f" WHERE coalesce(old.origin NOT IN ({origins}), TRUE)"
        )
        live = self._session.run([Statement(f"SELECT count(*) AS live FROM {others} AND NOT old._deleted")])
        count: int = live.read_all().to_pylist()[0]["live"]
        kept = f"INSERT INTO {sql.raw(ENTRIES + ANEW)} ({sql.listed(names)}) SELECT {values} FROM {others}"
        self._session.run([Statement(kept, {"now": now})])
        return count

    def adopt(self, derived: Derived) -> None:
        """Puts everything in its place, in one transaction."""
        statements: list[Statement] = []
        for role in derived.roles:
            if role.rows_change:
                statements += _in_place(role.role, ("id",))
                statements.append(sql.create_view(role.role, list(new_columns(role))))
        statements += _in_place(ENTRIES, ("entry_id",))
        statements.append(sql.create_view(ENTRIES, list(OWN_TABLES[ENTRIES]), "origin"))
        for role_name, table in derived.emptied.items():
            statements += self._emptied(role_name, table, derived.now)
        statements += [sql.drop(name) for name in self._stored if "." in name and not name.endswith(ANEW)]
        statements += [statement for table in derived.loading for statement in sql.forget_loads(table)]
        letters = f"DELETE FROM {sql.raw('dead_letters')} WHERE starts_with(message_id, {sql.text(REDERIVED)})"
        statements += [Statement(letters), sql.insert("dead_letters", list(OWN_TABLES["dead_letters"]), "new_dead")]
        statements.append(sql.setting("derivation", json.dumps(derived.settings, sort_keys=True)))
        self._session.run(statements, {"new_dead": dead_table(derived.dead, derived.now)})

    def _emptied(self, role: str, table: str, now: dt.datetime) -> list[Statement]:
        """The raw table goes, for its columns may be others; the source table is marked to be loaded again."""
        statements = []
        if role in self._stored:
            mark = (
                f"INSERT INTO {sql.raw('reloads')} SELECT $table, coalesce(max(_sequence), ''), $reason, $now"
                f" FROM {sql.raw(role)} ON CONFLICT DO NOTHING"
            )
            values = {"table": table, "reason": "emptied by `rederive --reload`", "now": now}
            view = Statement(f"DROP VIEW IF EXISTS main.{sql.quoted(role)}")
            statements += [Statement(mark, values), view, sql.drop(role)]
        names = [setting_name(role, extract=extract) for extract in (False, True)]
        forget = f"DELETE FROM {sql.raw('settings')} WHERE key IN ({', '.join(map(sql.text, names))})"
        return [*statements, Statement(forget)]

    def drop(self) -> None:
        """What `begin` made."""
        names = [name for name in self._stored_now() if name.endswith(ANEW)]
        self._session.run([sql.drop(name) for name in names])


def new_columns(role: Role) -> dict[str, ColumnType]:
    """Column → type of the raw table as the new settings fill it."""
    columns: dict[str, ColumnType] = {}
    for source, name in role.new_names.items():
        if name in DATE_COLUMNS:
            columns[name], columns[LOCAL_DATES[name]] = TIMESTAMP, DATE
        else:
            columns[name] = role.kind_of(source)
    if "_op" in role.table.columns or role.new.where is not None:
        columns["_op"] = STRING
    return {**columns, **META_COLUMNS}


def _in_place(table: str, key: Sequence[str]) -> list[Statement]:
    return [*sql.become(table + ANEW, table, key), sql.drop(f"{table}.old")]
