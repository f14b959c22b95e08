"""The raw tables of a DuckDB file as they stand: their columns, and how they follow the source's; rows made to fit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import duckdb_sql as sql
from pipeline.changes import TableBatch
from pipeline.session import Session, Statement
from pipeline.values import as_text
from schemas.columns import ColumnType
from schemas.tables import META_COLUMNS

View = Callable[[str, Sequence[str]], Statement]


class RawTables:
    """Which raw tables there are, as this process knows them: table → column → DuckDB type."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.columns: dict[str, dict[str, str]] = {}

    def know(self) -> None:
        """Reads what is there, unless it is known."""
        if not self.columns:
            for row in self.session.run([sql.COLUMNS]).read_all().to_pylist():
                self.columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]

    def forget(self) -> None:
        """After a roll-back: its CREATE or ALTER never happened."""
        self.columns = {}

    def ensure(
        self,
        table: str,
        wanted: Mapping[str, ColumnType],
        key: Sequence[str],
        statements: list[Statement],
        view: View | None,
    ) -> None:
        """Creates the raw table, or adds columns and widens types where the source's have changed; then its view."""
        known = self.columns.get(table)
        if known is None:
            columns = {**wanted, **META_COLUMNS}
            statements.append(sql.create_table(table, columns, key))
            self.columns[table] = known = {name: kind.duckdb() for name, kind in columns.items()}
        else:
            changed = False
            for name, kind in wanted.items():
                if name not in known:
                    statements.append(sql.add_column(table, name, kind.duckdb()))
                    known[name] = kind.duckdb()
                    changed = True
                elif known[name] != kind.duckdb() and (wider := wider_type(known[name], kind.duckdb())) != known[name]:
                    known[name] = wider
                    changed = True
                    statements += (
                        sql.retype_key(table, known, key) if name in key else [sql.retype_column(table, name, wider)]
                    )
            if not changed:
                return
        if view is not None:
            statements.append(view(table, list(known)))


def by_table(batches: Sequence[TableBatch]) -> dict[str, list[TableBatch]]:
    found: dict[str, list[TableBatch]] = {}
    for batch in batches:
        if batch.rows.num_rows:
            found.setdefault(batch.layout.table, []).append(batch)
    return found


def arriving(tables: Sequence[pa.Table], now: dt.datetime) -> pa.Table:
    """All rows, in order of arrival, which `_arrival` keeps; a column that only some have is NULL in the rest."""
    rows = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    count = rows.num_rows
    rows = rows.append_column("_arrival", pa.array(np.arange(count, dtype=np.int64)))
    return rows.append_column("_written_at", pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count))


def distinct_keys(rows: pa.Table, key: Sequence[str]) -> bool:
    """Whether no key comes twice; False where that is not known."""
    return rows.num_rows == 1 or (len(key) == 1 and pc.count_distinct(rows[key[0]]).as_py() == rows.num_rows)


def wider_type(known: str, new: str) -> str:
    """A DuckDB type that holds the values of both, which is text where numbers and times do not do."""
    if known == new:
        return known
    if {known, new} <= _NUMBERS or known.startswith("DECIMAL") or new.startswith("DECIMAL"):
        merged = _wider_number(known, new)
        if merged:
            return merged
    return "VARCHAR"


_NUMBERS = {"BIGINT", "DOUBLE"}


def _wider_number(known: str, new: str) -> str | None:
    def digits(name: str) -> tuple[int, int] | None:
        if name == "BIGINT":
            return 19, 0
        if name.startswith("DECIMAL("):
            precision, scale = name[8:-1].split(",")
            return int(precision) - int(scale), int(scale)
        return None

    left, right = digits(known), digits(new)
    if left is None or right is None:
        return "DOUBLE" if {known, new} == _NUMBERS else None
    whole, scale = max(left[0], right[0]), max(left[1], right[1])
    return f"DECIMAL({whole + scale},{scale})" if whole + scale <= 38 else None


def versions_of(rows: pa.Table) -> str:
    """A condition under which a `history` has all versions that are among the rows, and few others."""
    first, last = pc.min_max(rows["_sequence"]).as_py().values()
    if first == last:  # read by a batch: equal ones may have been read, and stamped, at different times
        return f"history._sequence = {sql.text(first)}"
    earliest, latest = (instant.isoformat() for instant in pc.min_max(rows["_committed_at"]).as_py().values())
    return f"history._committed_at BETWEEN TIMESTAMPTZ '{earliest}' AND TIMESTAMPTZ '{latest}'"


def fitting(rows: pa.Table, known: Mapping[str, str]) -> pa.Table:
    """Rows as a table of the columns `known` takes them: as text where it holds text by now, NULL where they have no
    such column."""
    for index, field in enumerate(rows.schema):
        if known.get(field.name) == "VARCHAR" and not pa.types.is_string(field.type):
            rows = rows.set_column(index, field.name, as_text(rows.column(index)))
    for name in known:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows
